import type { OpKind } from './register.js';

/** What a client knows of an operation. */
export const Outcome = {
  /** Nothing was heard (yet): it may have happened, may happen later, or never. */
  Unknown: 'unknown',
  Done: 'done',
  /** It surely never happened. */
  Refused: 'refused',
} as const;
export type Outcome = (typeof Outcome)[keyof typeof Outcome];

export interface Operation {
  readonly id: number;
  readonly client: number;
  readonly kind: OpKind;
  readonly key: number;
  /** What is written; a read: unused. */
  readonly value: number;
  readonly expected: number;
  /** Moments are numbered through; an answer comes after what was asked before. */
  readonly invoked: number;
  /** Infinite while unknown. */
  returned: number;
  outcome: Outcome;
  /** A read: the value; else the value before. */
  before: number;
  /** Cas: whether it wrote. */
  succeeded: boolean;
  /** A write: its place in the log. A read: how far the state had come that was read. */
  index: number;
}

export type NewOperation = Pick<Operation, 'client' | 'kind' | 'key' | 'value' | 'expected'>;

/** What clients did and heard, in the order of real time. */
export class History {
  readonly operations: Operation[] = [];
  private moment = 0;

  // Fields one by one: a spread of objects costs more than the rest of an operation.
  invoke({ client, kind, key, value, expected }: NewOperation): Operation {
    const operation: Operation = {
      client,
      kind,
      key,
      value,
      expected,
      id: this.operations.length + 1,
      invoked: ++this.moment,
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
    operation.returned = ++this.moment;
    operation.outcome = Outcome.Done;
    operation.before = answer.before;
    operation.succeeded = answer.succeeded;
    operation.index = answer.index;
  }

  refused(operation: Operation): void {
    operation.returned = ++this.moment;
    operation.outcome = Outcome.Refused;
  }
}
