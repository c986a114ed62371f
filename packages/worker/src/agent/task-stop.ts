import { backoffMs, pause } from '@swarm/api';
import { messageOf } from '../runtime/runtime-error.js';
import { DRAIN_LIMIT_MS, RETRY_MS } from './limits.js';
import type { ObservedTask } from './observed-task.js';
import { aborted } from './signal.js';
import type { TaskHost } from './task-host.js';
import { sandboxIdOf } from './task-sandbox.js';
import { clientSocketsOf, untilDrained } from './task-sockets.js';
import { stopGraceMs, stopSignal } from './task-status.js';

/** Ends one task on its host, and gives back what it holds there. Never rejects. */
export class TaskStop {
  readonly #observed: ObservedTask;
  readonly #host: TaskHost;

  constructor(observed: ObservedTask, host: TaskHost) {
    this.#observed = observed;
    this.#host = host;
  }

  /** The manager asks for a stop only once the mesh sends the task nothing new. */
  async drain(): Promise<void> {
    const { mesh, clock, runtime } = this.#host;
    const sockets = clientSocketsOf(
      this.#observed.task,
      this.#observed.status,
      runtime.pid(this.#observed.task.ID),
    );
    if (sockets === undefined) return;
    const limitMs = Math.min(stopGraceMs(this.#observed.task), DRAIN_LIMIT_MS);
    let alive = true;
    void this.#observed.wait().then(() => {
      alive = false;
    });
    const goesOn = (): boolean => alive && !this.#observed.closed.aborted;
    try {
      await untilDrained(mesh, sockets, clock, limitMs, goesOn, (count) =>
        this.#observed.set({
          Message: `draining: waiting for ${count} ${count === 1 ? 'connection' : 'connections'} to end, at most ${limitMs} ms`,
        }),
      );
    } catch (error) {
      this.#observed.logger.warn(
        { error: messageOf(error) },
        'cannot see connections, so the task was not drained',
      );
    }
  }

  /** Stops the task; retries until that works. */
  async stop(): Promise<void> {
    const signal = stopSignal(this.#observed.task);
    for (let tries = 1; !this.#observed.closed.aborted; tries += 1) {
      try {
        const stopping = this.#host.runtime.stopSandbox(sandboxIdOf(this.#observed.task), {
          graceMs: stopGraceMs(this.#observed.task),
          ...(signal === undefined ? {} : { signal }),
        });
        stopping.catch(() => {}); // The race sees it, unless that is over.
        // A daemon that ends does not wait for a long grace period: the next one stops the task.
        await Promise.race([stopping, aborted(this.#observed.closed)]);
        return;
      } catch (error) {
        const why = messageOf(error);
        this.#observed.set({ Message: `could not stop it, trying again: ${why}` });
        this.#observed.logger.error({ error: why }, 'could not stop a task');
        await pause(this.#host.clock, backoffMs(tries, RETRY_MS));
      }
    }
  }

  /** Releases what an ended task holds of the host: leftover processes, network. Its logs stay. */
  async release(): Promise<void> {
    await this.stop();
    try {
      if (!this.#observed.closed.aborted) await this.#host.mesh.detach(this.#observed.task.ID);
    } catch (error) {
      this.#observed.logger.error(
        { error: messageOf(error) },
        'could not detach a task from the mesh',
      );
    }
  }

  /** Removes everything of the stopped task; retries until that works. */
  async removeSandbox(): Promise<void> {
    for (let tries = 1; !this.#observed.closed.aborted; tries += 1) {
      try {
        await this.#host.runtime.removeSandbox(sandboxIdOf(this.#observed.task));
        return;
      } catch (error) {
        this.#observed.logger.error(
          { error: messageOf(error) },
          'could not remove a task, trying again',
        );
        await pause(this.#host.clock, backoffMs(tries, RETRY_MS));
      }
    }
  }
}
