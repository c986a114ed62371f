import { type MeshEndpoint, type MeshPort, silentLogger } from '@swarm/api';
import test from 'ava';
import { FIRST_ENDPOINT_ID, LAST_ENDPOINT_ID } from '../src/layout.js';
import { EMPTY_MODEL, type Model, nextModel } from '../src/balancer/nftables/model.js';
import type { CheckedState } from '../src/checked.js';
import { portChanges, removedEndpoints } from '../src/balancer/nftables/port-changes.js';
import { ElementChanges } from '../src/table/element-changes.js';
import { peerChanges } from '../src/tunnel/peer-section.js';
import { StateReader } from '../src/state-reader.js';
import { INGRESS, peer as place, rawPeer as peer } from './support/checked.js';

const endpoint = (node: number, task: number): MeshEndpoint => ({
  taskId: `task${task}`,
  nodeId: `node${node}`,
  address: `10.240.${node}.${task}`,
  port: 80,
});
const port = (publishedPort: number, endpoints: readonly MeshEndpoint[]): MeshPort => ({
  protocol: 'tcp',
  publishedPort,
  serviceId: 's',
  endpoints,
});
const reader = new StateReader({ ingress: INGRESS, logger: silentLogger });
const state = (ports: readonly MeshPort[], peers = [peer(1), peer(2)]): CheckedState =>
  reader.read({ generation: 1, peers, ports }, undefined, false);
const step = (model: Model, ...args: Parameters<typeof state>): Model =>
  nextModel(model, state(...args), place(1));

function modelChanges(before: Model, after: Model): ElementChanges {
  const changes = new ElementChanges();
  peerChanges(changes, before.peers, after.peers);
  portChanges(changes, before, after);
  return changes;
}

/** The text without slots: tests count those instead. */
function withoutSlots(text: string): string {
  return text
    .split('\n')
    .filter((line) => !line.includes(' slots '))
    .join('\n');
}

test('a first state: peers, a port, its endpoints', (t) => {
  const model = step(EMPTY_MODEL, [port(8080, [endpoint(1, 2), endpoint(2, 2)])]);
  t.is(
    withoutSlots(modelChanges(EMPTY_MODEL, model).text()),
    `add element ip swarm_mesh peers { 02:00:00:00:00:01 : 0x100000, 02:00:00:00:00:02 : 0x200000 }
add element ip swarm_mesh zones { 02:00:00:00:00:01 : 28673, 02:00:00:00:00:02 : 28674 }
add element ip swarm_mesh underlay { 198.18.0.1, 198.18.0.2 }
add element ip swarm_mesh homeward { 198.18.0.1 . 10.240.1.0/24, 198.18.0.2 . 10.240.2.0/24 }
add element ip swarm_mesh narrow { tcp . 8080 }
add element ip swarm_mesh endpoints { 4096 : 10.240.1.2 . 80, 4097 : 10.240.2.2 . 80 }
add element ip swarm_mesh multi { 4096, 4097 }
`,
  );
});

test('a second endpoint joins: its element, half of the slots, and both may be drawn again', (t) => {
  const before = step(EMPTY_MODEL, [port(8080, [endpoint(1, 2)])]);
  const after = step(before, [port(8080, [endpoint(1, 2), endpoint(2, 2)])]);
  const text = modelChanges(before, after).text();
  t.is(
    withoutSlots(text),
    `add element ip swarm_mesh multi { 4096, 4097 }
add element ip swarm_mesh endpoints { 4097 : 10.240.2.2 . 80 }
`,
  );
  t.is(text.match(/tcp \. 8080 \. \d+ : 4097/g)?.length, 30);
  t.is(text.match(/ : 4096/g), null);
});

test('one of two endpoints goes: the other can no longer be drawn again', (t) => {
  const before = step(EMPTY_MODEL, [port(8080, [endpoint(1, 2), endpoint(2, 2)])]);
  const after = step(before, [port(8080, [endpoint(2, 2)])]);
  t.is(
    withoutSlots(modelChanges(before, after).text()),
    `delete element ip swarm_mesh multi { 4097, 4096 }
delete element ip swarm_mesh endpoints { 4096 }
`,
  );
  t.deepEqual(
    removedEndpoints(before, after).map(({ address }) => address),
    ['10.240.1.2'],
  );
});

