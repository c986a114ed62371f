import type { Service, ServiceSpec, Task, TaskState, TaskStatus } from '@swarm/api';
import {
  TRANSACTION_BYTES_LIMIT,
  TRANSACTION_CHANGES_LIMIT,
  type Transaction,
} from '../store/store.js';
import { type NewTask, newTask } from './new-task.js';
import type { Observations } from './observations.js';
import type { NodeMatcher } from './placement.js';
import { pausedFallback, type RevisionLedger } from './revisions.js';
import { type StopCause, stopOf, stopTask } from './stop.js';
import { isTaskDirty, specDifference } from './task-dirty.js';

/** Size of a task object without its spec: id, names, status, attachments. An upper estimate. */
const TASK_OVERHEAD_BYTES = 4096;

/** Changes that a roll-out's end makes besides: the service, its revisions, and those beyond the limit. */
const SERVICE_CHANGES = 16;

/** How many changes fit into one transaction when each may carry a whole task or service with this spec. */
export function changesLimit(spec: ServiceSpec): number {
  const bytes = Buffer.byteLength(JSON.stringify(spec)) + TASK_OVERHEAD_BYTES;
  // The end of a roll-out writes the service and two revisions, hence the 3 spare places.
  const fitting = Math.floor(TRANSACTION_BYTES_LIMIT / bytes) - 3;
  return Math.max(4, Math.min(TRANSACTION_CHANGES_LIMIT - SERVICE_CHANGES, fitting));
}

export interface PassOptions {
  readonly tx: Transaction;
  readonly service: Service;
  /** Time of the store, milliseconds since the epoch. */
  readonly now: number;
  readonly randomBytes: (size: number) => Uint8Array;
  readonly observations: Observations;
  readonly nodeMatches: NodeMatcher;
  /** Most changes this pass may make. */
  readonly limit: number;
}

/**
 * One look at one service inside one transaction: what is there, and the changes that follow from it. A
 * pass makes as many changes as fit and asks for another pass when there is more to do.
 */
export class Pass {
  readonly tx: Transaction;
  readonly now: number;
  readonly service: Service;
  readonly observations: Observations;
  readonly nodeMatches: NodeMatcher;
  readonly #randomBytes: (size: number) => Uint8Array;
  /** What tasks are made of while the roll-out is paused, if not of the service. */
  readonly #fallback: Service | undefined;
  readonly #changed = new Set<string>();
  readonly #limit: number;
  #left: number;
  #again = false;
  #wakeAt = Number.POSITIVE_INFINITY;

  constructor(options: PassOptions) {
    this.tx = options.tx;
    this.now = options.now;
    this.service = options.service;
    this.observations = options.observations;
    this.nodeMatches = options.nodeMatches;
    this.#randomBytes = options.randomBytes;
    this.#limit = options.limit;
    this.#left = options.limit;
    this.#fallback = pausedFallback(options.tx, options.service, options.now);
  }

  /** What new tasks are made of: the service, or while its roll-out is paused, what completed last. */
  get source(): Service {
    return this.#fallback ?? this.service;
  }

  /**
   * Whether `count` changes that belong together still fit. If not, leaves them to the next pass. The
   * first changes of a pass always fit, otherwise nothing would ever happen.
   */
  hasRoom(count: number): boolean {
    if (count <= this.#left || this.#left === this.#limit) return true;
    this.#again = true;
    return false;
  }

  /** Lets a task that waited run. */
  release(task: Task, state: Extract<TaskState, 'running' | 'complete'>): void {
    if (task.DesiredState === state) return;
    this.#left--;
    this.tx.update('task', { ...task, DesiredState: state });
  }

  /** Stops the task and says why. Does nothing when its desired state is there already. */
  stop(
    task: Task,
    cause: StopCause,
    state: Extract<TaskState, 'shutdown' | 'remove'> = 'shutdown',
  ): void {
    if (task.DesiredState === state) return;
    this.#left--;
    const stop = stopOf(this.service, task, this.isDirty(task), cause);
    this.tx.update('task', stopTask(task, state, stop, this.now));
  }

  /**
   * Leaves a task that ended by itself behind as history.
   * @param note why nothing takes its place, if nothing does. Docker's clients only show errors, so it follows
   *   the task's error, if it has one.
   */
  dismiss(task: Task, note?: string): void {
    if (task.DesiredState === 'shutdown') return;
    this.#left--;
    const Status = note === undefined ? task.Status : noted(task.Status, note);
    this.tx.update('task', { ...task, DesiredState: 'shutdown', Status });
  }

  /** Writes what the task waits for. The change goes with others, so it needs no room of its own. */
  note(task: Task, message: string): void {
    if (task.Status.Message === message) return;
    this.#left--;
    this.tx.update('task', { ...task, Status: { ...task.Status, Message: message } });
  }

  create(options: Omit<NewTask, 'service'>): void {
    this.#left--;
    const service = this.source;
    this.tx.create('task', newTask({ ...options, service }, this.now, this.#randomBytes));
  }

  updateService(service: Service): void {
    this.#left--;
    this.tx.update('service', service);
  }

  /** Writes the service with what changed of its revisions: as much as 3 changes with a spec. */
  updateRevisions(ledger: RevisionLedger, service: Service): void {
    this.#left -= 3;
    ledger.write(this.tx, service, 'cluster');
  }

  /** Removes one of the service's revisions. */
  removeRevision(id: string): void {
    this.#left--;
    this.tx.remove('revision', id);
  }

  /** Marks a slot that this pass changed, so what the pass read of it is out of date. */
  markChanged(key: string): void {
    this.#changed.add(key);
  }

  isChanged(key: string): boolean {
    return this.#changed.has(key);
  }

  /** Asks for another pass at a time; the earliest one asked for counts. */
  wakeAt(time: number): void {
    this.#wakeAt = Math.min(this.#wakeAt, time);
  }

  /** Whether an update has to replace the task. While paused, none has to if a new one would be the same. */
  isDirty(task: Task): boolean {
    const isFallback = this.#fallback !== undefined && !this.#differs(this.#fallback, task);
    return !isFallback && this.#differs(this.service, task);
  }

  /** Whether a new task would be the same. */
  isRepeated(task: Task): boolean {
    return !this.#differs(this.source, task);
  }

  #differs(service: Service, task: Task): boolean {
    if (task.SpecVersion.Index === service.SpecVersion.Index) return false;
    const node = task.NodeID === undefined ? undefined : this.tx.get('node', task.NodeID);
    const difference = this.observations.difference(service.SpecVersion.Index, task, () =>
      specDifference(service, task),
    );
    return isTaskDirty(service, task, node, this.nodeMatches, difference);
  }

  result(): { again: boolean; wakeAt?: number } {
    return {
      again: this.#again,
      ...(Number.isFinite(this.#wakeAt) && { wakeAt: this.#wakeAt }),
    };
  }
}

function noted(status: TaskStatus, note: string): TaskStatus {
  return { ...status, Message: note, Err: status.Err ? `${status.Err}; ${note}` : note };
}
