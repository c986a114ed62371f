import { messageOf } from '../runtime/runtime-error.js';
import { RETRY_MS } from './limits.js';
import type { ObservedTask } from './observed-task.js';
import type { TaskHost } from './task-host.js';
import type { TaskMesh } from './task-mesh.js';
import { TaskIpv6 } from './task-ipv6.js';
import { notListening, socketsOf, untilListening } from './task-sockets.js';

/** Finds out whether one task listens on its ports, which decides about its traffic. */
export class TaskListening {
  readonly #observed: ObservedTask;
  readonly #host: TaskHost;
  readonly #ipv6: TaskIpv6;

  constructor(observed: ObservedTask, host: TaskHost) {
    this.#observed = observed;
    this.#host = host;
    this.#ipv6 = new TaskIpv6(observed, host);
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
      void this.#ipv6.watch();
      return;
    }
    const Ready = await this.#listens(sockets);
    const Message = Ready ? message : notListening(this.#observed.task, this.#observed.status);
    const ipv6 = Ready ? await this.#ipv6.look() : {};
    this.#observed.set({ State: 'running', Message, Ready, ...ipv6, ...this.#observed.pid });
    if (!Ready) this.watch();
    else if (ipv6.Ipv6 !== true) void this.#ipv6.watch();
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
    if (sockets === undefined || this.#observed.status.Ready !== false) {
      // A mesh of this run has to know it too.
      void this.#ipv6.watch();
      return;
    }
    const goesOn = (): boolean =>
      this.#observed.status.State === 'running' &&
      !this.#observed.unwanted.aborted &&
      !this.#observed.isEnded;
    const watch = async (): Promise<void> => {
      try {
        const listens = await untilListening(mesh, sockets, clock, goesOn);
        if (!listens || !goesOn()) return;
        const ipv6 = await this.#ipv6.look();
        if (!goesOn()) return;
        this.#observed.set({ Message: 'running', Ready: true, ...ipv6 });
        if (ipv6.Ipv6 !== true) void this.#ipv6.watch();
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
