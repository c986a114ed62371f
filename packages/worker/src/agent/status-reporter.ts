import type { AgentStatus, Clock, TaskStatus, Timer } from '@swarm/api';
import {
  STATUS_FLUSH_MS,
  STATUS_INFLIGHT_LIMIT,
  STATUS_FRAME_LIMIT_BYTES,
  STATUS_BATCH_LIMIT,
} from './limits.js';
import { reportableStatus, statusCostBytes } from './reportable.js';
import type { AgentSession } from './session.js';

/**
 * Sends statuses in batches, the newest of each task. The next session gets all statuses again, so the
 * reporter keeps nothing that it sent without an acknowledgement.
 */
export class StatusReporter {
  readonly #clock: Clock;
  readonly #all: () => Iterable<readonly [string, TaskStatus]>;
  readonly #pending = new Map<string, TaskStatus>();
  #session: AgentSession | undefined;
  #sequence = 0;
  #acknowledged = 0;
  #timer: Timer | undefined;

  /** @param all every task with its status, for a new session */
  constructor(clock: Clock, all: () => Iterable<readonly [string, TaskStatus]>) {
    this.#clock = clock;
    this.#all = all;
  }

  /** Sets the session to report to once it is welcomed; undefined without a session. */
  setSession(session: AgentSession | undefined): void {
    this.#session = session;
    this.#sequence = 0;
    this.#acknowledged = 0;
    this.#pending.clear();
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    if (session === undefined) return;
    for (const [taskId, status] of this.#all()) this.#pending.set(taskId, status);
    this.#flush();
  }

  report(taskId: string, status: TaskStatus): void {
    if (this.#session === undefined) return;
    this.#pending.set(taskId, status);
    this.#timer ??= this.#clock.setTimeout(() => this.#flush(), STATUS_FLUSH_MS);
  }

  /** The task is gone: nobody needs its status. */
  forget(taskId: string): void {
    this.#pending.delete(taskId);
  }

  acknowledge(sequence: number): void {
    this.#acknowledged = Math.max(this.#acknowledged, sequence);
    if (this.#timer === undefined) this.#flush();
  }

  #flush(): void {
    this.#timer = undefined;
    while (this.#pending.size > 0 && this.#sequence - this.#acknowledged < STATUS_INFLIGHT_LIMIT) {
      const updates = this.#take();
      if (updates.length === 0) return;
      this.#sequence += 1;
      this.#session?.send({ type: 'status', sequence: this.#sequence, updates });
    }
  }

  /** Takes as many of the waiting statuses as fit into one message. */
  #take(): AgentStatus['updates'] {
    const updates: AgentStatus['updates'][number][] = [];
    let costBytes = 0;
    for (const [taskId, pending] of this.#pending) {
      const status = reportableStatus(pending, this.#clock.now());
      if (status !== undefined) {
        costBytes += statusCostBytes(status);
        if (updates.length >= STATUS_BATCH_LIMIT) break;
        if (updates.length > 0 && costBytes > STATUS_FRAME_LIMIT_BYTES) break;
        updates.push({ taskId, status });
      }
      this.#pending.delete(taskId);
    }
    return updates;
  }
}
