import {
  type Assignments,
  compareStates,
  isTerminal,
  type Task,
  type TaskState,
  type TaskStatus,
} from '@swarm/api';
import type { LeftTask } from '../runtime/runtime.js';
import { messageOf } from '../runtime/runtime-error.js';
import { TaskController, type TaskHost } from './task-controller.js';
import { sandboxIdOf } from './task-sandbox.js';
import type { StoredTask, TaskStore } from './task-store.js';

/** A task of an assignment set that could not be read. */
export interface UnreadableTask {
  readonly id: string;
  /** What it should do, when that could be read. */
  readonly desired: TaskState | undefined;
  readonly problem: string;
}

/** All tasks of the node, as assigned by managers. */
export class TaskSet {
  readonly #host: TaskHost;
  readonly #store: TaskStore;
  readonly #tasks = new Map<string, TaskController>();
  /** Tasks on their way out; a task of the same id waits for that. */
  readonly #leaving = new Map<string, { controller?: TaskController; gone: Promise<void> }>();
  readonly #found = new Map<string, LeftTask>();
  #closed = false;

  constructor(host: TaskHost, store: TaskStore) {
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
    for (const { task, status } of stored) this.#add(task, status);
    this.#found.clear();
    for (const sandboxId of sandboxes) {
      if (known.has(sandboxId)) continue;
      logger.info({ sandboxId }, 'removing what was left of unknown tasks');
      this.#leave(sandboxId, runtime.removeSandbox(sandboxId));
    }
  }

  /**
   * Applies an assignment set; a complete one removes tasks that it does not name.
   * @param unreadable tasks that it names besides. One that is here goes on as it is, but stops when it
   *   should.
   * @returns those of them that are not here, so that they can never run
   */
  assign(message: Assignments, unreadable: readonly UnreadableTask[] = []): UnreadableTask[] {
    if (message.kind === 'complete') {
      const named = new Set([
        ...message.update.map(({ ID }) => ID),
        ...unreadable.map(({ id }) => id),
      ]);
      for (const taskId of this.#tasks.keys()) if (!named.has(taskId)) this.#remove(taskId);
    }
    for (const taskId of message.remove) this.#remove(taskId);
    for (const task of message.update) {
      const controller = this.#tasks.get(task.ID);
      if (controller === undefined) this.#add(task, task.Status);
      else {
        controller.update(task);
        this.#store.putTask({ task: controller.task, status: controller.status });
      }
    }
    return unreadable.filter(({ id, desired }) => {
      const controller = this.#tasks.get(id);
      if (controller === undefined) return true;
      const { task } = controller;
      if (desired !== undefined && compareStates(desired, task.DesiredState) > 0) {
        controller.update({ ...task, DesiredState: desired });
        this.#store.putTask({ task: controller.task, status: controller.status });
      }
      return false;
    });
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

  #add(task: Task, status: TaskStatus): void {
    const leaving = this.#leaving.get(task.ID);
    if (leaving !== undefined) {
      void leaving.gone.then(() => {
        if (!this.#closed && !this.#tasks.has(task.ID)) this.#add(task, status);
      });
      return;
    }
    const found = this.#found.get(task.ID);
    this.#found.delete(task.ID);
    this.#store.putTask({ task, status });
    this.#tasks.set(task.ID, new TaskController(task, status, found, this.#host));
  }

  #remove(taskId: string): void {
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
