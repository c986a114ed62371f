import type { Clock, Logger, Timer } from '@swarm/api';
import { DRAIN_HOLD_LIMIT_MS } from './limits.js';

interface Hold {
  readonly generation: number;
  readonly deadlineMs: number;
}

export interface DrainGateOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Nodes that may still route by a generation before this one. */
  readonly behind: (generation: number) => readonly string[];
  /** Called when the tasks may be sent to their agents. */
  readonly release: (taskIds: readonly string[]) => void;
}

/**
 * Holds back the order to stop a task until no node sends it traffic: all nodes acknowledge the endpoint's
 * removal, then the task drains, then it stops. Never holds it longer than DRAIN_HOLD_LIMIT_MS.
 */
export class DrainGate {
  readonly #options: DrainGateOptions;
  /** In order of deadline, since all are held equally long. */
  readonly #holds = new Map<string, Hold>();
  #timer: Timer;
  #checking = false;
  #stopped = false;

  constructor(options: DrainGateOptions) {
    this.#options = options;
  }

  /** Holds a task until every node has `generation`, the first one without the task. */
  hold(taskId: string, generation: number): void {
    if (this.#holds.has(taskId)) return;
    const deadlineMs = this.#options.clock.monotonicMs() + DRAIN_HOLD_LIMIT_MS;
    this.#holds.set(taskId, { generation, deadlineMs });
    this.#arm();
    this.changed();
  }

  isHeld(taskId: string): boolean {
    return this.#holds.has(taskId);
  }

  /** Checks soon whether tasks can be released, after a node acknowledged, came or went. */
  changed(): void {
    if (this.#checking || this.#holds.size === 0) return;
    this.#checking = true;
    this.#options.clock.setImmediate(() => {
      this.#checking = false;
      if (!this.#stopped) this.#check();
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#options.clock.clearTimeout(this.#timer);
    this.#holds.clear();
  }

  #check(): void {
    // There are few generations: asks about each once.
    const done = new Map<number, boolean>();
    const released: string[] = [];
    for (const [taskId, { generation }] of this.#holds) {
      if (!done.has(generation)) {
        done.set(generation, this.#options.behind(generation).length === 0);
      }
      if (done.get(generation) === true) released.push(taskId);
    }
    this.#release(released);
  }

  #expire(): void {
    const { clock, logger, behind } = this.#options;
    const nowMs = clock.monotonicMs();
    const released: string[] = [];
    for (const [taskId, { generation, deadlineMs }] of this.#holds) {
      if (deadlineMs > nowMs) break;
      released.push(taskId);
      const nodes = behind(generation).slice(0, 10);
      logger.warn(
        { taskId, generation, nodes, limitMs: DRAIN_HOLD_LIMIT_MS },
        'a task is stopped although not all nodes acknowledged that it gets no traffic',
      );
    }
    this.#release(released);
  }

  #release(taskIds: readonly string[]): void {
    if (taskIds.length > 0) {
      for (const taskId of taskIds) this.#holds.delete(taskId);
      this.#options.release(taskIds);
    }
    this.#arm();
  }

  #arm(): void {
    const { clock } = this.#options;
    clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    const [first] = this.#holds.values();
    if (first === undefined) return;
    const waitMs = Math.max(0, first.deadlineMs - clock.monotonicMs());
    this.#timer = clock.setTimeout(() => this.#expire(), waitMs);
  }
}
