import assert from 'node:assert/strict';
import { weighty } from '../weights.js';

/**
 * How many slots a port may have, by the name of its set. A rebuild writes an element for each slot of each port, so a
 * few endpoints have few slots.
 *
 * - `twelve`, `ten`: exactly equal shares for 1 to 6, 10 and 12 endpoints.
 * - `narrow`: up to 30 endpoints, whose shares differ by one slot at most.
 * - `wide`: more endpoints, and unequal weights.
 */
export const SLOT_COUNTS = { twelve: 12, ten: 10, narrow: 60, wide: 840 } as const;
export type SlotClass = keyof typeof SLOT_COUNTS;
export const SLOT_CLASSES: readonly SlotClass[] = ['twelve', 'ten', 'narrow', 'wide'];
const { twelve, ten, narrow, wide } = SLOT_COUNTS;
/** Endpoints beyond this behind one port get no slot on a node. */
export const MAX_ENDPOINTS_PER_PORT = wide;

/** An endpoint to share slots among: its id, and its weight, not negative. */
export interface Share {
  readonly id: number;
  readonly weight: number;
}

/** How many slots a port with these endpoints has; 0 without endpoints. */
export function slotCount(shares: readonly Share[]): number {
  const [first] = shares;
  if (first === undefined) return 0;
  if (shares.length > narrow / 2) return wide;
  if (shares.some(({ weight }) => weight !== first.weight)) return wide;
  return [twelve, ten].find((count) => count % shares.length === 0) ?? narrow;
}

/** The class of a port with this many slots, of which it has some. */
export function slotClass(count: number): SlotClass {
  const found = SLOT_CLASSES.find((one) => SLOT_COUNTS[one] === count);
  assert(found !== undefined, `no port has ${count} slots`);
  return found;
}

/**
 * Assigns slots to endpoints: each gets floor or ceiling of its share by weight, but at least one, and a slot
 * changes its owner only where that rule demands it, so a small change is a small transaction.
 * @param previous owners so far; of another number of slots, the first are kept
 * @param shares with distinct ids
 * @returns the owner of each slot
 */
export function shareSlots(previous: readonly number[], shares: readonly Share[]): number[] {
  const among = weighty(shares);
  const count = slotCount(among);
  if (count === 0) return [];
  assert(among.length <= count, 'more endpoints than slots');
  const owners: (number | undefined)[] = Array.from({ length: count }, (_, slot) => previous[slot]);
  const held = new Map(among.map(({ id }) => [id, 0]));
  for (const owner of owners) {
    if (owner !== undefined && held.has(owner)) held.set(owner, held.get(owner)! + 1);
  }
  const allowed = allowances(count, among, held);

  // First pass: endpoints with more than a fair share, and removed ones, give slots back.
  const free: number[] = [];
  for (const { id } of among) held.set(id, 0);
  for (let slot = 0; slot < count; slot++) {
    const owner = owners[slot];
    const holds = owner === undefined ? undefined : held.get(owner);
    if (owner === undefined || holds === undefined || holds >= allowed.get(owner)!) free.push(slot);
    else held.set(owner, holds + 1);
  }
  // Second pass: free slots go to those below their share.
  for (const { id } of among) {
    const want = allowed.get(id)!;
    for (let holds = held.get(id)!; holds < want; holds++) owners[free.pop()!] = id;
  }
  assert(free.length === 0, 'every slot has an owner');
  return owners as number[];
}

/** How many slots each may have. What rounding leaves goes to the largest remainders, then to who has most. */
function allowances(
  count: number,
  among: readonly Share[],
  held: ReadonlyMap<number, number>,
): Map<number, number> {
  const isEqual = among.every(({ weight }) => weight === among[0]!.weight);
  const weights = new Map(among.map(({ id, weight }) => [id, isEqual ? 1 : weight]));
  let total = 0;
  for (const weight of weights.values()) total += weight;
  const allowed = new Map<number, number>();
  let left = count;
  for (const [id, weight] of weights) {
    const floor = Math.max(1, Math.floor((count * weight) / total));
    allowed.set(id, floor);
    left -= floor;
  }
  const excess = (id: number) => Number(held.get(id)! > allowed.get(id)!);
  const remainder = (id: number) => (count * weights.get(id)!) % total;
  const order = among
    .map(({ id }) => id)
    .sort((a, b) => remainder(b) - remainder(a) || excess(b) - excess(a) || a - b);
  for (let at = 0; left > 0; at = (at + 1) % order.length, left--)
    allowed.set(order[at]!, allowed.get(order[at]!)! + 1);
  // The least ones took more than their share: the largest pay for it.
  while (left < 0) {
    const [largest] = [...allowed].sort((a, b) => b[1] - a[1] || a[0] - b[0])[0]!;
    allowed.set(largest, allowed.get(largest)! - 1);
    left++;
  }
  return allowed;
}
