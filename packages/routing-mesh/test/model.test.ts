import { type MeshEndpoint, type MeshPort, type PortKey, portKey, silentLogger } from '@swarm/api';
import test from 'ava';
import { FIRST_ENDPOINT_ID, LAST_ENDPOINT_ID } from '../src/layout.js';
import { DnatSection } from '../src/balancer/nftables/dnat-section.js';
import { EndpointIds } from '../src/balancer/nftables/endpoint-ids.js';
import { Model, type ModelPort, type PortChange } from '../src/balancer/nftables/model.js';
import type { CheckedState } from '../src/checked.js';
import { removedEndpoints } from '../src/balancer/nftables/port-changes.js';
import { ElementChanges } from '../src/table/element-changes.js';
import { PeerSection } from '../src/tunnel/peer-section.js';
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
/** A model with what it was told, and what its table was told. */
class Node {
  readonly model: Model;
  readonly #section = new DnatSection();
  readonly #peers = new PeerSection();
  readonly #place;
  turns: readonly PortChange[] = [];

  constructor(index = 1, ids = new EndpointIds()) {
    this.model = new Model(ids);
    this.#place = place(index);
  }

  /** @returns what changes in the table */
  follow(...args: Parameters<typeof state>): ElementChanges {
    return this.#follow(state(...args), undefined);
  }

  /** The same, told which ports differ. */
  change(ports: readonly MeshPort[], ...touched: readonly number[]): ElementChanges {
    return this.#follow(
      state(ports),
      touched.map((one) => portKey('tcp', one)),
    );
  }

  #follow({ peers, ports }: CheckedState, touched: readonly PortKey[] | undefined): ElementChanges {
    this.turns = this.model.follow({ peers, ports, touched }, this.#place);
    this.#section.follow(this.model.ports, this.turns);
    this.#peers.follow(peers);
    const changes = new ElementChanges();
    this.#peers.takeChanges(changes);
    this.#section.takeChanges(changes);
    return changes;
  }

  port(publishedPort = 8080): ModelPort {
    return this.model.ports.get(portKey('tcp', publishedPort))!;
  }
}

/** The text without slots: tests count those instead. */
function withoutSlots(text: string): string {
  return text
    .split('\n')
    .filter((line) => !line.includes(' slots '))
    .join('\n');
}

test('a first state: peers, a port, its endpoints', (t) => {
  t.is(
    withoutSlots(new Node().follow([port(8080, [endpoint(1, 2), endpoint(2, 2)])]).text()),
    `add element ip swarm_mesh peers { 02:00:00:00:00:01 : 0x100000, 02:00:00:00:00:02 : 0x200000 }
add element ip swarm_mesh zones { 02:00:00:00:00:01 : 28673, 02:00:00:00:00:02 : 28674 }
add element ip swarm_mesh underlay { 198.18.0.1, 198.18.0.2 }
add element ip swarm_mesh homeward { 198.18.0.1 . 10.240.1.0/24, 198.18.0.2 . 10.240.2.0/24 }
add element ip swarm_mesh twelve { tcp . 8080 }
add element ip swarm_mesh endpoints { 4096 : 10.240.1.2 . 80, 4097 : 10.240.2.2 . 80 }
add element ip swarm_mesh multi { 4096, 4097 }
`,
  );
});

test('a second endpoint joins: its element, half of the slots, and both may be drawn again', (t) => {
  const node = new Node();
  node.follow([port(8080, [endpoint(1, 2)])]);
  const text = node.follow([port(8080, [endpoint(1, 2), endpoint(2, 2)])]).text();
  t.is(
    withoutSlots(text),
    `add element ip swarm_mesh multi { 4096, 4097 }
add element ip swarm_mesh endpoints { 4097 : 10.240.2.2 . 80 }
`,
  );
  t.is(text.match(/tcp \. 8080 \. \d+ : 4097/g)?.length, 6);
  t.is(text.match(/ : 4096/g), null);
});

test('one of two endpoints goes: the other can no longer be drawn again', (t) => {
  const node = new Node();
  node.follow([port(8080, [endpoint(1, 2), endpoint(2, 2)])]);
  t.is(
    withoutSlots(node.follow([port(8080, [endpoint(2, 2)])]).text()),
    `delete element ip swarm_mesh multi { 4097, 4096 }
delete element ip swarm_mesh endpoints { 4096 }
`,
  );
  t.deepEqual(
    removedEndpoints(node.turns).map(({ address }) => address),
    ['10.240.1.2'],
  );
});

