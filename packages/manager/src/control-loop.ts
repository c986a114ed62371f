import type { Clock, Logger } from '@swarm/api';
import type { Store } from './store/store.js';

/** What every control loop works with. */
export interface LoopContext {
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly randomBytes: (size: number) => Uint8Array;
}

/**
 * A loop that drives observed state towards desired state. Every loop subscribes to the store, makes one
 * pass over what is there, then reacts to changes. Loops run on the leader only; `start` rebuilds from
 * the store whatever a loop keeps in memory.
 */
export interface ControlLoop {
  readonly name: string;
  start(): void;
  /** The loop writes nothing to the store after this resolves. */
  stop(): Promise<void>;
}
