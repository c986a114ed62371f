import { backoffMs, MS } from '@swarm/api';
import type { TaskEnd } from '../runtime/runtime.js';
import { messageOf } from '../runtime/runtime-error.js';
import { RESTART_DELAY_MS, RETRY_MS, REVIVE_MAX_MS } from './limits.js';
import type { ObservedTask } from './observed-task.js';
import { aborted } from './signal.js';
import type { TaskHost } from './task-host.js';
import type { TaskListening } from './task-listening.js';
import type { TaskPreparation } from './task-preparation.js';
import { sandboxIdOf } from './task-sandbox.js';
import { endSentence } from './task-status.js';

/** Restarts one task in place when there is no manager to replace it. */
export class TaskRevival {
  readonly #observed: ObservedTask;
  readonly #host: TaskHost;
  readonly #preparation: TaskPreparation;
  readonly #listening: TaskListening;

  constructor(
    observed: ObservedTask,
    host: TaskHost,
    preparation: TaskPreparation,
    listening: TaskListening,
  ) {
    this.#observed = observed;
    this.#host = host;
    this.#preparation = preparation;
    this.#listening = listening;
  }

  /** @returns whether it runs again; if not, its end counts */
  async revive(end: TaskEnd & { kind: 'exit' }): Promise<boolean> {
    const { isolation, runtime, mesh } = this.#host;
    const policy = this.#observed.task.Spec.RestartPolicy;
    const allowed =
      policy?.Condition !== 'none' && (policy?.Condition !== 'on-failure' || end.code !== 0);
    const wanted = this.#observed.task.DesiredState === 'running' && !this.#observed.isUnwanted;
    if (!allowed || !wanted || isolation.connected) return false;
    const firstMs = policy?.Delay === undefined ? RESTART_DELAY_MS : policy.Delay / MS;
    const pauses = { minMs: Math.max(firstMs, RETRY_MS.minMs), maxMs: REVIVE_MAX_MS };
    this.#observed.set({
      Message: `${endSentence(end)}; no manager can be reached, so this node will restart it`,
      Ready: false,
    });
    for (let tries = 1; ; tries += 1) {
      const pauseMs = tries === 1 ? firstMs : backoffMs(tries, pauses);
      if ((await isolation.verdict(pauseMs, this.#observed.unwanted)) !== 'isolated') return false;
      try {
        const missing = this.#host.needs.missing(this.#observed.task);
        if (missing !== undefined) throw new Error(missing.message);
        await runtime.removeSandbox(sandboxIdOf(this.#observed.task));
        await mesh.detach(this.#observed.task.ID);
        this.#observed.forget();
        await this.#preparation.prepareAgain();
        if (!this.#observed.isPrepared) return false;
        const starting = runtime.start(this.#observed.task.ID, { started() {}, waiting() {} });
        starting.catch(() => {}); // The race sees it, unless that is over.
        await Promise.race([starting, aborted(this.#observed.unwanted)]);
        if (this.#observed.unwanted.aborted) return false;
        this.#observed.isEnded = false;
        await this.#listening.setRunning(
          'running: restarted by this node while no manager could be reached',
        );
        return true;
      } catch (error) {
        const why = messageOf(error);
        this.#observed.set({
          Message: `this node could not restart it, trying again: ${why}`,
          Ready: false,
        });
      }
    }
  }
}
