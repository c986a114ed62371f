import { ApiError, checkNodeLabels, type Node } from '@swarm/api';
import test from 'ava';
import fc from 'fast-check';
import { matchesConstraints, nodeMatches, parseConstraints } from '../src/scheduler/constraint.js';
import { nodeDraft, serviceDraft } from './support/objects.js';

const LABELS = {
  Disk: 'SSD',
  empty: '',
  'topology.k8s.io/zone': 'a',
  mail: 'a@b',
  z: 'eu,west',
  e: '',
  x: 'a==b',
};

const node = {
  ...nodeDraft('NodeOne', {
    Spec: { Labels: LABELS, Role: 'worker', Availability: 'active' },
    Status: { State: 'ready', Addr: '198.18.3.7' },
  }),
  Version: { Index: 1 },
} as Node;
const withEngineLabel = {
  ...node,
  Description: { ...node.Description!, Engine: { EngineVersion: '1', Labels: { rack: 'a1' } } },
};

const matches = (expression: string, on: Node = node) =>
  matchesConstraints(parseConstraints([expression]), on);

// SwarmKit: TestParse, TestWrongSyntax.
for (const [expression, message] of [
  ['node.id', /'node.id': expected one operator from ==, !=/],
  ['node.id = x', /expected one operator/],
  ['== x', /key '' is not known: use node\.id/],
  ['1abc == x', /key '1abc' is not known: use node\.id/],
  ['x != a==b', /key 'x' is not known: use node\.id/],
  ['node.id == ', /value '' is invalid/],
  ['node.id == a=b', /value 'a=b' is invalid/],
  ['node.label.disk == ssd', /key 'node.label.disk' is not known: use node.id, /],
  ['node.labels. == ssd', /is not known/],
  ['node.role ==', /value '' is invalid/],
  ['node.id != a==b', /value 'a==b' is invalid/],
  [
    'node.labels.a b == c',
    /label 'a b' is invalid: a name must not be empty, and must not have blanks/,
  ],
  ['node.labels.a!b == c', /label 'a!b' is invalid/],
  ['node.labels.a == b\u0007', /is invalid: .*control characters/],
  ['node.ip == 10.0.0.300', /neither an IP address nor a network/],
  ['node.ip == 10.0.0.0/33', /neither an IP address nor a network/],
] as const) {
  test(`"${expression}" is refused with a precise message`, (t) => {
    t.throws(() => parseConstraints([expression]), { message });
  });
}

// SwarmKit: TestMatch, TestNodeHostname, TestNodeIP, TestNodeID, TestNodeRole, TestNodePlatform,
// TestNodeLabel, TestEngineLabel.
for (const [expression, expected] of [
  ['node.id == nodeone', true],
  ['node.id==NodeOne', true],
  ['node.id != NodeOne', false],
  ['NODE.HOSTNAME == NodeOne', true],
  ['node.hostname == Node', false],
  ['node.role == WORKER', true],
  ['node.role != manager', true],
  ['node.ip == 198.18.3.7', true],
  ['node.ip == 198.18.0.0/16', true],
  ['node.ip != 198.18.0.0/16', false],
  ['node.ip == 10.0.0.0/8', false],
  ['node.ip == fd00::/8', false],
  ['node.platform.os == Linux', true],
  ['node.platform.arch == x86_64', true],
  ['node.platform.arch == amd64', true],
  ['node.platform.arch != AMD64', false],
  ['node.labels.Disk == ssd', true],
  ['node.labels.disk == ssd', false],
  ['node.labels.disk != ssd', true],
  ['node.labels.constructor != x', true],
  ['engine.labels.rack != a1', true],
  ['node.labels.Disk == S.*', false],
  ['node.labels.topology.k8s.io/zone == a', true],
  ['node.labels.mail==a@b', true],
  ['node.labels.mail != a@b', false],
  ['node.labels.z == eu,west', true],
  ['node.labels.e==', true],
  ['node.labels.e != ', false],
  ['node.labels.missing==', true],
  ['node.labels.Disk==', false],
  ['node.labels.x != a==b', false],
  ['node.labels.x == a==b', true],
  ['node.labels.x == a!=b', false],
  ['NODE.LABELS.mail == A@B', true],
] as const) {
  test(`"${expression}" ${expected ? 'matches' : 'does not match'}`, (t) => {
    t.is(matches(expression), expected);
  });
}

test('engine labels are read from the description', (t) => {
  t.true(matches('engine.labels.rack == A1', withEngineLabel));
});

test('all constraints must hold, and one that cannot be read holds nowhere', (t) => {
  const service = (Constraints: string[]) =>
    ({
      ...serviceDraft('s', {}, { TaskTemplate: { ForceUpdate: 0, Placement: { Constraints } } }),
      Version: { Index: 1 },
    }) as never;
  t.true(nodeMatches(service([]), node));
  t.true(nodeMatches(service(['node.role == worker', 'node.labels.Disk == ssd']), node));
  t.false(nodeMatches(service(['node.role == worker', 'node.labels.Disk == hdd']), node));
  t.false(nodeMatches(service(['nonsense']), node));
});

test('a label that can be set can be matched, by a constraint in either way of writing', (t) => {
  const text = fc.string({ unit: 'grapheme', maxLength: 8 });
  let matched = 0;
  let refused = 0;
  fc.assert(
    fc.property(text, text, fc.constantFrom('', ' ', '  '), (name, value, blank) => {
      try {
        checkNodeLabels({ [name]: value }, {});
      } catch (error) {
        t.true(error instanceof ApiError);
        refused += 1;
        return;
      }
      matched += 1;
      const Spec = { ...node.Spec, Labels: { [name]: value } };
      const on = (operator: string) => {
        const expression = `node.labels.${name}${blank}${operator}${blank}${value}`;
        return matches(expression, { ...node, Spec });
      };
      t.deepEqual([on('=='), on('!=')], [true, false], JSON.stringify([name, value]));
    }),
    { numRuns: 500 },
  );
  t.true(matched > 50 && refused > 20, `${matched} matched, ${refused} refused`);
});

test('too many constraints: the message names field, limit and what repeats', (t) => {
  t.throws(() => parseConstraints(Array.from({ length: 101 }, () => 'node.role==worker')), {
    message:
      "TaskTemplate.Placement.Constraints: has 101 constraints, at most 100 are allowed; 'node.role==worker' is there 101 times",
  });
  const different = Array.from({ length: 150 }, (_, at) => `node.labels.a!=${at}`);
  t.throws(() => parseConstraints(different), { message: /has 150 constraints.*allowed$/ });
});
