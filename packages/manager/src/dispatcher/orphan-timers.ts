import type { Clock, Timer } from '@swarm/api';
import type { View } from '../store/store.js';
import type { BatchWriter } from './batch-writer.js';
import { ORPHAN_AFTER_MS } from './limits.js';
import { orphanTasks } from './orphan-tasks.js';

export interface OrphanTimersOptions {
  readonly view: View;
  readonly writer: BatchWriter;
  readonly clock: Clock;
  /** Time of the store, for statuses. */
  readonly timeMs: () => number;
  /** Takes the writes, with their errors. */
  readonly inBackground: (work: Promise<void>) => void;
}

/** Gives up the tasks of each node that is down for ORPHAN_AFTER_MS. */
export class OrphanTimers {
  readonly #options: OrphanTimersOptions;
  readonly #timers = new Map<string, Timer>();

  constructor(options: OrphanTimersOptions) {
    this.#options = options;
  }

  /** @param sinceMs when the node went down, wall clock */
  start(nodeId: string, sinceMs: number): void {
    const { view, writer, clock, timeMs, inBackground } = this.#options;
    this.cancel(nodeId);
    const downMs = Math.max(0, clock.now() - sinceMs);
    const timer = clock.setTimeout(
      () => {
        this.#timers.delete(nodeId);
        const message = 'the node was down for more than 24 hours';
        const isDown = () => view.get('node', nodeId)?.Status.State === 'down';
        inBackground(orphanTasks(view, writer, nodeId, message, timeMs, isDown));
      },
      Math.max(0, ORPHAN_AFTER_MS - downMs),
    );
    this.#timers.set(nodeId, timer);
  }

  /** The node is back, or removed. */
  cancel(nodeId: string): void {
    this.#options.clock.clearTimeout(this.#timers.get(nodeId));
    this.#timers.delete(nodeId);
  }

  stop(): void {
    for (const nodeId of [...this.#timers.keys()]) this.cancel(nodeId);
  }
}
