import { isDeepStrictEqual } from 'node:util';
import {
  type AgentStatus,
  ApiError,
  type Clock,
  compareStates,
  isTerminal,
  type Logger,
  type Task,
  type TaskStatus,
  type Timer,
} from '@swarm/api';
import { laterTime } from '../orchestrator/time.js';
import type { Transaction, View } from '../store/store.js';
import { type BatchWriter, WriterStopped } from './batch-writer.js';
import { STATUS_FLUSH_MS } from './limits.js';
import type { NodeBudgets } from './node-budgets.js';
import { SpecSizes } from './spec-sizes.js';

/** A session that reports statuses. */
export interface StatusReporter {
  readonly nodeId: string;
  /** Called when everything up to this sequence is stored. */
  stored(sequence: number): void;
  /** Called when reports are lost, so that the agent must report everything again. */
  lost(reason: string): void;
}

export interface StatusWriterOptions {
  readonly view: View;
  readonly writer: BatchWriter;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly budgets: NodeBudgets;
  /** Time of the store, for AppliedAt. */
  readonly timeMs: () => number;
}

/** The reports of one node that are not stored yet. */
interface Pending {
  readonly nodeId: string;
  /** The newest status of each of its tasks. */
  readonly statuses: Map<string, TaskStatus>;
  /** Sessions that wait for an answer, with the newest sequence of each. */
  readonly sequences: Map<StatusReporter, number>;
  writing: boolean;
  /** Fires when its budget allows. */
  timer: Timer | undefined;
}

/** What one write stores for one node. */
interface Batch {
  readonly pending: Pending;
  readonly statuses: readonly (readonly [string, TaskStatus])[];
  readonly sequences: ReadonlyMap<StatusReporter, number>;
}

/**
 * Stores the statuses that agents report, many together, the newest of each task. Acknowledges them only when
 * they are stored: agents report again what a leader loses.
 *
 * One write is under way for each node, and none while the node exceeds its budget. Later reports wait, one
 * status a task: so a node never takes more room here than its tasks, and no other node waits for it.
 */
export class StatusWriter {
  readonly #options: StatusWriterOptions;
  readonly #pending = new Map<string, Pending>();
  /** Nodes whose statuses go with the next flush. */
  readonly #ready = new Set<Pending>();
  readonly #sizes = new SpecSizes();
  readonly #running = new Set<Promise<void>>();
  #timer: Timer;
  #stopped = false;

  constructor(options: StatusWriterOptions) {
    this.#options = options;
  }

  submit(reporter: StatusReporter, message: AgentStatus): void {
    const { nodeId } = reporter;
    let pending = this.#pending.get(nodeId);
    for (const { taskId, status } of message.updates) {
      const task = this.#options.view.get('task', taskId);
      // It was removed meanwhile, or belongs to another node.
      if (task?.NodeID !== nodeId) continue;
      // While an older status is under way or waits, the stored one does not show what is new.
      const isKnown = pending?.writing !== true && !pending?.statuses.has(taskId);
      if (isKnown && !isNews(task, ownPorts(task, status))) continue;
      pending ??= this.#begin(nodeId);
      pending.statuses.set(taskId, status);
    }
    if (pending === undefined) {
      reporter.stored(message.sequence);
      return;
    }
    pending.sequences.set(reporter, message.sequence);
    this.#schedule(pending);
  }

  /** Forgets a reporter whose session ended. Its reports are stored all the same. */
  forget(reporter: StatusReporter): void {
    this.#pending.get(reporter.nodeId)?.sequences.delete(reporter);
  }

