import { isUp } from './observations.js';
import type { Slot } from './slot.js';

/**
 * Sorts slots by which to keep first when there are too many (SwarmKit replicated/services.go, slot.go):
 * first the only copies on their nodes, then second copies, and so on, so that what is left is spread;
 * among equals the running ones, then the low numbers. Slots without a node, or with several tasks, come
 * last.
 */
export function keepOrder(slots: readonly Slot[]): Slot[] {
  const byRunning = [...slots].sort(
    (a, b) => Number(isRunning(b)) - Number(isRunning(a)) || a.number - b.number,
  );
  const copies = new Map<string, number>();
  const ranked = byRunning.map((slot) => {
    const live = [...slot.good, ...slot.lost, ...slot.failed];
    const node = live.length === 1 ? live[0]?.NodeID : undefined;
    if (!node) return { slot, rank: Number.POSITIVE_INFINITY };
    const rank = (copies.get(node) ?? 0) + 1;
    copies.set(node, rank);
    return { slot, rank };
  });
  // The sort is stable: equal ranks stay in the order of `byRunning`. Infinities compare as equal.
  ranked.sort((a, b) => (a.rank === b.rank ? 0 : a.rank - b.rank));
  return ranked.map(({ slot }) => slot);
}

/** Returns the lowest free slot numbers, from `first`. */
export function freeSlots(taken: ReadonlySet<number>, count: number, first = 1): number[] {
  const free: number[] = [];
  for (let number = first; free.length < count; number++) {
    if (!taken.has(number)) free.push(number);
  }
  return free;
}

function isRunning(slot: Slot): boolean {
  return slot.good.some(isUp);
}
