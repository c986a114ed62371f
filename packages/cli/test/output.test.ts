import test from 'ava';
import { type FeatureLevel, featureLevelLine } from '../src/output/feature-level.js';
import { UsageError } from '../src/command.js';
import { filterMap } from '../src/output/filters.js';
import { formatObject, printRows } from '../src/output/format.js';
import { table } from '../src/output/table.js';
import { wrapLines } from '../src/output/wrap.js';
import { goDuration, goTime, humanBytes, humanDuration } from '../src/output/time.js';
import { recorder } from './support/recorder.js';

test('columns are as wide as their widest cell, at least ten, and lines end without spaces', (t) => {
  t.is(
    table(
      ['ID', 'NAME', 'PORTS'],
      [
        ['1', 'a-name-of-some-length', '*:80->80/tcp'],
        ['2', 'é', ''],
      ],
    ),
    [
      'ID        NAME                    PORTS',
      '1         a-name-of-some-length   *:80->80/tcp',
      '2         é',
    ].join('\n'),
  );
  t.is(table(['ID', 'NAME'], []), 'ID        NAME');
});

const REASON =
  'bind source path does not exist: /a/very/long/path/that/has/no/blank, see the mounts';

test('where a table is wider than the window, one column is broken into lines', (t) => {
  const rows = [
    ['web.1', 'Rejected', `"${REASON}"`, ''],
    ['web.2', 'Running', '', ''],
  ];
  const heading = ['NAME', 'STATE', 'ERROR', 'PORTS'];
  t.deepEqual(table(heading, rows, { column: 2, columns: 60 }).split('\n'), [
    'NAME      STATE      ERROR                             PORTS',
    'web.1     Rejected   "bind source path does not',
    '                     exist:',
    '                     /a/very/long/path/that/has/no/b',
    '                     lank, see the mounts"',
    'web.2     Running',
  ]);
  // Wide enough, or too narrow for lines that say anything.
  for (const columns of [200, 40])
    t.is(table(heading, rows, { column: 2, columns }), table(heading, rows));
});

test('lines break at blanks, or where a word is too long, and say that there is more', (t) => {
  t.deepEqual(wrapLines('', 10, 3), []);
  t.deepEqual(wrapLines('one two three', 7, 3), ['one two', 'three']);
  t.deepEqual(wrapLines('one two three four', 7, 2), ['one two', 'three…']);
  t.deepEqual(wrapLines('abcdefghij', 4, 3), ['abcd', 'efgh', 'ij']);
  t.deepEqual(wrapLines('😀😀😀 b', 3, 3), ['😀😀😀', 'b']);
});

test('durations read as Docker says them', (t) => {
  const [second, minute, hour, day] = [1e3, 60e3, 3600e3, 86400e3];
  const said: readonly (readonly [number, string])[] = [
    [-5, 'Less than a second'],
    [999, 'Less than a second'],
    [second, '1 second'],
    [59 * second, '59 seconds'],
    [minute, 'About a minute'],
    [119 * second, 'About a minute'],
    [59 * minute, '59 minutes'],
    [hour, 'About an hour'],
    [47 * hour, '47 hours'],
    [2 * day, '2 days'],
    [14 * day, '2 weeks'],
    [60 * day, '2 months'],
    [730 * day, '2 years'],
  ];
  for (const [ms, text] of said) t.is(humanDuration(ms), text);
});

test('nanoseconds, bytes and moments read as Go prints them', (t) => {
  const durations = {
    0: '0s',
    5: '5ns',
    5e3: '5µs',
    5e8: '500ms',
    15e8: '1.5s',
    9e10: '1m30s',
    36e11: '1h0m0s',
  };
  for (const [ns, text] of Object.entries(durations)) t.is(goDuration(Number(ns)), text);
  t.deepEqual([0, 512, 209715200, 1.5 * 2 ** 30].map(humanBytes), [
    '0B',
    '512B',
    '200MiB',
    '1.5GiB',
  ]);
  t.is(goTime('2026-11-23T20:29:29.434Z'), '2026-11-23 20:29:29.434 +0000 utc');
  t.is(goTime('2026-11-23T20:00:00.000Z'), '2026-11-23 20:00:00 +0000 utc');
});

test('filters become the map of the API', (t) => {
  t.is(filterMap([]), undefined);
  t.deepEqual(filterMap(['name=a', 'name=b', 'label=x=y']), {
    name: { a: true, b: true },
    label: { 'x=y': true },
  });
  t.throws(() => filterMap(['name']), { instanceOf: UsageError, message: /use key=value/ });
});

test('a template takes fields, their parts and JSON', (t) => {
  const object = { ID: 'x', Spec: { Name: 'web', Empty: null }, Ports: [1] };
  t.is(formatObject('{{.ID}} {{ .Spec.Name }}', object), 'x web');
  t.is(formatObject('{{json .Spec}}', object), '{"Name":"web","Empty":null}');
  t.is(formatObject('{{.Ports}}|{{.Spec.Empty}}', object), '[1]|');
  t.is(formatObject('a\\tb\\n', object), 'a\tb\n');
  t.is(formatObject('{{json .}}', object), JSON.stringify(object));
  t.is(formatObject('json', object), JSON.stringify(object));
});

test('a template that asks for more than that, or for what is not there, is refused', (t) => {
  for (const format of ['{{range .X}}{{end}}', '{{upper .ID}}', '{{}}'])
    t.throws(() => formatObject(format, { ID: 'x' }), { message: /is not supported: use/ }, format);
  for (const format of ['{{.Nope}}', '{{.ID.x}}', '{{.toString}}', '{{.constructor}}'])
    t.throws(() => formatObject(format, { ID: 'x' }), { message: /no field/ }, format);
});

test('rows are printed as a table, as chosen columns, by template or as JSON', (t) => {
  const rows = [
    { ID: '1', Name: 'web', State: 'up' },
    { ID: '2', Name: 'db', State: 'down' },
  ];
  const print = (format: string | undefined) => {
    const output = recorder();
    printRows(output, rows, format, ['ID', 'State'], { State: 'THE STATE' });
    return output.out;
  };
  t.is(print(undefined), 'ID        THE STATE\n1         up\n2         down\n');
  t.is(
    print('table {{.Name}}\\t{{.State}}'),
    'NAME      THE STATE\nweb       up\ndb        down\n',
  );
  t.is(print('{{.Name}}'), 'web\ndb\n');
  t.is(
    print('json'),
    '{"ID":"1","Name":"web","State":"up"}\n{"ID":"2","Name":"db","State":"down"}\n',
  );
  t.throws(() => print('table {{upper .ID}}'), { message: /is not supported/ });
});

test('the feature level says what it waits for', (t) => {
  const line = (Current: number, Highest: number, WaitsFor: FeatureLevel['WaitsFor'] = []) =>
    featureLevelLine({ Current, Highest, WaitsFor });
  const m3 = { NodeID: 'id3', Hostname: 'm3', Newest: 1 };
  t.is(line(2, 2), '2 (all managers can 2)');
  t.is(line(1, 2, [m3]), '1 (can rise to 2 when m3 is upgraded: it can 1)');
  t.is(
    line(1, 2, [m3, { NodeID: 'id4', Hostname: '' }]),
    '1 (can rise to 2 when these managers are upgraded: m3 (can 1), id4 (has not said what it can))',
  );
  t.is(line(1, 2), '1 (rises to 2 in a moment)');
  t.is(featureLevelLine({ Current: 2 }), '2');
});
