import test from 'ava';
import { modeOf, type ServiceMode } from '../src/index.js';
import { Filters } from '../src/filters/filters.js';

test('both JSON forms of filters are read', (t) => {
  for (const given of ['{"name":{"web":true}}', '{"name":["web"]}']) {
    const filters = Filters.parse(given, ['name']);
    t.true(filters.prefix('name', 'web-1'));
    t.false(filters.prefix('name', 'api'));
    t.true(filters.prefix('other', 'anything'));
  }
  t.false(Filters.parse(null, []).has('name'));
});

test('values of one key are alternatives, labels must all match', (t) => {
  const filters = Filters.parse('{"name":["a","b"],"label":["x","y=1"]}', ['name', 'label']);
  t.true(filters.exact('name', 'b'));
  t.true(filters.labels('label', { x: '', y: '1' }));
  t.false(filters.labels('label', { x: '', y: '2' }));
  t.false(filters.labels('label', { y: '1' }));
  t.false(filters.labels('label', undefined));
});

test('a label named like a method of objects does not match', (t) => {
  const filters = Filters.parse('{"label":["constructor"]}', ['label']);
  t.false(filters.labels('label', {}));
});

test('malformed filters are refused with what is wrong', (t) => {
  for (const [given, message] of [
    ['{', /^invalid filters: /],
    ['[]', /must be an object/],
    ['{"name":"web"}', /"name" must be an object/],
    ['{"name":[1]}', /"name" must be/],
    ['{"size":["1"]}', /^invalid filter 'size'/],
  ] as const) {
    t.throws(() => Filters.parse(given, ['name']), { message, name: 'ApiError' });
  }
  const flags = Filters.parse('{"dangling":["maybe"]}', ['dangling']);
  t.throws(() => flags.flag('dangling'), { message: /use true or false/ });
});

test('modes have the names that stock clients use', (t) => {
  const kind = (Mode: ServiceMode) => modeOf({ Mode }).kind;
  t.is(kind({ Replicated: { Replicas: 1 } }), 'replicated');
  t.is(kind({ Global: {} }), 'global');
  t.is(kind({ ReplicatedJob: {} }), 'replicated-job');
  t.is(kind({ GlobalJob: {} }), 'global-job');
  t.deepEqual(modeOf({ Mode: { ReplicatedJob: { MaxConcurrent: 3 } } }), {
    kind: 'replicated-job',
    maxConcurrent: 3,
    totalCompletions: 3,
  });
});
