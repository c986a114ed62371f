import type { OpKind } from './register.js';

/** What a client knows of an operation. */
export const Outcome = {
  /** No answer (yet): it may have happened, may happen later, or never. */
  Unknown: 'unknown',
  Done: 'done',
  /** It never happened. */
  Refused: 'refused',
} as const;
export type Outcome = (typeof Outcome)[keyof typeof Outcome];

export interface Operation {
  readonly id: number;
  readonly client: number;
  readonly kind: OpKind;
  readonly key: number;
  /** The written value; unused in a read. */
  readonly value: number;
  readonly expected: number;
  /**
   * Calls and answers are numbered in one sequence: an answer has a higher number than any earlier
   * call.
   */
  readonly invoked: number;
  /** Infinite while unknown. */
  returned: number;
  outcome: Outcome;
  /** Read: the value. Otherwise: the value before. */
  before: number;
  /** Cas: whether it wrote. */
  succeeded: boolean;
  /** Write: its place in the log. Read: the index of the state that was read. */
  index: number;
}

export type NewOperation = Pick<Operation, 'client' | 'kind' | 'key' | 'value' | 'expected'>;

/** What clients did and observed, in the order of real time. */
export class History {
  readonly operations: Operation[] = [];
  #moment = 0;

  // Copies field by field: a spread costs more than the rest of an operation.
  invoke({ client, kind, key, value, expected }: NewOperation): Operation {
    const operation: Operation = {
      client,
      kind,
      key,
      value,
      expected,
      id: this.operations.length + 1,
      invoked: ++this.#moment,
      returned: Number.POSITIVE_INFINITY,
      outcome: Outcome.Unknown,
      before: 0,
      succeeded: false,
      index: 0,
    };
    this.operations.push(operation);
    return operation;
  }

  done(operation: Operation, answer: { before: number; succeeded: boolean; index: number }): void {
    operation.returned = ++this.#moment;
    operation.outcome = Outcome.Done;
    operation.before = answer.before;
    operation.succeeded = answer.succeeded;
    operation.index = answer.index;
  }

  refused(operation: Operation): void {
    operation.returned = ++this.#moment;
    operation.outcome = Outcome.Refused;
  }
}
