import { backoffMs, pause } from '@swarm/api';
import { messageOf } from '../runtime/runtime-error.js';
import { SOCKETS_POLL_MS } from './limits.js';
import type { ObservedTask } from './observed-task.js';
import type { TaskHost } from './task-host.js';
import { ipv6SocketsOf } from './task-sockets.js';

/** Looks for a task's sockets of IPv6, after it listens on all its ports: servers open both one after the other. */
const LOOKS = 8;

/** Finds out whether one task listens on its ports over IPv6: only then do nodes lead such clients to it. */
export class TaskIpv6 {
  readonly #observed: ObservedTask;
  readonly #host: TaskHost;

  constructor(observed: ObservedTask, host: TaskHost) {
    this.#observed = observed;
    this.#host = host;
  }

  /** What to report now: nothing unless it does. Without it, clients of IPv6 are served by nodes' listeners. */
  async look(): Promise<{ readonly Ipv6?: true }> {
    const { task, status, logger } = this.#observed;
    const sockets = ipv6SocketsOf(task, status, this.#host.runtime.pid(task.ID));
    if (sockets === undefined) return {};
    try {
      return (await this.#host.mesh.servesIpv6(sockets)) ? { Ipv6: true } : {};
    } catch (error) {
      logger.warn({ error: messageOf(error) }, 'cannot tell whether the task listens over IPv6');
      return {};
    }
  }

  /** Looks a few times more, and reports it once it does. */
  async watch(): Promise<void> {
    const { clock, runtime } = this.#host;
    for (let looks = 1; looks <= LOOKS && this.#goesOn; looks += 1) {
      const { task, status } = this.#observed;
      if (ipv6SocketsOf(task, status, runtime.pid(task.ID)) === undefined) return;
      const found = await this.look();
      const { Message, Ipv6 } = this.#observed.status;
      if (found.Ipv6 === true) {
        if (Ipv6 !== true && this.#goesOn) this.#observed.set({ Message, ...found });
        return;
      }
      await pause(clock, backoffMs(looks, SOCKETS_POLL_MS));
    }
  }

  get #goesOn(): boolean {
    const { status, unwanted, isEnded } = this.#observed;
    return status.State === 'running' && !unwanted.aborted && !isEnded;
  }
}
