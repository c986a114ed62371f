import fc from 'fast-check';
import test from 'ava';
import { ALL_RIGHTS } from '@swarm/identity';
import { agentMessages } from './agent-messages.js';
import type { Knowledge } from './facts.js';
import { packMessage } from './msgpack-writer.js';
import { labelOf } from './requests.js';
import { Scripts } from './script.js';
import { API_SURFACE, NODE_SURFACE, SOCKET_PATHS } from './surface.js';

const MANAGER = { nodeId: 'm1', raftId: 1, address: '127.0.0.1:2377' };
const KNOWN: Knowledge = {
  clusterId: 'cluster',
  managers: [MANAGER],
  nodes: ['m1'],
  services: ['s1'],
  tasks: ['t1'],
  networks: ['n1'],
  addresses: { m1: '127.0.0.1' },
  ownTasks: { w: ['o1'] },
  generations: {},
  assigned: {},
  speaker: '',
  subscriptions: ['l1'],
  requests: ['-----BEGIN CERTIFICATE REQUEST-----'],
};
/** Not paths: the engine behind the local socket, and a header of every request. */
const NO_PATHS = new Set(['engine', 'forward']);

test('the attack covers every path and message in the table of rights, and no other', (t) => {
  const attacked = [
    ...[...NODE_SURFACE, ...API_SURFACE].map(labelOf),
    ...SOCKET_PATHS.map((path) => `UPGRADE ${path}`),
    ...Object.keys(agentMessages(KNOWN)).map((type) => `message ${type}`),
  ];
  const rights = ALL_RIGHTS.filter((right) => !NO_PATHS.has(right));
  t.deepEqual(attacked.sort(), [...rights].sort());
});

test('the same seed and number make the same script, another number makes another', (t) => {
  const credentials = [{ name: 'worker', nodeId: 'w', from: '127.0.0.2' }] as const;
  const make = () => new Scripts(7, KNOWN, credentials, 'worker');
  const [first, second] = [make(), make()];
  const all = Array.from({ length: 60 }, (_, i) => first.script(i + 1));
  t.deepEqual(
    all,
    Array.from({ length: 60 }, (_, i) => second.script(i + 1)),
  );
  t.is(
    new Set(
      all.map(({ messages }) => Buffer.concat(messages.map(({ bytes }) => bytes)).toString('hex')),
    ).size > 50,
    true,
  );
  t.deepEqual([...new Set(all.map(({ lane }) => lane))].sort(), [
    'frames',
    'http',
    'no hello',
    'raft',
    'requests',
    'session',
    'tls',
  ]);
});

test('messages are MessagePack that other libraries read', async (t) => {
  const { unpack } = await import('msgpackr');
  const value = fc.oneof(fc.integer(), fc.string(), fc.boolean(), fc.constant(null), fc.double());
  // msgpackr returns this one under another name.
  const key = fc.string().filter((text) => text !== '__proto__');
  const tree = fc.dictionary(key, fc.oneof(value, fc.array(value)));
  fc.assert(
    fc.property(tree, (message) => {
      // The wire keeps minus zero too.
      t.deepEqual(unpack(packMessage(message)), { ...message });
    }),
  );
});
