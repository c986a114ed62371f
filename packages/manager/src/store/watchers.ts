import type { Logger } from '@swarm/api';
import type { StoreChange } from './store.js';

type Listener = (change: StoreChange) => void;

/** Who is told of applied changes, in the order in which they asked. */
export class Watchers {
  readonly #listeners = new Set<{ readonly listener: Listener }>();
  readonly #logger: Logger;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** @returns ends it; calling that twice does no harm */
  add(listener: Listener): () => void {
    const entry = { listener };
    this.#listeners.add(entry);
    return () => {
      this.#listeners.delete(entry);
    };
  }

  /** Tells all. One that throws is logged and keeps its place: it must not stop the others. */
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
