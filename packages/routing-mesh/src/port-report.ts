import { type Logger, meshPortOf, type PortConflict, type PortKey } from '@swarm/api';
import { sameReasons } from './port-guard.js';

/** Published ports that this node does not serve, and who wants to hear of it. */
export class PortReport {
  readonly #logger: Logger;
  readonly #listeners = new Set<() => void>();
  #unserved: ReadonlyMap<PortKey, string> = new Map();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  get conflicts(): readonly PortConflict[] {
    return [...this.#unserved].map(([key, Reason]) => {
      const { protocol, publishedPort } = meshPortOf(key);
      return { Protocol: protocol, PublishedPort: publishedPort, Reason };
    });
  }

  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Calls the listeners. */
  tell(): void {
    for (const listener of this.#listeners) listener();
  }

  /** Tells listeners what is not served, if that is news. */
  follow(unserved: ReadonlyMap<PortKey, string>): void {
    const before = this.#unserved;
    if (sameReasons(before, unserved)) return;
    this.#unserved = unserved;
    for (const [port, reason] of unserved) {
      if (before.get(port) !== reason)
        this.#logger.warn({ port, reason }, 'a published port is not served on this node');
    }
    for (const port of before.keys()) {
      if (!unserved.has(port)) this.#logger.info({ port }, 'a published port is served again');
    }
    this.tell();
  }
}
