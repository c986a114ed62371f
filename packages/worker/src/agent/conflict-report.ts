import type { Clock, Timer } from '@swarm/api';
import { CONFLICTS_REPORT_MS } from './limits.js';
import type { TaskMesh } from './task-mesh.js';

export interface ConflictReportOptions {
  readonly mesh: Pick<TaskMesh, 'watchConflicts' | 'watchEncryption'>;
  readonly clock: Clock;
  /** Whether a session is being opened, so that the report has to wait. */
  readonly isOpening: () => boolean;
  readonly report: () => void;
}

/** Has ports that this node does not serve, and another key of it, reported; several changes at once. */
export class ConflictReport {
  readonly #options: ConflictReportOptions;
  #timer: Timer;
  #unwatch: () => void = () => {};

  constructor(options: ConflictReportOptions) {
    this.#options = options;
  }

  start(): void {
    const { mesh } = this.#options;
    const unwatch = [
      mesh.watchConflicts(() => this.#schedule()),
      mesh.watchEncryption(() => this.#schedule()),
    ];
    this.#unwatch = () => {
      for (const end of unwatch) end();
    };
  }

  close(): void {
    this.#options.clock.clearTimeout(this.#timer);
    this.#unwatch();
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
