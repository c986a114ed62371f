import type { Clock, Logger } from '@swarm/api';
import type { Store } from './store/store.js';

/** What every control loop is given. */
export interface LoopContext {
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly randomBytes: (size: number) => Uint8Array;
}

/**
 * A loop that drives observed state to desired state. All have the same outline: subscribe to the
 * store, one pass over what is there, then react to changes. Runs on the leader only; whatever it keeps
 * in memory must be rebuilt by `start` from the store.
 */
export interface ControlLoop {
  readonly name: string;
  start(): void;
  /** No store writes after it resolved. */
  stop(): Promise<void>;
}
