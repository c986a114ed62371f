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
  /** Also after a stop has resolved: a manager may lose its leadership and gain it again. */
  start(): void;
  /** The loop writes nothing to the store after this resolves. */
  stop(): Promise<void>;
}

/**
 * Makes a loop whose state lives from `start` to `stop`, in a run of its own.
 * @param begin makes a run, which rebuilds its state from the store
 */
export function loopOfRuns(name: string, begin: () => Pick<ControlLoop, 'stop'>): ControlLoop {
  let run: Pick<ControlLoop, 'stop'> | undefined;
  return {
    name,
    start() {
      run ??= begin();
    },
    async stop() {
      const stopping = run;
      run = undefined;
      await stopping?.stop();
    },
  };
}