test('the last endpoint goes: the port is closed, not gone', (t) => {
  const node = new Node();
  node.follow([port(8080, [endpoint(1, 2)])]);
  t.is(
    withoutSlots(node.follow([port(8080, [])]).text()),
    `delete element ip swarm_mesh twelve { tcp . 8080 }
delete element ip swarm_mesh endpoints { 4096 }
add element ip swarm_mesh closed { tcp . 8080 }
`,
  );
  t.is(node.follow([]).text(), 'delete element ip swarm_mesh closed { tcp . 8080 }\n');
});

test('more than thirty endpoints move the port to the wide slots', (t) => {
  const many = Array.from({ length: 31 }, (_, i) => endpoint(1, 2 + i));
  const node = new Node();
  node.follow([port(8080, many.slice(1))]);
  const text = withoutSlots(node.follow([port(8080, many)]).text());
  t.is(node.port().draw.slots.length, 840);
  t.regex(text, /delete element ip swarm_mesh narrow { tcp \. 8080 }/);
  t.regex(text, /add element ip swarm_mesh wide { tcp \. 8080 }/);
});

test('a state that says the same changes nothing, and unchanged ports keep their object', (t) => {
  const ports = [port(8080, [endpoint(1, 2)]), port(8081, [endpoint(1, 3)])];
  const node = new Node();
  node.follow(ports);
  const before = node.port();
  const copy = structuredClone(ports) as MeshPort[];
  t.true(node.follow(copy).empty);
  node.follow([copy[0]!, port(8081, [])]);
  t.is(node.port(), before);
});

test('endpoints of a node without a place in the mesh get no connections', (t) => {
  const ports = [port(8080, [endpoint(1, 2), endpoint(2, 2)])];
  const node = new Node();
  node.follow(ports);
  const text = node.follow(ports, [peer(1)]).text();
  t.deepEqual(
    node.port().endpoints.map(({ nodeId }) => nodeId),
    ['node1'],
  );
  t.regex(text, /delete element ip swarm_mesh peers { 02:00:00:00:00:02 }/);
});

test('a peer with another address is removed and added again', (t) => {
  const node = new Node();
  node.follow([]);
  const text = node.follow([], [peer(1), { ...peer(2), address: '198.18.0.9' }]).text();
  t.regex(text, /delete element ip swarm_mesh underlay { 198.18.0.2 }/);
  t.regex(text, /add element ip swarm_mesh underlay { 198.18.0.9 }/);
  t.true(text.indexOf('delete') < text.indexOf('add'));
});

test('ids of endpoints that are gone rest until all others were used', (t) => {
  const ids = new EndpointIds(LAST_ENDPOINT_ID - 1);
  const node = new Node(1, ids);
  node.follow([port(8080, [endpoint(1, 2)])]);
  node.follow([port(8080, [])]);
  node.follow([port(8080, [endpoint(1, 2), endpoint(1, 3), endpoint(1, 4)])]);
  t.deepEqual(
    node.port().endpoints.map(({ id }) => id),
    [FIRST_ENDPOINT_ID, FIRST_ENDPOINT_ID + 1, LAST_ENDPOINT_ID],
  );
});

test('of more than 840 endpoints every node takes 840, and not all nodes the same', (t) => {
  const many = Array.from({ length: 1000 }, (_, i) => ({ ...endpoint(1, 2), taskId: `task${i}` }));
  const [a, b] = [1, 2].map((index) => {
    const node = new Node(index);
    node.follow([port(8080, many)]);
    return new Set(node.port().endpoints.map(({ taskId }) => taskId));
  });
  t.is(a!.size, 840);
  t.is(new Set([...a!, ...b!]).size, 1000);
});

test('an endpoint without an IPv4 address or a port does not spoil the rest', (t) => {
  const bad = [
    { ...endpoint(1, 3), address: '' },
    { ...endpoint(1, 4), address: 'fd00::1' },
    { ...endpoint(1, 5), port: 0 },
  ];
  const node = new Node();
  node.follow([port(8080, [...bad, endpoint(1, 2)])]);
  t.deepEqual(
    node.port().endpoints.map(({ taskId }) => taskId),
    ['task2'],
  );
});

test('a port that nobody says has changed is not looked at', (t) => {
  const node = new Node();
  const ports = [port(8080, [endpoint(1, 2)]), port(8081, [endpoint(1, 3)])];
  node.follow(ports);
  const both = [port(8080, []), port(8081, [])];
  t.regex(node.change(both, 8081).text(), /closed { tcp \. 8081 }/);
  t.deepEqual(
    node.port().endpoints.map(({ taskId }) => taskId),
    ['task2'],
  );
  t.regex(node.change(both, 8080, 8081).text(), /closed { tcp \. 8080 }/);
});
