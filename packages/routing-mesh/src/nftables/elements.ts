import { isIpv6, type PortProtocol } from '@swarm/api';
import type { Ipv4Address } from '../address.js';
import type { CheckedPeer } from '../checked.js';
import { UnsafeCommandError } from '../kernel/words.js';
import { peerMac, peerMark, TABLE, ZONE_BASE } from '../layout.js';
import type { Model, ModelPort } from '../model.js';
import type { HostPort } from '../mesh.js';
import { SLOTS_NARROW } from '../slots.js';

/** Elements a statement adds or deletes at most; keeps the parser's memory flat in bulk loads. */
const ELEMENTS_PER_STATEMENT = 2000;

/** What an element is written with: nothing that could end it, or the statement it stands in. */
const ELEMENT = /^[0-9a-z][0-9a-z.:/ ]*$/;

/** Sets and maps of the table whose elements change. */
export type SetName =
  | 'peers'
  | 'zones'
  | 'underlay'
  | 'homeward'
  | 'itself'
  | 'narrow'
  | 'wide'
  | 'closed'
  | 'slots'
  | 'endpoints'
  | 'multi'
  | 'host_ports';

/** Changes of set elements, collected, then written as one transaction. */
export class ElementChanges {
  readonly #deleted = new Map<SetName, string[]>();
  readonly #added = new Map<SetName, string[]>();

  /** @throws UnsafeCommandError */
  add(set: SetName, element: string): void {
    append(this.#added, set, element);
  }

  /** @throws UnsafeCommandError */
  delete(set: SetName, element: string): void {
    append(this.#deleted, set, element);
  }

  get empty(): boolean {
    return this.#added.size === 0 && this.#deleted.size === 0;
  }

  /** The nft text: deletions first, so that an element whose value changes is free to be added. */
  text(): string {
    return statements('delete', this.#deleted) + statements('add', this.#added);
  }
}

/** What turns the kernel from holding `before` into holding `after`. */
export function modelChanges(before: Model, after: Model): ElementChanges {
  const changes = new ElementChanges();
  for (const [nodeId, peer] of before.peers) {
    if (!samePeer(peer, after.peers.get(nodeId))) {
      for (const [set, element] of peerElements(peer)) changes.delete(set, keyOf(element));
    }
  }
  for (const [nodeId, peer] of after.peers) {
    if (!samePeer(peer, before.peers.get(nodeId))) {
      for (const [set, element] of peerElements(peer)) changes.add(set, element);
    }
  }
  for (const [key, port] of before.ports) {
    if (!after.ports.has(key)) portChanges(changes, port, undefined);
  }
  for (const [key, port] of after.ports) {
    const old = before.ports.get(key);
    if (old !== port) portChanges(changes, old, port);
  }
  return changes;
}

/** Whether two peers are the same to kernel and routes. */
export function samePeer(a: CheckedPeer, b: CheckedPeer | undefined): boolean {
  return (
    b !== undefined &&
    a.index === b.index &&
    a.address === b.address &&
    a.subnet === b.subnet &&
    a.userspace === b.userspace
  );
}

function* peerElements(peer: CheckedPeer): Generator<[SetName, string]> {
  // Nothing comes from it by the tunnel, and it may share its address with others.
  if (peer.userspace) return;
  yield ['peers', `${peerMac(peer.index)} : 0x${peerMark(peer.index).toString(16)}`];
  yield ['zones', `${peerMac(peer.index)} : ${ZONE_BASE + peer.index}`];
  if (!isIpv6(peer.address)) {
    yield ['underlay', peer.address];
    yield ['homeward', `${peer.address} . ${peer.subnet}`];
  }
}

function portChanges(
  changes: ElementChanges,
  before: ModelPort | undefined,
  after: ModelPort | undefined,
): void {
  const { protocol, publishedPort } = (after ?? before)!;
  const key = `${protocol} . ${publishedPort}`;
  const from = before === undefined ? undefined : portSet(before);
  const to = after === undefined ? undefined : portSet(after);
  if (from !== to) {
    if (from !== undefined) changes.delete(from, key);
    if (to !== undefined) changes.add(to, key);
  }

  const oldSlots = before?.slots ?? [];
  const newSlots = after?.slots ?? [];
  for (let slot = 0; slot < Math.max(oldSlots.length, newSlots.length); slot++) {
    if (oldSlots[slot] === newSlots[slot]) continue;
    if (oldSlots[slot] !== undefined) changes.delete('slots', `${key} . ${slot}`);
    if (newSlots[slot] !== undefined) changes.add('slots', `${key} . ${slot} : ${newSlots[slot]}`);
  }

  const old = new Map(before?.endpoints.map((endpoint) => [endpoint.id, endpoint]));
  const oldMulti = old.size > 1;
  const newMulti = (after?.endpoints.length ?? 0) > 1;
  for (const { id, address, port } of after?.endpoints ?? []) {
    const kept = old.delete(id);
    if (!kept) changes.add('endpoints', `${id} : ${address} . ${port}`);
    if (newMulti && !(kept && oldMulti)) changes.add('multi', `${id}`);
    if (!newMulti && kept && oldMulti) changes.delete('multi', `${id}`);
  }
  for (const id of old.keys()) {
    changes.delete('endpoints', `${id}`);
    if (oldMulti) changes.delete('multi', `${id}`);
  }
}

function portSet(port: ModelPort): 'narrow' | 'wide' | 'closed' {
  if (port.slots.length === 0) return 'closed';
  return port.slots.length === SLOTS_NARROW ? 'narrow' : 'wide';
}

/** Elements of a task's host-mode ports. */
export function hostPortElements(address: Ipv4Address, ports: readonly HostPort[]): string[] {
  return ports.map(
    (port) => `${port.protocol} . ${port.publishedPort} : ${address} . ${port.targetPort}`,
  );
}

/** A map element without its value: how elements are named when deleted. */
export function keyOf(element: string): string {
  return element.split(' : ', 1)[0]!;
}

/** UDP endpoints the change takes away: flows to them must be deleted. */
export function removedEndpoints(
  before: Model,
  after: Model,
): { protocol: PortProtocol; address: Ipv4Address; port: number; nodeId: string }[] {
  const removed = [];
  for (const [key, port] of before.ports) {
    const now = after.ports.get(key);
    if (now === port) continue;
    const kept = new Set(now?.endpoints.map(({ id }) => id));
    for (const { id, address, port: target, nodeId } of port.endpoints) {
      if (!kept.has(id)) removed.push({ protocol: port.protocol, address, port: target, nodeId });
    }
  }
  return removed;
}

function append(map: Map<SetName, string[]>, key: SetName, value: string): void {
  if (!ELEMENT.test(value)) throw new UnsafeCommandError(`an element of ${key}`, value);
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}

function statements(verb: 'add' | 'delete', sets: ReadonlyMap<SetName, readonly string[]>): string {
  let text = '';
  for (const [set, elements] of sets) {
    for (let i = 0; i < elements.length; i += ELEMENTS_PER_STATEMENT) {
      const part = elements.slice(i, i + ELEMENTS_PER_STATEMENT);
      text += `${verb} element ip ${TABLE} ${set} { ${part.join(', ')} }\n`;
    }
  }
  return text;
}
