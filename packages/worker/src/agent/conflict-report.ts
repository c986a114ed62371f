import type { Clock, Timer } from '@swarm/api';
import { CONFLICTS_REPORT_MS } from './limits.js';
import type { TaskMesh } from './task-mesh.js';

export interface ConflictReportOptions {
  readonly mesh: Pick<TaskMesh, 'watchConflicts' | 'watchPaths' | 'watchEncryption'>;
  readonly clock: Clock;
  /** Whether a session is being opened, so that the report has to wait. */
  readonly isOpening: () => boolean;
  readonly report: () => void;
}

/**
 * Has ports reported that this node does not serve, nodes that it does not reach, and another key of it; several
 * changes at once.
 */
export class ConflictReport {
  readonly #options: ConflictReportOptions;
  #timer: Timer;
  #unwatch: readonly (() => void)[] = [];

  constructor(options: ConflictReportOptions) {
    this.#options = options;
  }

  start(): void {
    const { mesh } = this.#options;
    const schedule = () => this.#schedule();
    this.#unwatch = [
      mesh.watchConflicts(schedule),
      mesh.watchPaths(schedule),
      mesh.watchEncryption(schedule),
    ];
  }

  close(): void {
    this.#options.clock.clearTimeout(this.#timer);
    for (const unwatch of this.#unwatch) unwatch();
  }

  #schedule(): void {
    const { clock, isOpening, report } = this.#options;
    this.#timer ??= clock.setTimeout(() => {
      this.#timer = undefined;
      if (isOpening()) this.#schedule();
      else report();
    }, CONFLICTS_REPORT_MS);
  }
}
