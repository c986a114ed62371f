import test from 'ava';
import { type FeatureLevel, featureLevelLine } from '../src/output/feature-level.js';
import { UsageError } from '../src/command.js';
import { filterMap } from '../src/output/filters.js';
import { type List, parseListFormat, parseObjectFormat } from '../src/output/format.js';
import { alignTabs } from '../src/output/tab-stops.js';
import { table } from '../src/output/table.js';
import { wrapLines } from '../src/output/wrap.js';
import { STRING, struct } from '../src/template/types.js';
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

test('tabs line up by runs of lines that have the cell, as in Go', (t) => {
  t.is(alignTabs('a\tb\nlonger than ten\tc'), 'a                 b\nlonger than ten   c');
  t.is(
    alignTabs('a\tb\tc\nno tab at all\nd\te'),
    'a         b         c\nno tab at all\nd         e',
  );
  t.is(alignTabs('é\t😀\t\n'), 'é         😀\n');
});

const ANYTHING = async () => struct('Anything', {});

test('an object is printed as JSON, or by a template whose \\t and \\n are a tab and a line', async (t) => {
  const object = { ID: 'x', Spec: { Name: 'web', Empty: null }, Ports: [1] };
  const print = async (format: string) => {
    const output = recorder();
    (await parseObjectFormat(format, ANYTHING)).print(output, object);
    return output.out;
  };
  t.is(await print('{{.ID}} {{ .Spec.Name }}'), 'x web\n');
  t.is(await print('{{json .Spec}}'), '{"Empty":null,"Name":"web"}\n');
  t.is(await print('{{.Ports}}|{{.Spec.Empty}}'), '[1]|<no value>\n');
  t.is(await print('a\\tb\\n{{"\\t"}}'), 'a\tb\n\t\n');
  t.is(await print('json'), `${JSON.stringify(object)}\n`);
});

test('what is not a template is refused with its place before anything is read', async (t) => {
  const refused = async (format: string, message: string) => {
    await t.throwsAsync(parseObjectFormat(format, ANYTHING), { instanceOf: UsageError, message });
    await t.throwsAsync(parseListFormat(format, LIST), { instanceOf: UsageError, message });
  };
  await refused(
    '{{.Spec',
    'invalid --format: line 1, column 8: expected }} to close the action that begins at line 1, column 1',
  );
  await refused(
    'x\\n{{nope .ID}}',
    `invalid --format: line 1, column 6: function 'nope' does not exist: a field is written .nope, a string "nope"`,
  );
  await t.throwsAsync(parseListFormat('table {{.ID', LIST), {
    message: /^invalid --format: line 1, column 12: expected \}\}.* begins at line 1, column 7$/,
  });
});

test('what an object does not have is refused with what it has', async (t) => {
  const printer = await parseObjectFormat('{{.Nope}}', async () => struct('Pet', { Name: STRING }));
  const error = t.throws(() => printer.print(recorder(), {}), { instanceOf: UsageError });
  t.is(
    error?.message,
    "cannot apply --format: line 1, column 3: no field 'Nope' in '.Nope': Pet has Name",
  );
});

const LIST: List = {
  name: 'pet ls',
  fields: { ID: 'ID', State: 'THE STATE', Name: 'NAME' },
  hidden: ['Name'],
  raw: { all: 'id: {{.ID}}\\nname: {{.Name}}\\n', quiet: 'id: {{.ID}}' },
};

test('rows are printed as a table, as chosen columns, by template, raw or as JSON', async (t) => {
  const rows = [
    { ID: '1', Name: 'web', State: 'up' },
    { ID: '2', Name: 'db', State: 'down' },
  ];
  const print = async (format?: string, quiet = false) => {
    const output = recorder();
    (await parseListFormat(format, LIST, quiet)).print(output, rows);
    return output.out;
  };
  const usual = 'ID        THE STATE\n1         up\n2         down\n';
  for (const format of [undefined, '', 'table']) t.is(await print(format), usual);
  t.is(
    await print('table {{.Name}}\\t{{.State}}'),
    'NAME      THE STATE\nweb       up\ndb        down\n',
  );
  t.is(
    await print(
      'table {{upper .Name}}{{if eq .ID "2"}}!{{end}}\\t{{slice .State 0 2}}\\t{{json .ID}}',
    ),
    'NAME      THE STATE   ID\nWEB       up          "1"\nDB!       do          "2"\n',
  );
  t.is(await print('{{.Name}}'), 'web\ndb\n');
  t.is(await print('raw'), 'id: 1\nname: web\n\nid: 2\nname: db\n\n');
  t.is(await print('raw', true), 'id: 1\nid: 2\n');
  t.is(
    await print('json'),
    '{"ID":"1","Name":"web","State":"up"}\n{"ID":"2","Name":"db","State":"down"}\n',
  );
  t.is(await print('{{json .}}'), await print('json'));
  await t.throwsAsync(print('table {{.ID}}\\t{{.Nope}}'), {
    message:
      "invalid --format: line 1, column 18: no field 'Nope' in '.Nope': a row of 'pet ls' has ID, Name, State",
  });
});

test('fields of a list are checked before there is a row', async (t) => {
  const refused = ['{{.Nope}}', '{{if .Nope}}{{end}}', '{{if .ID}}{{else}}{{$.Nope}}{{end}}'];
  const inside = [
    '{{with .ID}}{{$.Nope}}{{end}}',
    '{{upper (print .Nope)}}',
    '{{.ID | print .Nope}}',
  ];
  for (const format of [...refused, ...inside, '{{.Nope.More}}', '{{(print $.Nope)}}'])
    await t.throwsAsync(
      parseListFormat(format, LIST),
      { message: /^invalid --format.*'Nope'/ },
      format,
    );
  const fine = [
    '{{with split .ID "x"}}{{range .}}{{.}}{{end}}{{end}}',
    '{{define "t"}}{{.Nope}}{{end}}{{.ID}}',
  ];
  for (const format of fine) await t.notThrowsAsync(parseListFormat(format, LIST), format);
});

test('--quiet prints ids, but not beside a format of the user’s', async (t) => {
  const isQuiet = async (format?: string) => (await parseListFormat(format, LIST, true)).isQuiet;
  for (const format of [undefined, '', 'table']) t.true(await isQuiet(format));
  for (const format of ['raw', 'json', '{{.ID}}', 'table {{.ID}}']) t.false(await isQuiet(format));
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
