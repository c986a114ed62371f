import { compareStates, isTerminal, type Task, type TaskStatus } from '@swarm/api';
import type { LeftTask } from '../runtime/runtime.js';
import { messageOf } from '../runtime/runtime-error.js';
import type { AgentStorage, StoredTask } from './agent-storage.js';
import type { AssignedStore, UnreadableObject } from './assigned-store.js';
import { TaskController, type TaskHost } from './task-controller.js';
import { sandboxIdOf } from './task-sandbox.js';

/** What the set uses of the storage. */
type TaskStorage = Pick<AgentStorage, 'putTask' | 'deleteTask'>;

export interface TaskSetHost extends TaskHost {
  /** A task was assigned that can not be read and is not here, so that it can never run. */
  unreadable(taskId: string, problem: string): void;
}

/** All tasks of the node, as assigned by managers. */
export class TaskSet implements AssignedStore<Task> {
  readonly kind = 'task';
  readonly #host: TaskSetHost;
  readonly #store: TaskStorage;
  readonly #tasks = new Map<string, TaskController>();
  /** Tasks on their way out; a task of the same id waits for that. */
  readonly #leaving = new Map<string, { controller?: TaskController; gone: Promise<void> }>();
  readonly #found = new Map<string, LeftTask>();
  #closed = false;

  constructor(host: TaskSetHost, store: TaskStorage) {
    this.#host = host;
    this.#store = store;
  }

  /** Takes over what an earlier life left, and removes what belongs to no task that is known. */
  async restore(stored: readonly StoredTask[]): Promise<void> {
    const { runtime, logger } = this.#host;
    const sandboxes = new Set(await runtime.listSandboxes());
    for (const left of await runtime.list()) {
      this.#found.set(left.taskId, left);
      sandboxes.add(left.sandboxId);
    }
    const known = new Set(stored.map(({ task }) => sandboxIdOf(task)));
    for (const { task, status, withheldAuth } of stored) this.#add(task, status, withheldAuth);
    this.#found.clear();
    for (const sandboxId of sandboxes) {
      if (known.has(sandboxId)) continue;
      logger.info({ sandboxId }, 'removing what was left of unknown tasks');
      this.#leave(sandboxId, runtime.removeSandbox(sandboxId));
    }
  }

  put(task: Task): void {
    const controller = this.#tasks.get(task.ID);
    if (controller === undefined) this.#add(task, task.Status);
    else {
      controller.update(task);
      this.#store.putTask(controller.record);
    }
  }

  retain(named: ReadonlySet<string>): void {
    for (const taskId of this.#tasks.keys()) if (!named.has(taskId)) this.remove(taskId);
  }

  /** One that is here goes on as it is, but stops when it should. */
  unreadable({ id, desired, problem }: UnreadableObject): void {
    const controller = this.#tasks.get(id);
    if (controller === undefined) {
      this.#host.unreadable(id, problem);
      return;
    }
    const { task } = controller;
    if (desired !== undefined && compareStates(desired, task.DesiredState) > 0) {
      controller.raise(desired);
      this.#store.putTask(controller.record);
    }
  }

  get(taskId: string): TaskController | undefined {
    return this.#tasks.get(taskId);
  }

  *statuses(): Generator<readonly [string, TaskStatus]> {
    for (const [taskId, { status }] of this.#tasks) yield [taskId, status];
  }

  /** Tasks that have not ended. */
  alive(): ReadonlySet<string> {
    const alive = [...this.#tasks].filter(([, { status }]) => !isTerminal(status.State));
    return new Set([...alive.map(([taskId]) => taskId), ...this.#leaving.keys()]);
  }

  /** Lets go of all tasks; they run on. */
  async close(): Promise<void> {
    this.#closed = true;
    const leaving = [...this.#leaving.values()];
    const controllers = [...this.#tasks.values(), ...leaving.map(({ controller }) => controller)];
    await Promise.all(controllers.map((controller) => controller?.close()));
    await Promise.all(leaving.map(({ gone }) => gone));
  }

  /** @param isAuthWithheld see {@link StoredTask.withheldAuth} */
  #add(task: Task, status: TaskStatus, isAuthWithheld = false): void {
    const leaving = this.#leaving.get(task.ID);
    if (leaving !== undefined) {
      void leaving.gone.then(() => {
        if (!this.#closed && !this.#tasks.has(task.ID)) this.#add(task, status, isAuthWithheld);
      });
      return;
    }
    const found = this.#found.get(task.ID);
    this.#found.delete(task.ID);
    const controller = new TaskController({ task, status, found, isAuthWithheld }, this.#host);
    this.#tasks.set(task.ID, controller);
    this.#store.putTask(controller.record);
  }

  remove(taskId: string): void {
    const controller = this.#tasks.get(taskId);
    if (controller === undefined) return;
    this.#tasks.delete(taskId);
    const removed = controller.remove().then((gone) => {
      if (gone) this.#store.deleteTask(taskId);
    });
    this.#leave(taskId, removed, controller);
  }

  #leave(taskId: string, left: Promise<void>, controller?: TaskController): void {
    const gone = left
      .catch((error: unknown) => {
        this.#host.logger.error(
          { taskId, error: messageOf(error) },
          'a task left something behind',
        );
      })
      .finally(() => this.#leaving.delete(taskId));
    this.#leaving.set(taskId, controller === undefined ? { gone } : { controller, gone });
  }
}
