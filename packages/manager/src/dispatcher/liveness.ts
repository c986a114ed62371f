import type { Clock, Timer } from '@swarm/api';
import * as limits from './limits.js';

interface Watch {
  deadlineMs: number;
  timer: Timer;
}

/** Detects nodes that are silent for too long. A heartbeat costs no timer. */
export class Liveness {
  readonly #clock: Clock;
  readonly #expired: (nodeId: string) => void;
  readonly #watches = new Map<string, Watch>();

  /** @param expired called when a watched node was silent for too long; it is then no longer watched */
  constructor(clock: Clock, expired: (nodeId: string) => void) {
    this.#clock = clock;
    this.#expired = expired;
  }

  /** Watches the node from now on: it expires after `silenceMs` without another call. */
  watch(nodeId: string, silenceMs: number): void {
    const deadlineMs = this.#clock.monotonicMs() + silenceMs;
    const watch = this.#watches.get(nodeId);
    if (watch === undefined) {
      const fresh: Watch = { deadlineMs, timer: undefined };
      this.#watches.set(nodeId, fresh);
      this.#arm(nodeId, fresh);
      return;
    }
    // The timer finds a later deadline when it fires, but would miss an earlier one.
    const sooner = deadlineMs < watch.deadlineMs;
    watch.deadlineMs = deadlineMs;
    if (sooner) this.#arm(nodeId, watch);
  }

  /** Gives a watched node at least this long from now on. */
  extend(nodeId: string, silenceMs: number): void {
    const watch = this.#watches.get(nodeId);
    if (watch === undefined) return;
    watch.deadlineMs = Math.max(watch.deadlineMs, this.#clock.monotonicMs() + silenceMs);
  }

  isWatched(nodeId: string): boolean {
    return this.#watches.has(nodeId);
  }

  /** Nodes that are watched. */
  watched(): Iterable<string> {
    return this.#watches.keys();
  }

  forget(nodeId: string): void {
    this.#clock.clearTimeout(this.#watches.get(nodeId)?.timer);
    this.#watches.delete(nodeId);
  }

  stop(): void {
    for (const nodeId of [...this.#watches.keys()]) this.forget(nodeId);
  }

  #arm(nodeId: string, watch: Watch): void {
    this.#clock.clearTimeout(watch.timer);
    const waitMs = Math.max(0, watch.deadlineMs - this.#clock.monotonicMs());
    watch.timer = this.#clock.setTimeout(() => {
      if (!this.#isDue(watch)) return this.#arm(nodeId, watch);
      // After a long stall of this process, timers fire before sockets are read: lets them be read first.
      this.#clock.setImmediate(() => {
        if (this.#watches.get(nodeId) !== watch) return;
        if (!this.#isDue(watch)) return this.#arm(nodeId, watch);
        this.forget(nodeId);
        this.#expired(nodeId);
      });
    }, waitMs);
  }

  #isDue(watch: Watch): boolean {
    return this.#clock.monotonicMs() >= watch.deadlineMs;
  }
}

/**
 * How long nodes may take to come back to a new leader. Their handshakes begin in turns, so thousands of them
 * need longer than one of them may be silent, and those at the end of the queue are not down.
 * @param nodes those that have to come back
 */
export function leaderGraceMs(nodes: number, heartbeatMs: number): number {
  const queueMs = Math.min((nodes * 1000) / limits.RETURNS_PER_SECOND, limits.LEADER_GRACE_MAX_MS);
  // An agent that has just had an answer from a leader which was cut off waits for this many more.
  const noticeMs = (limits.HEARTBEATS_MISSED + 1) * heartbeatMs;
  return Math.max(noticeMs + limits.LEADER_RETURN_MS, queueMs);
}
