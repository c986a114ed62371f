import { messageOf } from '../runtime/runtime-error.js';
import { RETRY_MS } from './limits.js';
import type { ObservedTask } from './observed-task.js';
import type { TaskHost } from './task-host.js';
import type { TaskMesh } from './task-mesh.js';
import { notListening, socketsOf, untilListening } from './task-sockets.js';

/** Finds out whether one task listens on its ports, which decides about its traffic. */
export class TaskListening {
  readonly #observed: ObservedTask;
  readonly #host: TaskHost;

  constructor(observed: ObservedTask, host: TaskHost) {
    this.#observed = observed;
    this.#host = host;
  }

  /** Reports RUNNING at once; whether the task listens only decides about traffic. */
  async setRunning(message: string): Promise<void> {
    const sockets = socketsOf(
      this.#observed.task,
      this.#observed.status,
      this.#host.runtime.pid(this.#observed.task.ID),
    );
    if (sockets === undefined) {
      this.#observed.set({ State: 'running', Message: message, ...this.#observed.pid });
      return;
    }
    const Ready = await this.#listens(sockets);
    const Message = Ready ? message : notListening(this.#observed.task, this.#observed.status);
    this.#observed.set({ State: 'running', Message, Ready, ...this.#observed.pid });
    if (!Ready) this.watch();
  }

  async #listens(sockets: Parameters<TaskMesh['listens']>[0]): Promise<boolean> {
    try {
      return await this.#host.mesh.listens(sockets);
    } catch (error) {
      this.#observed.logger.warn(
        { error: messageOf(error) },
        'cannot tell whether the task listens',
      );
      return false;
    }
  }

  /** Sets `Ready` once the task listens. */
  watch(): void {
    const { mesh, clock, runtime } = this.#host;
    const sockets = socketsOf(
      this.#observed.task,
      this.#observed.status,
      runtime.pid(this.#observed.task.ID),
    );
    if (sockets === undefined || this.#observed.status.Ready !== false) return;
    const goesOn = (): boolean =>
      this.#observed.status.State === 'running' &&
      !this.#observed.unwanted.aborted &&
      !this.#observed.isEnded;
    const watch = async (): Promise<void> => {
      try {
        const listens = await untilListening(mesh, sockets, clock, goesOn);
        if (listens && goesOn()) this.#observed.set({ Message: 'running', Ready: true });
      } catch (error) {
        const why = messageOf(error);
        this.#observed.set({
          Message: `running, but cannot look at its sockets: ${why}; it gets no traffic`,
        });
        this.#observed.logger.warn({ error: why }, 'cannot tell whether the task listens');
        await this.#observed.sleep(RETRY_MS.minMs);
        if (goesOn()) await watch();
      }
    };
    void watch();
  }
}
