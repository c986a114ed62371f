import type { Clock } from '@swarm/api';
import {
  NODE_RECEIVED_BYTES,
  NODE_RECEIVED_MESSAGES,
  NODE_STATUS_BYTES,
  NODE_STATUS_ENTRIES,
  NODE_STATUSES,
  NODE_WRITES,
} from './limits.js';
import { type Rate, TokenBucket } from '../token-bucket.js';

/** Several budgets that are spent together. */
export class Budget {
  readonly #buckets: readonly TokenBucket[];
  readonly #clock: Clock;

  constructor(clock: Clock, ...rates: readonly Rate[]) {
    this.#clock = clock;
    this.#buckets = rates.map((rate) => new TokenBucket(rate, clock.monotonicMs()));
  }

  /** @param amounts in the order of the rates */
  spend(...amounts: readonly number[]): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [index, bucket] of this.#buckets.entries()) bucket.spend(amounts[index] ?? 0, nowMs);
  }

  /** Milliseconds until all of them allow more. */
  waitMs(): number {
    const nowMs = this.#clock.monotonicMs();
    return Math.max(...this.#buckets.map((bucket) => bucket.waitMs(nowMs)));
  }
}

/**
 * What one node may make the leader do. It spans the node's sessions, so that a new session brings no new
 * budget.
 */
export interface NodeBudget {
  /** Messages and bytes that are read. */
  readonly received: Budget;
  /** Writes of the node object. */
  readonly writes: Budget;
  /** Log entries, statuses, and bytes of tasks written with them. */
  readonly statuses: Budget;
}

/** The budgets of all nodes. */
export class NodeBudgets {
  readonly #clock: Clock;
  readonly #budgets = new Map<string, NodeBudget>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  of(nodeId: string): NodeBudget {
    let budget = this.#budgets.get(nodeId);
    if (budget === undefined) {
      budget = {
        received: new Budget(this.#clock, NODE_RECEIVED_MESSAGES, NODE_RECEIVED_BYTES),
        writes: new Budget(this.#clock, NODE_WRITES),
        statuses: new Budget(this.#clock, NODE_STATUS_ENTRIES, NODE_STATUSES, NODE_STATUS_BYTES),
      };
      this.#budgets.set(nodeId, budget);
    }
    return budget;
  }

  /** Drops the budget of a node that left the cluster. */
  forget(nodeId: string): void {
    this.#budgets.delete(nodeId);
  }
}