  /** Drops what waits, which agents report to the next leader. Resolves once nothing is under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    const { clock } = this.#options;
    clock.clearTimeout(this.#timer);
    for (const { timer } of this.#pending.values()) clock.clearTimeout(timer);
    await Promise.allSettled(this.#running);
  }

  #begin(nodeId: string): Pending {
    const pending: Pending = {
      nodeId,
      statuses: new Map(),
      sequences: new Map(),
      writing: false,
      timer: undefined,
    };
    this.#pending.set(nodeId, pending);
    return pending;
  }

  #schedule(pending: Pending): void {
    if (this.#stopped || pending.writing || pending.timer !== undefined) return;
    const { clock, budgets } = this.#options;
    const waitMs = budgets.of(pending.nodeId).statuses.waitMs();
    if (waitMs > 0) {
      pending.timer = clock.setTimeout(() => {
        pending.timer = undefined;
        this.#schedule(pending);
      }, waitMs);
      return;
    }
    this.#ready.add(pending);
    this.#timer ??= clock.setTimeout(() => {
      this.#timer = undefined;
      this.#flush();
    }, STATUS_FLUSH_MS);
  }

  #flush(): void {
    const batches: Batch[] = [];
    for (const pending of this.#ready) {
      const statuses = [...pending.statuses];
      const sequences = new Map(pending.sequences);
      pending.statuses.clear();
      pending.sequences.clear();
      pending.writing = true;
      batches.push({ pending, statuses, sequences });
      if (statuses.length > 0) this.#spend(pending.nodeId, statuses);
    }
    this.#ready.clear();
    const running = this.#write(batches).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  #spend(nodeId: string, statuses: Batch['statuses']): void {
    const { view, budgets } = this.#options;
    let bytes = 0;
    for (const [taskId] of statuses) {
      const task = view.get('task', taskId);
      if (task !== undefined) bytes += this.#sizes.of(task);
    }
    budgets.of(nodeId).statuses.spend(1, statuses.length, bytes);
  }

  async #write(batches: readonly Batch[]): Promise<void> {
    const reports = batches.flatMap((batch) =>
      batch.statuses.map(([taskId, status]) => ({ batch, taskId, status })),
    );
    const errors = await this.#options.writer.settle(
      reports.map(
        ({ batch, taskId, status }) =>
          (transaction) =>
            this.#apply(transaction, batch.pending.nodeId, taskId, status),
      ),
    );
    const lost = new Set<Batch>();
    for (const [index, error] of errors) {
      if (error instanceof WriterStopped) return;
      const { batch, taskId } = reports[index]!;
      const { nodeId } = batch.pending;
      this.#options.logger.error({ err: error, nodeId, taskId }, 'a status could not be stored');
      // After too many conflicts the agent reports again, which may succeed. Any other error would only repeat.
      if (error instanceof ApiError && error.code === 'OUT_OF_SEQUENCE') lost.add(batch);
    }
    for (const batch of batches) this.#finish(batch, lost.has(batch));
  }

  #finish({ pending, sequences }: Batch, lost: boolean): void {
    pending.writing = false;
    for (const [reporter, sequence] of sequences) {
      if (lost) reporter.lost('statuses could not be stored');
      else reporter.stored(sequence);
    }
    if (pending.statuses.size > 0 || pending.sequences.size > 0) this.#schedule(pending);
    else if (this.#pending.get(pending.nodeId) === pending) this.#pending.delete(pending.nodeId);
  }

  #apply(transaction: Transaction, nodeId: string, taskId: string, reported: TaskStatus): void {
    const task = transaction.get('task', taskId);
    if (task === undefined || task.NodeID !== nodeId) return;
    const status = ownPorts(task, reported);
    if (!isNews(task, status)) return;
    const now = this.#options.timeMs();
    transaction.update('task', { ...task, Status: observed(task, status, now) });
  }
}

/**
 * The status as it is stored, with the managers' own times. A node's clock may be anywhere: its time counts
 * between that of the status before and now, so what people see never jumps back and is never in the future.
 * It is the time of the state: another message, as of a stop that begins, does not make a state young again.
 */
function observed(task: Task, reported: TaskStatus, nowMs: number): TaskStatus {
  const now = new Date(nowMs).toISOString();
  const { Timestamp: before, StartedAt = reported.State === 'running' ? now : undefined } =
    task.Status;
  const at = Date.parse(reported.Timestamp);
  const isPlausible = at <= nowMs && at >= Date.parse(before);
  const changed = isPlausible ? reported.Timestamp : laterTime(before, Math.min(at, nowMs));
  const Timestamp = reported.State === task.Status.State ? before : changed;
  return {
    ...reported,
    Timestamp,
    AppliedAt: now,
    ...(StartedAt !== undefined && { StartedAt }),
  };
}

/** Cuts the ports of a status to as many as the task's service has. */
function ownPorts(task: Task, status: TaskStatus): TaskStatus {
  const ports = status.PortStatus?.Ports;
  const { length } = task.Endpoint.Ports;
  if (ports === undefined || ports.length <= length) return status;
  return { ...status, PortStatus: { Ports: ports.slice(0, length) } };
}

/**
 * Observed state never goes back, and how a task ended is final: what the managers noted about its end stays.
 * The same again is not written; a time alone says nothing new.
 */
function isNews(task: Task, status: TaskStatus): boolean {
  const order = compareStates(status.State, task.Status.State);
  if (order !== 0) return order > 0;
  if (isTerminal(status.State)) return false;
  const { AppliedAt: _a, StartedAt: _s, Timestamp: _t, ...stored } = task.Status;
  const { Timestamp: _, ...reported } = status;
  return !isDeepStrictEqual(stored, reported);
}
