import type { Clock } from '@swarm/api';

/** Strangers remembered; when there are more, forgets the one that was not seen for longest. */
export const STRANGERS_LIMIT = 256;
/**
 * How long after its last attempt a stranger counts. An agent tries every two seconds, one of the managers after
 * the other. Short, so that one that has left and joined again soon stops being named.
 */
export const STRANGER_KEPT_MS = 60_000;

/** A node with a certificate of this cluster that the store does not know. */
export interface Stranger {
  readonly nodeId: string;
  /** Where it connects from, without port. */
  readonly address: string;
  /** Milliseconds since the epoch. */
  readonly lastSeenMs: number;
}

/**
 * Remembers nodes that ask this manager for a session and that the cluster does not know: after a restore,
 * those that joined since the backup. Only a certificate of this cluster gets a node in here.
 */
export class Strangers {
  readonly #clock: Pick<Clock, 'now'>;
  /** In order of the last attempt. */
  readonly #byId = new Map<string, Stranger>();

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  note(nodeId: string, address: string): void {
    this.#byId.delete(nodeId);
    this.#byId.set(nodeId, { nodeId, address, lastSeenMs: this.#clock.now() });
    if (this.#byId.size <= STRANGERS_LIMIT) return;
    for (const oldest of this.#byId.keys()) {
      this.#byId.delete(oldest);
      return;
    }
  }

  /** Those seen lately, the longest known to be silent first. */
  list(): readonly Stranger[] {
    const fromMs = this.#clock.now() - STRANGER_KEPT_MS;
    for (const [nodeId, { lastSeenMs }] of this.#byId) {
      if (lastSeenMs >= fromMs) break;
      this.#byId.delete(nodeId);
    }
    return [...this.#byId.values()];
  }
}
