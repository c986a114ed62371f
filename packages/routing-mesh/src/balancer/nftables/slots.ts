import assert from 'node:assert/strict';

/** Divisible by 1 to 6, 10, 12, 15, 20 and 30: a few endpoints get exactly equal shares. */
export const SLOTS_NARROW = 60;
/** For more endpoints than half of the narrow count. */
export const SLOTS_WIDE = 840;
/** Endpoints beyond this behind one port get no slot on a node. */
export const MAX_ENDPOINTS_PER_PORT = SLOTS_WIDE;

/** How many slots a port with this many endpoints has; 0 without endpoints. */
export function slotCount(endpoints: number): number {
  if (endpoints === 0) return 0;
  return endpoints <= SLOTS_NARROW / 2 ? SLOTS_NARROW : SLOTS_WIDE;
}

/**
 * Assigns slots to endpoints: each gets floor or ceiling of the mean, and a slot changes its owner only where
 * that rule demands it, so a small change is a small transaction.
 * @param previous owners so far; ignored if of another length
 * @param ids endpoint ids, distinct
 * @returns the owner of each slot
 */
export function shareSlots(previous: readonly number[], ids: readonly number[]): number[] {
  const count = slotCount(ids.length);
  if (count === 0) return [];
  assert(ids.length <= count, 'more endpoints than slots');
  const owners: (number | undefined)[] =
    previous.length === count ? [...previous] : new Array<undefined>(count).fill(undefined);
  const floor = Math.floor(count / ids.length);
  let spare = count % ids.length;
  const held = new Map(ids.map((id) => [id, 0]));
  const free: number[] = [];

  // First pass: endpoints with more than a fair share, and removed ones, give slots back.
  const allowed = new Map<number, number>();
  for (const owner of owners) {
    if (owner !== undefined && held.has(owner)) held.set(owner, held.get(owner)! + 1);
  }
  for (const id of ids) {
    const extra = held.get(id)! > floor && spare > 0 ? 1 : 0;
    spare -= extra;
    allowed.set(id, floor + extra);
    held.set(id, 0);
  }
  for (let slot = 0; slot < count; slot++) {
    const owner = owners[slot];
    const holds = owner === undefined ? undefined : held.get(owner);
    if (owner === undefined || holds === undefined || holds >= allowed.get(owner)!) free.push(slot);
    else held.set(owner, holds + 1);
  }
  // Second pass: free slots go to those below their share, spare ones in order of id.
  for (const id of ids) {
    let want = allowed.get(id)!;
    if (want === floor && spare > 0) {
      want++;
      spare--;
    }
    for (let holds = held.get(id)!; holds < want; holds++) owners[free.pop()!] = id;
  }
  assert(free.length === 0, 'every slot has an owner');
  return owners as number[];
}
