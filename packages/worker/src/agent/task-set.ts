import { compareStates, isTerminal, type Task, type TaskState, type TaskStatus } from '@swarm/api';
import type { LeftTask } from '../runtime/runtime.js';
import { messageOf } from '../runtime/runtime-error.js';
import type { AgentStorage, StoredTask } from './agent-storage.js';
import type { AssignedStore, UnreadableObject } from './assigned-store.js';
import { TaskController } from './task-controller.js';
import type { TaskHost } from './task-host.js';
import { sandboxIdOf } from './task-sandbox.js';

/** What the set uses of the storage. */
type TaskStorage = Pick<AgentStorage, 'putTask' | 'deleteTask'>;

export interface TaskSetHost extends TaskHost {
  /** A task was assigned that cannot be read and is not on this node, so it can never run. */
  unreadable(taskId: string, problem: string): void;
}

/** A task on its way out. */
interface LeavingTask {
  readonly controller: TaskController | undefined;
  /** Resolves when nothing of it is left, or what is left cannot be removed. */
  readonly gone: Promise<void>;
  /** The task of the same id that starts then: as it was assigned last, unless it was removed again. */
  next: StoredTask | undefined;
}

/** All tasks of the node, as assigned by managers. */
export class TaskSet implements AssignedStore<Task> {
  readonly kind = 'task';
  readonly #host: TaskSetHost;
  readonly #store: TaskStorage;
  readonly #tasks = new Map<string, TaskController>();
  /** Tasks on their way out; a new task of the same id waits until the old one is gone. */
  readonly #leaving = new Map<string, LeavingTask>();
  readonly #found = new Map<string, LeftTask>();
  /** Tasks of an earlier run, until the first complete set has said what should become of them. */
  readonly #earlier = new Set<string>();
  #closed = false;

  constructor(host: TaskSetHost, store: TaskStorage) {
    this.#host = host;
    this.#store = store;
  }

  /** Takes over the tasks of an earlier run, and removes what belongs to no known task. */
  async restore(stored: readonly StoredTask[]): Promise<void> {
    const { runtime, mesh, logger } = this.#host;
    const sandboxes = new Set(await runtime.listSandboxes());
    for (const left of await runtime.list()) {
      this.#found.set(left.taskId, left);
      sandboxes.add(left.sandboxId);
    }
    const known = new Set(stored.map(({ task }) => sandboxIdOf(task)));
    for (const { task, status, withheldAuth } of stored) {
      this.#earlier.add(task.ID);
      this.#add(task, status, withheldAuth);
    }
    this.#found.clear();
    for (const sandboxId of sandboxes) {
      if (known.has(sandboxId)) continue;
      logger.info({ sandboxId }, 'removing the remains of unknown tasks');
      const removed = runtime.removeSandbox(sandboxId);
      // The next task may publish the same host ports.
      this.#leave(
        sandboxId,
        removed.then(() => mesh.detach(sandboxId)),
      );
    }
  }

  begin(): void {
    this.#host.leftovers.begin();
  }

  put(task: Task): void {
    const controller = this.#tasks.get(task.ID);
    if (controller === undefined) this.#add(task, task.Status);
    else {
      this.#countLeft(controller, task.DesiredState);
      controller.update(task);
      this.#store.putTask(controller.record);
    }
  }

  retain(named: ReadonlySet<string>): void {
    for (const taskId of [...this.#tasks.keys(), ...this.#leaving.keys()]) {
      if (!named.has(taskId)) this.remove(taskId);
    }
    this.#earlier.clear();
    this.#host.leftovers.end();
  }

  /**
   * A task that a complete set stops is left over. So is one that an earlier run had begun to stop: since then
   * the node may have been away.
   */
  #countLeft(controller: TaskController, desired: TaskState): void {
    const { leftovers } = this.#host;
    if (!leftovers.isOpen || compareStates(desired, 'shutdown') < 0) return;
    const isNews = !controller.isUnwanted || this.#earlier.has(controller.task.ID);
    if (isNews) leftovers.add(controller.untilEnded());
  }

  /** A task that is already here continues unchanged, but still stops when it should. */
  unreadable({ id, desired, problem }: UnreadableObject): void {
    const task = this.#tasks.get(id)?.task ?? this.#leaving.get(id)?.next?.task;
    if (task === undefined) {
      this.#host.unreadable(id, problem);
      return;
    }
    if (desired !== undefined && compareStates(desired, task.DesiredState) > 0) {
      const controller = this.#tasks.get(id);
      const leaving = this.#leaving.get(id);
      if (controller !== undefined) {
        this.#countLeft(controller, desired);
        controller.raise(desired);
        this.#store.putTask(controller.record);
      } else if (leaving?.next !== undefined) {
        leaving.next = { ...leaving.next, task: { ...task, DesiredState: desired } };
      }
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

  /** Lets go of all tasks, which keep running. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#host.leftovers.close();
    const leaving = [...this.#leaving.values()];
    const controllers = [...this.#tasks.values(), ...leaving.map(({ controller }) => controller)];
    await Promise.all(controllers.map((controller) => controller?.close()));
    await Promise.all(leaving.map(({ gone }) => gone));
  }

  /** @param isAuthWithheld see {@link StoredTask.withheldAuth} */
  #add(task: Task, status: TaskStatus, isAuthWithheld = false): void {
    const leaving = this.#leaving.get(task.ID);
    if (leaving !== undefined) {
      leaving.next = { task, status, withheldAuth: isAuthWithheld };
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
    if (controller === undefined) {
      const leaving = this.#leaving.get(taskId);
      if (leaving !== undefined) leaving.next = undefined;
      return;
    }
    this.#tasks.delete(taskId);
    const removed = controller.remove().then((gone) => {
      if (gone) this.#store.deleteTask(taskId);
    });
    if (this.#host.leftovers.isOpen) this.#host.leftovers.add(controller.untilEnded());
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
      .then(() => {
        this.#leaving.delete(taskId);
        if (leaving.next === undefined || this.#closed) return;
        const { task, status, withheldAuth } = leaving.next;
        this.#add(task, status, withheldAuth);
      });
    const leaving: LeavingTask = { controller, gone, next: undefined };
    this.#leaving.set(taskId, leaving);
  }
}
