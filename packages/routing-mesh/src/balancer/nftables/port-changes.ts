import type { IpAddress, PortProtocol } from '@swarm/api';
import type { ElementChanges, SetName } from '../../table/element-changes.js';
import type { Draw, ModelPort } from './model.js';
import { accessElements } from './port-access.js';
import { SLOT_OFFSETS } from './slot-offsets.js';
import { slotClass } from './slots.js';

/** Adds the changes that turn one port, as the table has it, into another. */
export function changePort(
  changes: ElementChanges,
  before: ModelPort | undefined,
  after: ModelPort | undefined,
): void {
  if (before === after) return;
  const { protocol, publishedPort } = (after ?? before)!;
  const key = `${protocol} . ${publishedPort}`;
  const hasV6 = changes.family === 'inet';
  const from = before === undefined ? [] : portSets(before, hasV6);
  const to = after === undefined ? [] : portSets(after, hasV6);
  for (const set of from) if (!to.includes(set)) changes.delete(set, key);
  for (const set of to) if (!from.includes(set)) changes.add(set, key);

  const had = before === undefined ? [] : accessElements(before.access, key, hasV6);
  const has = after === undefined ? [] : accessElements(after.access, key, hasV6);
  const isIn = (list: typeof had, [set, element]: (typeof had)[number]): boolean =>
    list.some((one) => one[0] === set && one[1] === element);
  for (const one of had) if (!isIn(has, one)) changes.delete(...one);
  for (const one of has) if (!isIn(had, one)) changes.add(...one);

  changeSlots(changes, key, 'random', before?.draw.slots, after?.draw.slots);
  changeSlots(changes, key, 'client', before?.draw.places, after?.draw.places);
  if (hasV6) {
    const own = ownDrawV6(before);
    const next = ownDrawV6(after);
    changeSlots(changes, key, 'randomV6', own?.slots, next?.slots);
    changeSlots(changes, key, 'clientV6', own?.places, next?.places);
  }
  changeEndpoints(changes, before, after);
}

function changeSlots(
  changes: ElementChanges,
  key: string,
  draw: keyof typeof SLOT_OFFSETS,
  before: readonly number[] = [],
  after: readonly number[] = [],
): void {
  if (before === after) return;
  const offset = SLOT_OFFSETS[draw];
  for (let slot = 0; slot < Math.max(before.length, after.length); slot++) {
    if (before[slot] === after[slot]) continue;
    const place = `${key} . ${offset + slot}`;
    if (before[slot] !== undefined) changes.delete('slots', place);
    if (after[slot] !== undefined) changes.add('slots', `${place} : ${after[slot]}`);
  }
}

function changeEndpoints(
  changes: ElementChanges,
  before: ModelPort | undefined,
  after: ModelPort | undefined,
): void {
  const hasV6 = changes.family === 'inet';
  const old = new Map(before?.endpoints.map((endpoint) => [endpoint.id, endpoint]));
  const oldMulti = old.size > 1;
  const newMulti = (after?.endpoints.length ?? 0) > 1;
  for (const { id, address, addressV6, port } of after?.endpoints ?? []) {
    const had = old.get(id);
    const kept = old.delete(id);
    if (!kept) changes.add('endpoints', `${id} : ${address} . ${port}`);
    if (hasV6 && had?.addressV6 !== addressV6) {
      if (addressV6 === undefined) changes.delete('endpoints_v6', `${id}`);
      else changes.add('endpoints_v6', `${id} : ${addressV6} . ${port}`);
    }
    if (newMulti && !(kept && oldMulti)) changes.add('multi', `${id}`);
    if (!newMulti && kept && oldMulti) changes.delete('multi', `${id}`);
  }
  for (const { id, addressV6 } of old.values()) {
    changes.delete('endpoints', `${id}`);
    if (hasV6 && addressV6 !== undefined) changes.delete('endpoints_v6', `${id}`);
    if (oldMulti) changes.delete('multi', `${id}`);
  }
}

/** Undefined where clients of both families are led by the same slots. */
function ownDrawV6(port: ModelPort | undefined): Draw | undefined {
  return port === undefined || port.drawV6 === port.draw ? undefined : port.drawV6;
}

/** The sets that the port is in, which decide what happens to its new connections. */
function portSets(port: ModelPort, hasV6: boolean): SetName[] {
  const sets: SetName[] = [];
  const { draw, drawV6, access } = port;
  // Elsewhere the port is nobody's or another program's.
  if (draw.slots.length === 0) {
    if (access.only === undefined) sets.push('closed');
  } else sets.push(slotClass(draw.slots.length));
  if (draw.places.length > 0) sets.push('sticky');
  if (port.source.options.proxyProtocol !== undefined) sets.push('proxied');
  if (!hasV6 || access.onlyV6?.length === 0) return sets;
  if (draw.slots.length === 0 && access.onlyV6 === undefined) sets.push('closed_v6');
  // Endpoints that are not reached over IPv6 are served by a listener: nothing is translated to them.
  if (drawV6.slots.length === 0) return sets;
  sets.push(`${slotClass(drawV6.slots.length)}_${drawV6 === draw ? 'v6' : 'own'}`);
  if (drawV6.places.length > 0) sets.push(drawV6 === draw ? 'sticky_v6' : 'sticky_own');
  return sets;
}

/** What became of a port. */
export interface PortTurn {
  readonly before: ModelPort | undefined;
  readonly after: ModelPort | undefined;
}

/** Endpoints that the changes remove: UDP flows to them must be deleted. */
export function removedEndpoints(
  turns: Iterable<PortTurn>,
): { protocol: PortProtocol; address: IpAddress; port: number; nodeId: string }[] {
  const removed = [];
  for (const { before, after } of turns) {
    if (before === undefined || before === after) continue;
    const { protocol } = before;
    const kept = new Map(after?.endpoints.map((endpoint) => [endpoint.id, endpoint]));
    for (const { id, address, addressV6, port: target, nodeId } of before.endpoints) {
      const still = kept.get(id);
      if (still === undefined) removed.push({ protocol, address, port: target, nodeId });
      if (addressV6 !== undefined && still?.addressV6 === undefined)
        removed.push({ protocol, address: addressV6, port: target, nodeId });
    }
  }
  return removed;
}

/** Whether clients of the port are led to an endpoint; they are refused otherwise. */
export function isServed(port: ModelPort | undefined): port is ModelPort {
  return port !== undefined && port.draw.slots.length > 0;
}

/** The ports that lead somewhere now and did not before. */
export function openedPorts(turns: Iterable<PortTurn>): ModelPort[] {
  const opened: ModelPort[] = [];
  for (const { before, after } of turns) {
    if (before === after || !isServed(after)) continue;
    if (!isServed(before) || (isLedOverV6(after) && !isLedOverV6(before))) opened.push(after);
  }
  return opened;
}

function isLedOverV6({ drawV6 }: ModelPort): boolean {
  return drawV6.slots.length > 0;
}