test('the last endpoint goes: the port is closed, not gone', (t) => {
  const before = step(EMPTY_MODEL, [port(8080, [endpoint(1, 2)])]);
  const closed = step(before, [port(8080, [])]);
  t.is(
    withoutSlots(modelChanges(before, closed).text()),
    `delete element ip swarm_mesh narrow { tcp . 8080 }
delete element ip swarm_mesh endpoints { 4096 }
add element ip swarm_mesh closed { tcp . 8080 }
`,
  );
  const gone = step(closed, []);
  t.is(modelChanges(closed, gone).text(), 'delete element ip swarm_mesh closed { tcp . 8080 }\n');
});

test('more than thirty endpoints move the port to the wide slots', (t) => {
  const many = Array.from({ length: 31 }, (_, i) => endpoint(1, 2 + i));
  const before = step(EMPTY_MODEL, [port(8080, many.slice(1))]);
  const after = step(before, [port(8080, many)]);
  t.is(after.ports.get('tcp/8080')!.draw.slots.length, 840);
  const text = withoutSlots(modelChanges(before, after).text());
  t.regex(text, /delete element ip swarm_mesh narrow { tcp \. 8080 }/);
  t.regex(text, /add element ip swarm_mesh wide { tcp \. 8080 }/);
});

test('a state that says the same changes nothing, and unchanged ports keep their object', (t) => {
  const ports = [port(8080, [endpoint(1, 2)]), port(8081, [endpoint(1, 3)])];
  const before = step(EMPTY_MODEL, ports);
  const copy = structuredClone(ports) as MeshPort[];
  t.true(modelChanges(before, step(before, copy)).empty);
  const after = step(before, [copy[0]!, port(8081, [])]);
  t.is(after.ports.get('tcp/8080'), before.ports.get('tcp/8080'));
});

test('endpoints of a node without a place in the mesh get no connections', (t) => {
  const ports = [port(8080, [endpoint(1, 2), endpoint(2, 2)])];
  const before = step(EMPTY_MODEL, ports);
  const after = step(before, ports, [peer(1)]);
  t.deepEqual(
    after.ports.get('tcp/8080')!.endpoints.map(({ nodeId }) => nodeId),
    ['node1'],
  );
  const text = modelChanges(before, after).text();
  t.regex(text, /delete element ip swarm_mesh peers { 02:00:00:00:00:02 }/);
});

test('a peer with another address is removed and added again', (t) => {
  const before = step(EMPTY_MODEL, []);
  const after = step(before, [], [peer(1), { ...peer(2), address: '198.18.0.9' }]);
  const text = modelChanges(before, after).text();
  t.regex(text, /delete element ip swarm_mesh underlay { 198.18.0.2 }/);
  t.regex(text, /add element ip swarm_mesh underlay { 198.18.0.9 }/);
  t.true(text.indexOf('delete') < text.indexOf('add'));
});

test('ids of endpoints that are gone rest until all others were used', (t) => {
  let model = step(EMPTY_MODEL, [port(8080, [endpoint(1, 2)])]);
  model = step({ ...model, nextId: LAST_ENDPOINT_ID }, [
    port(8080, [endpoint(1, 2), endpoint(1, 3), endpoint(1, 4)]),
  ]);
  const ids = model.ports.get('tcp/8080')!.endpoints.map(({ id }) => id);
  t.deepEqual(ids, [FIRST_ENDPOINT_ID, FIRST_ENDPOINT_ID + 1, LAST_ENDPOINT_ID]);
});

test('of more than 840 endpoints every node takes 840, and not all nodes the same', (t) => {
  const many = Array.from({ length: 1000 }, (_, i) => ({ ...endpoint(1, 2), taskId: `task${i}` }));
  const [a, b] = [1, 2].map((index) =>
    nextModel(EMPTY_MODEL, state([port(8080, many)]), place(index)),
  );
  const names = (model: Model) =>
    new Set(model.ports.get('tcp/8080')!.endpoints.map(({ taskId }) => taskId));
  t.is(names(a!).size, 840);
  t.is(new Set([...names(a!), ...names(b!)]).size, 1000);
});

test('an endpoint without an IPv4 address or a port does not spoil the rest', (t) => {
  const bad = [
    { ...endpoint(1, 3), address: '' },
    { ...endpoint(1, 4), address: 'fd00::1' },
    { ...endpoint(1, 5), port: 0 },
  ];
  const model = step(EMPTY_MODEL, [port(8080, [...bad, endpoint(1, 2)])]);
  t.deepEqual(
    model.ports.get('tcp/8080')!.endpoints.map(({ taskId }) => taskId),
    ['task2'],
  );
});
