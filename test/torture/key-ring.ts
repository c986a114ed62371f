import {
  checkLinearizable,
  type History,
  type NewOperation,
  type Operation,
  OpKind,
  Outcome,
  type Prng,
  Verdict,
} from '@swarm/sim';
import type { StateImage } from './member-protocol.js';
import type { TortureProblems } from './problems.js';

/** Keys in use at a time: few, so that clients meet. */
const KEYS = 4;
/**
 * Retires a key after this many operations, or this many with unknown outcome: the search for an
 * order grows with the number of the first and doubles with each of the second.
 */
const OPERATIONS_PER_KEY = 150;
const UNKNOWN_PER_KEY = 8;

interface KeyHistory {
  readonly operations: Operation[];
  /** How many of those have no answer yet and still may get one. */
  open: number;
  unknown: number;
  retired: boolean;
  /** The last observed value. */
  seen: number;
}

/**
 * The keys that clients use, and what they did with each. A key is judged as soon as it is retired.
 */
export class KeyRing {
  private readonly history: History;
  private readonly problems: TortureProblems;
  private readonly keys: KeyHistory[] = [];
  private active: number[] = [];
  private lastValue = 0;

  constructor(history: History, problems: TortureProblems) {
    this.history = history;
    this.problems = problems;
    while (this.active.length < KEYS) this.active.push(this.newKey());
  }

  get count(): number {
    return this.keys.length;
  }

  pick(prng: Prng): number {
    return prng.pick(this.active);
  }

  seen(key: number): number {
    return this.keys[key]!.seen;
  }

  /** A value that was never given out before. */
  nextValue(): number {
    return ++this.lastValue;
  }

  invoke(fields: NewOperation): Operation {
    const operation = this.history.invoke(fields);
    const own = this.keys[fields.key]!;
    own.operations.push(operation);
    own.open++;
    if (own.operations.length >= OPERATIONS_PER_KEY) this.retire(fields.key);
    return operation;
  }

  done(
    operation: Operation,
    answer: { readonly before: number; readonly succeeded: boolean; readonly index: number },
  ): void {
    this.history.done(operation, answer);
    const own = this.keys[operation.key]!;
    own.seen = answer.succeeded ? operation.value : answer.before;
    this.settled(operation.key);
  }

  refused(operation: Operation): void {
    this.history.refused(operation);
    this.settled(operation.key);
  }

  /** Notes that nobody will ever learn the outcome. */
  unknown(operation: Operation): void {
    const own = this.keys[operation.key]!;
    own.unknown++;
    if (own.unknown >= UNKNOWN_PER_KEY) this.retire(operation.key);
    this.settled(operation.key);
  }

  /** Reads every key so far, as one member has it; `judgeAll` judges the result. */
  async readAll(client: number, read: () => Promise<StateImage>): Promise<void> {
    const operations = this.keys.map((own, key) => {
      const operation = this.history.invoke({
        ...{ client, key, kind: OpKind.Read, value: 0, expected: 0 },
      });
      own.operations.push(operation);
      return operation;
    });
    const { index, values } = await read();
    const has = new Map(values);
    for (const operation of operations) {
      const before = has.get(operation.key) ?? 0;
      this.history.done(operation, { before, succeeded: false, index });
    }
  }

  /** @returns the verdict on everything; one key that is not linearizable decides it */
  judgeAll(): Verdict {
    let worst: Verdict = Verdict.Linearizable;
    for (const key of this.keys.keys()) {
      const verdict = this.judge(key);
      if (verdict === Verdict.Not) worst = verdict;
      else if (verdict === Verdict.Undecided && worst !== Verdict.Not) worst = verdict;
    }
    return worst;
  }

  private newKey(): number {
    this.keys.push({ operations: [], open: 0, unknown: 0, retired: false, seen: 0 });
    return this.keys.length - 1;
  }

  private retire(key: number): void {
    const own = this.keys[key]!;
    if (own.retired) return;
    own.retired = true;
    this.active = this.active.map((each) => (each === key ? this.newKey() : each));
  }

  private settled(key: number): void {
    const own = this.keys[key]!;
    own.open--;
    if (own.retired && own.open === 0) this.judge(key);
  }

  private judge(key: number): Verdict {
    const { operations } = this.keys[key]!;
    const { verdict } = checkLinearizable(operations);
    if (verdict === Verdict.Linearizable) return verdict;
    const unknown = operations.filter(({ outcome }) => outcome === Outcome.Unknown).length;
    this.problems.add(
      `key ${key} is ${verdict === Verdict.Not ? 'not linearizable' : 'undecided'}: ` +
        `${operations.length} operations, ${unknown} unknown`,
    );
    return verdict;
  }
}
