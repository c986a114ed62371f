import type { Logger } from '@swarm/api';
import type { StoreChange } from './store.js';

type Listener = (change: StoreChange) => void;

/** Watchers of applied changes, in the order in which they were added. */
export class Watchers {
  readonly #listeners = new Set<{ readonly listener: Listener }>();
  readonly #logger: Logger;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** @returns a function that removes the watcher, safe to call twice */
  add(listener: Listener): () => void {
    const entry = { listener };
    this.#listeners.add(entry);
    return () => {
      this.#listeners.delete(entry);
    };
  }

  /** Calls all watchers. Logs one that throws and keeps it: it must not stop the others. */
  notify(change: StoreChange): void {
    for (const entry of [...this.#listeners]) {
      if (!this.#listeners.has(entry)) continue;
      try {
        entry.listener(change);
      } catch (error) {
        this.#logger.error({ err: error, index: change.index }, 'a watcher of the store failed');
      }
    }
  }
}
