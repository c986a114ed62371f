import { isDeepStrictEqual } from 'node:util';
import {
  type AgentStatus,
  type Clock,
  compareStates,
  type Logger,
  type Task,
  type TaskStatus,
  type Timer,
} from '@swarm/api';
import type { Transaction } from '../store/store.js';
import { type BatchWriter, type Change, WriterStopped } from './batch-writer.js';
import { STATUS_BATCH_LIMIT, STATUS_FLUSH_MS } from './limits.js';

/** Who reports statuses. */
export interface StatusReporter {
  readonly nodeId: string;
  /** Everything up to this sequence is stored. */
  stored(sequence: number): void;
  /** What was reported is lost: the agent must report all again. */
  lost(reason: string): void;
  /** Too much waits: nothing more is read from this reporter until `resume`. */
  pause(): void;
  resume(): void;
}

interface Report {
  readonly nodeId: string;
  readonly status: TaskStatus;
}

/**
 * Stores the statuses that agents report, many together, the newest of each task. An agent gets its
 * acknowledgement when they are stored, not before: what a leader loses is reported again.
 */
export class StatusWriter {
  readonly #writer: BatchWriter;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #reports = new Map<string, Report>();
  #sequences = new Map<StatusReporter, number>();
  readonly #paused = new Set<StatusReporter>();
  readonly #now: () => number;
  #timer: Timer;
  #writing: Promise<void> | undefined;
  #stopped = false;

  /** @param now time of the store, for AppliedAt */
  constructor(writer: BatchWriter, clock: Clock, logger: Logger, now: () => number) {
    this.#writer = writer;
    this.#clock = clock;
    this.#logger = logger;
    this.#now = now;
  }

  submit(reporter: StatusReporter, message: AgentStatus): void {
    const { nodeId } = reporter;
    for (const { taskId, status } of message.updates) {
      const waiting = this.#reports.get(taskId);
      // Another node's word must not hide that of the task's own; which it is, is looked up on writing.
      const key =
        waiting === undefined || waiting.nodeId === nodeId ? taskId : `${taskId} ${nodeId}`;
      this.#reports.set(key, { nodeId, status });
    }
    this.#sequences.set(reporter, message.sequence);
    if (this.#reports.size < STATUS_BATCH_LIMIT) {
      if (this.#writing === undefined) {
        this.#timer ??= this.#clock.setTimeout(() => this.#flush(), STATUS_FLUSH_MS);
      }
      return;
    }
    if (this.#writing === undefined) {
      this.#flush();
    } else {
      this.#paused.add(reporter);
      reporter.pause();
    }
  }

  /** Forgets a reporter whose session ended. What it reported is stored all the same. */
  forget(reporter: StatusReporter): void {
    this.#sequences.delete(reporter);
    this.#paused.delete(reporter);
  }

  /** Resolves when nothing is under way. What waits is dropped: agents report it to the next leader. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#clock.clearTimeout(this.#timer);
    await this.#writing;
  }

  #flush(): void {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    const reports = this.#reports;
    const sequences = this.#sequences;
    this.#reports = new Map();
    this.#sequences = new Map();
    for (const reporter of this.#paused) reporter.resume();
    this.#paused.clear();

    this.#writing = this.#write(reports, sequences).finally(() => {
      this.#writing = undefined;
      if (this.#stopped || this.#sequences.size === 0) return;
      if (this.#reports.size >= STATUS_BATCH_LIMIT) this.#flush();
      else this.#timer = this.#clock.setTimeout(() => this.#flush(), STATUS_FLUSH_MS);
    });
  }

  async #write(
    reports: ReadonlyMap<string, Report>,
    sequences: ReadonlyMap<StatusReporter, number>,
  ): Promise<void> {
    const changes: Change[] = [];
    for (const [key, report] of reports) {
      const taskId = key.split(' ', 1)[0]!;
      const make: Change['make'] = (transaction) => this.#apply(transaction, taskId, report);
      changes.push({ kind: 'task', id: taskId, make });
    }
    try {
      await this.#writer.write(changes);
      for (const [reporter, sequence] of sequences) reporter.stored(sequence);
    } catch (error) {
      if (error instanceof WriterStopped) return;
      this.#logger.error({ err: error, statuses: reports.size }, 'statuses could not be stored');
      for (const reporter of sequences.keys()) reporter.lost('statuses could not be stored');
    }
  }

  #apply(transaction: Transaction, taskId: string, { nodeId, status }: Report): void {
    const task = transaction.get('task', taskId);
    // Removed meanwhile, or none of the node's business.
    if (task === undefined || task.NodeID !== nodeId) return;
    if (!isNews(task, status)) return;
    const AppliedAt = new Date(this.#now()).toISOString();
    transaction.update('task', { ...task, Status: { ...status, AppliedAt } });
  }
}

/** Observed state never goes back; the same again is not written. */
function isNews(task: Task, status: TaskStatus): boolean {
  const order = compareStates(status.State, task.Status.State);
  if (order !== 0) return order > 0;
  const { AppliedAt: _, ...stored } = task.Status;
  return !isDeepStrictEqual(stored, status);
}
