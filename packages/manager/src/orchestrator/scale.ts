import type { Task } from '@swarm/api';
import { isUp } from './observations.js';
import type { Slot } from './slot.js';

/** A slot, and the branches that its task's node is in: those of the preferences, then the node itself. */
interface PlacedSlot {
  readonly slot: Slot;
  readonly path: readonly string[];
}

/**
 * Sorts slots by which to keep first when there are too many, so that what is left is spread as the scheduler
 * would place it: at each level of the preference tree, and then among nodes, first the first slot of every
 * branch, then the second ones, and so on. What goes, from the end, is taken where most are. Among equals the
 * running slots come first, then the low numbers (SwarmKit replicated/services.go, slot.go). Slots without a
 * node come last.
 * @param branches values of the preferences' labels on a node, from the root down
 */
export function keepOrder(
  slots: readonly Slot[],
  branches: (nodeId: string) => readonly string[] = () => [],
): Slot[] {
  const byRunning = [...slots].sort(
    (a, b) => Number(isRunning(b)) - Number(isRunning(a)) || a.number - b.number,
  );
  const placed: PlacedSlot[] = [];
  const unplaced: Slot[] = [];
  for (const slot of byRunning) {
    const nodeId = nodeOf(slot);
    if (nodeId === undefined) unplaced.push(slot);
    else placed.push({ slot, path: [...branches(nodeId), nodeId] });
  }
  const order = new Map(byRunning.map((slot, index) => [slot, index]));
  const rankOf = ({ slot }: PlacedSlot): number => order.get(slot) ?? 0;
  return [...takeTurns(placed, 0, rankOf).map(({ slot }) => slot), ...unplaced];
}

/** Lets the branches below a level take turns. */
function takeTurns(
  slots: readonly PlacedSlot[],
  level: number,
  rankOf: (slot: PlacedSlot) => number,
): PlacedSlot[] {
  const [first] = slots;
  if (first === undefined || level === first.path.length) return [...slots];
  const branches = new Map<string, PlacedSlot[]>();
  for (const placed of slots) {
    const name = placed.path[level] as string;
    const branch = branches.get(name);
    if (branch === undefined) branches.set(name, [placed]);
    else branch.push(placed);
  }
  const turns = [...branches.values()].flatMap((branch) =>
    takeTurns(branch, level + 1, rankOf).map((placed, turn) => ({ placed, turn })),
  );
  turns.sort((a, b) => a.turn - b.turn || rankOf(a.placed) - rankOf(b.placed));
  return turns.map(({ placed }) => placed);
}

/** Where the slot's task is: the target's node, before it has one that of a task it replaces. */
function nodeOf({ target, good }: Slot): string | undefined {
  const hasNode = (task: Task | undefined) => task?.NodeID !== undefined && task.NodeID !== '';
  return (hasNode(target) ? target : good.findLast(hasNode))?.NodeID;
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
