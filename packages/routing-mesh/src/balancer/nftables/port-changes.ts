import type { PortProtocol } from '@swarm/api';
import type { Ipv4Address } from '../../address.js';
import type { ElementChanges } from '../../table/element-changes.js';
import type { Model, ModelPort } from './model.js';
import { SLOTS_NARROW } from './slots.js';

/** Adds the changes that turn the ports of `before` into those of `after`. */
export function portChanges(changes: ElementChanges, before: Model, after: Model): void {
  if (before === after) return;
  for (const [key, port] of before.ports) {
    if (!after.ports.has(key)) changePort(changes, port, undefined);
  }
  for (const [key, port] of after.ports) {
    const old = before.ports.get(key);
    if (old !== port) changePort(changes, old, port);
  }
}

function changePort(
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

/** Endpoints that the change removes: UDP flows to them must be deleted. */
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

/** Whether clients of the port are led to an endpoint; they are refused otherwise. */
export function isServed(port: ModelPort | undefined): port is ModelPort {
  return port !== undefined && port.slots.length > 0;
}

/** The ports that lead somewhere in `after` but not in `before`. */
export function openedPorts(before: Model, after: Model): ModelPort[] {
  const opened: ModelPort[] = [];
  if (before === after) return opened;
  for (const [key, port] of after.ports) {
    const old = before.ports.get(key);
    if (old !== port && isServed(port) && !isServed(old)) opened.push(port);
  }
  return opened;
}
