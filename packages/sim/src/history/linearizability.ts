import { type Operation, Outcome } from './history.js';
import { OpKind } from './register.js';

export const Verdict = {
  Linearizable: 'linearizable',
  Not: 'not',
  Undecided: 'undecided',
} as const;
export type Verdict = (typeof Verdict)[keyof typeof Verdict];

/** Steps after which the search for one key gives up. */
export const SEARCH_LIMIT_STEPS = 2_000_000;

/** A call or a return in a doubly linked list, in the order of real time. */
interface Node {
  readonly operation: Operation;
  /** In a call: its return. In a return: undefined. */
  readonly match: Node | undefined;
  /** Bit of the operation. */
  readonly bit: number;
  previous: Node | undefined;
  next: Node | undefined;
}

/**
 * Checks whether a history of registers is linearizable: each operation can be given a moment
 * between its call and its return, so that in the order of these moments the answers make sense.
 *
 * The search is Wing and Gong's (1993) with Lowe's improvements (2017): linearize an operation as
 * soon as nothing that returned before its call is left, backtrack when stuck, and remember every
 * pair of (operations linearized, state) so as not to search from it again. A history is
 * linearizable if each key is (P-compositionality, as in Porcupine). An operation with unknown
 * outcome never returns, so it may take effect at any later moment, or at the very end, where
 * nobody sees it.
 */
export function checkLinearizable(
  operations: readonly Operation[],
  limitSteps = SEARCH_LIMIT_STEPS,
): { readonly verdict: Verdict; readonly key?: number } {
  const keys = new Set(operations.map(({ key }) => key));
  let undecided: number | undefined;
  for (const key of keys) {
    const own = operations.filter(
      (operation) => operation.key === key && operation.outcome !== Outcome.Refused,
    );
    const verdict = checkKey(withoutInvisible(own), limitSteps);
    if (verdict === Verdict.Not) return { verdict, key };
    if (verdict === Verdict.Undecided) undecided = key;
  }
  if (undecided !== undefined) return { verdict: Verdict.Undecided, key: undecided };
  return { verdict: Verdict.Linearizable };
}

/**
 * Leaves out unknown operations that nobody can have seen. Every completed operation reports the
 * value it found, so a value that none of them found was overwritten first, or never written.
 * Because values are written once, the history is linearizable with such a write exactly if it is
 * without.
 */
function withoutInvisible(operations: readonly Operation[]): Operation[] {
  const found = new Set<number>();
  for (const operation of operations) {
    if (operation.outcome === Outcome.Done) found.add(operation.before);
  }
  return operations.filter(
    ({ outcome, kind, value }) =>
      outcome === Outcome.Done || (kind !== OpKind.Read && found.has(value)),
  );
}

/** @returns the state after, or undefined when the operation cannot have happened in this state */
function step(state: number, operation: Operation): number | undefined {
  const { kind, value, expected, before, outcome, succeeded } = operation;
  const known = outcome === Outcome.Done;
  if (known && before !== state) return undefined;
  switch (kind) {
    case OpKind.Read:
      return state;
    case OpKind.Write:
      return value;
    case OpKind.Cas: {
      const writes = state === expected;
      if (known && writes !== succeeded) return undefined;
      return writes ? value : state;
    }
  }
}

function checkKey(operations: readonly Operation[], limitSteps: number): Verdict {
  const head = linkUp(operations);
  const linearized = new Bits(operations.length);
  const visited = new Set<string>();
  const stack: { readonly call: Node; readonly state: number }[] = [];
  let open = operations.filter(({ returned }) => returned !== Number.POSITIVE_INFINITY).length;
  let state = 0;
  let at = head.next;
  let steps = 0;
  while (open > 0) {
    if (++steps > limitSteps) return Verdict.Undecided;
    if (at?.match !== undefined) {
      const after = step(state, at.operation);
      if (after !== undefined && remember(visited, linearized, at.bit, after)) {
        stack.push({ call: at, state });
        state = after;
        linearized.set(at.bit);
        lift(at);
        if (at.operation.returned !== Number.POSITIVE_INFINITY) open--;
        at = head.next;
        continue;
      }
      at = at.next;
      continue;
    }
    // A return (or the end) that no earlier call explains: the last choice was wrong.
    const last = stack.pop();
    if (last === undefined) return Verdict.Not;
    state = last.state;
    linearized.clear(last.call.bit);
    unlift(last.call);
    if (last.call.operation.returned !== Number.POSITIVE_INFINITY) open++;
    at = last.call.next;
  }
  return Verdict.Linearizable;
}

/** @returns whether this pair is new */
function remember(visited: Set<string>, linearized: Bits, bit: number, state: number): boolean {
  const key = linearized.keyWith(bit, state);
  if (visited.has(key)) return false;
  visited.add(key);
  return true;
}

/** Links calls and returns in order of time, after a head that is neither. */
function linkUp(operations: readonly Operation[]): Node {
  const points: { readonly at: number; readonly node: Node }[] = [];
  for (const [bit, operation] of operations.entries()) {
    const links = { previous: undefined, next: undefined };
    const end: Node = { operation, match: undefined, bit, ...links };
    points.push({ at: operation.invoked, node: { operation, match: end, bit, ...links } });
    points.push({ at: operation.returned, node: end });
  }
  points.sort((a, b) => (a.at === b.at ? 0 : a.at - b.at));
  const none = operations[0] as Operation;
  const head: Node = {
    operation: none,
    match: undefined,
    bit: -1,
    previous: undefined,
    next: undefined,
  };
  let last = head;
  for (const { node } of points) {
    node.previous = last;
    last.next = node;
    last = node;
  }
  return head;
}

/** Takes a call and its return out of the list. */
function lift(call: Node): void {
  unlink(call);
  unlink(call.match!);
}

/** Puts both back where they were. Calls must mirror the order of `lift`. */
function unlift(call: Node): void {
  relink(call.match!);
  relink(call);
}

function unlink(node: Node): void {
  node.previous!.next = node.next;
  if (node.next !== undefined) node.next.previous = node.previous;
}

function relink(node: Node): void {
  node.previous!.next = node;
  if (node.next !== undefined) node.next.previous = node;
}

/**
 * A set of small numbers, turned into text for comparison. The search moves through time, so the
 * set holds all but a few numbers below the highest: only what follows the full words becomes text.
 */
class Bits {
  readonly #words: Uint32Array;
  /** Words before this one are full. */
  #full = 0;
  /** Words from this one on are empty. */
  #end = 0;

  constructor(count: number) {
    this.#words = new Uint32Array((count + 31) >>> 5);
  }

  set(bit: number): void {
    const at = bit >>> 5;
    this.#words[at]! |= 1 << (bit & 31);
    if (at >= this.#end) this.#end = at + 1;
    while (this.#words[this.#full] === FULL_WORD) this.#full++;
  }

  clear(bit: number): void {
    const at = bit >>> 5;
    this.#words[at]! &= ~(1 << (bit & 31));
    if (at < this.#full) this.#full = at;
    while (this.#end > 0 && this.#words[this.#end - 1] === 0) this.#end--;
  }

  /** Returns a key for this set with `bit` added, together with a state. */
  keyWith(bit: number, state: number): string {
    this.set(bit);
    let key = `${state}:${this.#full}`;
    for (let at = this.#full; at < this.#end; at++) key += `,${this.#words[at]}`;
    this.clear(bit);
    return key;
  }
}

const FULL_WORD = 0xffffffff;
