import test from 'ava';
import type { Node, NodeState, PathProblem } from '../src/index.js';
import { pathFindings, pathNotes } from '../src/index.js';

const Since = '2026-01-01T00:00:00Z';
const problem = (NodeID: string, Kind: PathProblem['Kind'] = 'blocked') => ({
  NodeID,
  Kind,
  Since,
});

function node(
  index: number,
  problems: readonly PathProblem[] = [],
  { State = 'ready' as NodeState, CutOff = false, MeshBackend = 'nftables' } = {},
): Node {
  return {
    ID: `id${index}`,
    Description: {
      Hostname: `w${index}`,
      MeshBackend,
      Paths: { Problems: problems, ...(CutOff ? { CutOff } : {}) },
    },
    Spec: {},
    Status: { State, Addr: '198.51.100.1' },
    Mesh: { Index: index, Address: `198.18.0.${10 + index}`, Subnet: '' },
  } as unknown as Node;
}

const place = (...nodes: readonly Node[]) => ({
  dataPathPort: 4789,
  nodeOf: (id: string) => nodes.find(({ ID }) => ID === id),
});

test('a node says whom it does not reach, and what to open between which addresses', (t) => {
  const [w1, w2] = [node(1, [problem('id2')]), node(2)];
  t.deepEqual(pathNotes(w1, place(w1, w2)), [
    'does not reach w2 through the tunnel: let 4789/udp pass between 198.18.0.11 and 198.18.0.12',
  ]);
  t.deepEqual(pathNotes(w2, place(w1, w2)), []);
});

test('several nodes make one sentence, and a node that reaches few is avoided by new tasks', (t) => {
  const ids = [2, 3, 4, 5, 6];
  const w1 = node(
    1,
    ids.map((id) => problem(`id${id}`)),
    { CutOff: true },
  );
  const others = ids.map((id) => node(id));
  t.deepEqual(pathNotes(w1, { ...place(w1, ...others), dataPathPort: 5000 }), [
    'does not reach w2, w3, w4 and 2 more through the tunnel: let 5000/udp pass between 198.18.0.11 and them',
    'new tasks go to other nodes first',
  ]);
});

test('a path that drops large packets asks for another MTU', (t) => {
  const [w1, w2, w3] = [node(1, [problem('id2', 'mtu'), problem('id3')]), node(2), node(3)];
  t.deepEqual(pathNotes(w1, place(w1, w2, w3)), [
    'does not reach w3 through the tunnel: let 4789/udp pass between 198.18.0.11 and 198.18.0.13',
    'reaches w2 through the tunnel with small packets only: a link between 198.18.0.11 and 198.18.0.12 carries less than their interfaces say; set their MTU to what it carries, then restart both daemons',
  ]);
});

test('nothing is said of nodes that are down, gone or without a tunnel', (t) => {
  const w1 = node(1, [problem('id2'), problem('id3'), problem('id4')], { CutOff: true });
  const all = place(w1, node(2, [], { State: 'down' }), node(3, [], { MeshBackend: 'userspace' }));
  t.deepEqual(pathNotes(w1, all), []);
  const away = node(1, [problem('id2')], { State: 'down' });
  t.deepEqual(pathNotes(away, place(away, node(2))), []);
});

test('a path that both ends report is one finding', (t) => {
  const nodes = [
    node(1, [problem('id2'), problem('id3', 'mtu')]),
    node(2, [problem('id1')]),
    node(3, [problem('id2')]),
  ];
  const remedy = (a: number, b: number) =>
    `let 4789/udp pass between 198.18.0.1${a} and 198.18.0.1${b}`;
  t.deepEqual(
    pathFindings(nodes, place(...nodes)).map(({ Text }) => Text),
    [
      `w1 and w2 do not reach each other through the tunnel: ${remedy(1, 2)}`,
      'w1 reaches w3 through the tunnel with small packets only: a link between 198.18.0.11 and 198.18.0.13 carries less than their interfaces say; set their MTU to what it carries, then restart both daemons',
      `w3 does not reach w2 through the tunnel: ${remedy(3, 2)}`,
    ],
  );
});
