import {
  compareStates,
  isTerminal,
  type Logger,
  pause,
  type Task,
  type TaskState,
  type TaskStatus,
} from '@swarm/api';
import type { LeftTask, TaskEnd } from '../runtime/runtime.js';
import { messageOf } from '../runtime/runtime-error.js';
import { type StoredTask, storedTask } from './agent-storage.js';
import { aborted, Signal } from './signal.js';
import type { TaskHost } from './task-host.js';
import { nextStatus, type StatusChange } from './task-status.js';

/** What is known of a task when its controller is made. */
export interface KnownTask {
  readonly task: Task;
  /** The latest: from disk or, for a task that is new here, from the manager. */
  readonly status: TaskStatus;
  /** What the runtime has of it from an earlier run. */
  readonly found: LeftTask | undefined;
  /** It comes from disk, where its registry credentials are not kept: the manager gives them again. */
  readonly isAuthWithheld: boolean;
}

/**
 * What is wanted of one task, and what is observed of it. Its controller and the parts of that share it. The
 * observed state never goes backwards, and the desired one only rises.
 */
export class ObservedTask {
  readonly logger: Logger;
  readonly #host: TaskHost;
  readonly #changed = new Signal();
  readonly #unwanted = new AbortController();
  readonly #closed = new AbortController();
  #task: Task;
  #status: TaskStatus;
  #isAuthWithheld: boolean;
  #isRemoved = false;
  #end: Promise<TaskEnd> | undefined;
  /** The runtime has the task: prepared in this run, or found. */
  isPrepared: boolean;
  /** It has ended, which its state may not say yet. */
  isEnded = false;

  constructor({ task, status, found, isAuthWithheld }: KnownTask, host: TaskHost) {
    this.#task = task;
    this.#status = status;
    this.#isAuthWithheld = isAuthWithheld;
    this.#host = host;
    this.logger = host.logger.child({ taskId: task.ID, task: task.Name });
    this.isPrepared = found !== undefined;
    this.#follow();
  }

  get task(): Task {
    return this.#task;
  }

  get status(): TaskStatus {
    return this.#status;
  }

  /** What is kept of it on disk. */
  get record(): StoredTask {
    return storedTask(this.#task, this.#status, this.#isAuthWithheld);
  }

  get isAuthWithheld(): boolean {
    return this.#isAuthWithheld;
  }

  /** Whether it should stop, as far as this node knows. */
  get isUnwanted(): boolean {
    return this.#isRemoved || compareStates(this.#task.DesiredState, 'shutdown') >= 0;
  }

  /** Whether its assignment is gone. */
  get isRemoved(): boolean {
    return this.#isRemoved;
  }

  /** Aborted when the task should no longer run, or nobody should drive it any more. */
  get unwanted(): AbortSignal {
    return this.#unwanted.signal;
  }

  /** Aborted when the daemon ends; the task keeps running. */
  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  /** Resolves with the next change of what is wanted or observed. */
  news(): Promise<void> {
    return this.#changed.next();
  }

  update(task: Task): void {
    const lower = compareStates(task.DesiredState, this.#task.DesiredState) < 0;
    // A new leader names tasks it holds back as running; we already know that they should stop.
    this.#task = lower ? { ...task, DesiredState: this.#task.DesiredState } : task;
    this.#isAuthWithheld = false;
    this.#follow();
    this.#changed.fire();
  }

  raise(desired: TaskState): void {
    this.#task = { ...this.#task, DesiredState: desired };
    this.#follow();
    this.#changed.fire();
  }

  remove(): void {
    this.#isRemoved = true;
    this.#follow();
    this.#changed.fire();
  }

  close(): void {
    this.#closed.abort();
    this.#unwanted.abort();
    this.#changed.fire();
  }

  #follow(): void {
    if (this.isUnwanted) this.#unwanted.abort();
  }

  set(change: StatusChange): void {
    if (this.closed.aborted) return;
    // The observed state never goes backwards, and a terminal one is final.
    const next = nextStatus(this.#status, change, this.#host.clock.now());
    if (isTerminal(this.#status.State) || compareStates(next.State, this.#status.State) < 0) return;
    this.#status = next;
    this.#changed.fire();
    this.#host.changed(this.#task, next);
  }

  /** Says what is being done for a task that does not run yet. One that runs is only attached again. */
  say(Message: string): void {
    if (compareStates(this.#status.State, 'running') < 0) this.set({ Message });
  }

  /** Waits, unless the task becomes unwanted. */
  async sleep(ms: number): Promise<void> {
    await Promise.race([pause(this.#host.clock, ms), aborted(this.unwanted)]);
  }

  get pid(): { PID?: number } {
    const pid = this.#host.runtime.pid(this.#task.ID);
    return pid === undefined ? {} : { PID: pid };
  }

  /** The end of the task; asks the runtime once. Never rejects. */
  wait(): Promise<TaskEnd> {
    this.#end ??= this.#askEnd();
    return this.#end;
  }

  /** Forgets what the runtime had of it, which is gone, with its end. */
  forget(): void {
    this.isPrepared = false;
    this.#end = undefined;
  }

  async #askEnd(): Promise<TaskEnd> {
    try {
      return await this.#host.runtime.wait(this.#task.ID);
    } catch (error) {
      return { kind: 'exit', code: -1, error: messageOf(error) };
    }
  }

  /** How a stopped task exited. */
  async exit(): Promise<(TaskEnd & { kind: 'exit' }) | undefined> {
    const first = await this.wait();
    if (first.kind === 'exit') return first;
    const second = await this.#askEnd();
    return second.kind === 'exit' ? second : undefined;
  }
}
