import { type Clock, type Logger, SPARE_PREFIX } from '@swarm/api';
import { messageOf } from '../runtime-error.js';
import type { ContainerDetails, ContainerSummary } from './engine-types.js';
import { SPARE_CLOSE_LIMIT_MS, SPARE_SANDBOXES, SPARES_REST_MS } from './limits.js';
import { randomName } from './owner.js';
import type { SandboxContainers } from './sandbox-containers.js';

const HOSTNAME_LENGTH = 12;

export interface SpareSandboxesOptions {
  readonly containers: Pick<SandboxContainers, 'look' | 'make' | 'remove'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
}

/** Keeps a few sandboxes ready while there are tasks, so that the next task need not wait for one. */
export class SpareSandboxes {
  readonly #options: SpareSandboxesOptions;
  readonly #ready: string[] = [];
  /** How many to keep ready: none while there are no tasks. */
  #wanted = 0;
  #busy = 0;
  #filling: Promise<void> | undefined;
  #restUntilMs = 0;
  readonly #hurried = new AbortController();
  #closed = false;

  constructor(options: SpareSandboxesOptions) {
    this.#options = options;
  }

  /** Takes over a spare of an earlier run; removes one that does not run, or is one too many. Repeatable. */
  async adopt(container: ContainerSummary): Promise<void> {
    if (this.#ready.includes(container.Id)) return;
    if (container.State === 'running' && this.#ready.length < SPARE_SANDBOXES) {
      this.#ready.push(container.Id);
    } else await this.#options.containers.remove(container.Id);
  }

  /** Runs work that makes a sandbox; makes spares before and after it, never during it. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    this.#busy += 1;
    this.#wanted = SPARE_SANDBOXES;
    try {
      return await work();
    } finally {
      this.#busy -= 1;
      this.#fill();
    }
  }

  /**
   * Hands a spare to the caller, who renames it to make it its own.
   * @returns undefined if no spare is usable
   */
  async take<T>(
    own: (spare: ContainerDetails) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T | undefined> {
    const { containers, clock, logger } = this.#options;
    for (let id = this.#ready.shift(); id !== undefined; id = this.#ready.shift()) {
      try {
        const spare = await containers.look(id, signal);
        if (spare.State.Status !== 'running') throw new Error('it no longer runs');
        return await own(spare);
      } catch (error) {
        logger.warn({ error: messageOf(error) }, 'cannot use a spare sandbox');
        this.#restUntilMs = clock.monotonicMs() + SPARES_REST_MS;
        await containers.remove(id);
        if (signal.aborted) throw error;
      }
    }
    return undefined;
  }

  /** Without tasks there should be no spares. */
  async drop(): Promise<void> {
    this.#wanted = 0;
    await this.#filling;
    for (const id of this.#ready.splice(0)) await this.#options.containers.remove(id);
  }

  /** Makes no more spares; the next run adopts those that exist. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#wanted = 0;
    const { clock } = this.#options;
    // The engine would finish a spare that we leave half made, after the next run has looked for it.
    const timer = clock.setTimeout(() => this.#hurried.abort(), SPARE_CLOSE_LIMIT_MS);
    await this.#filling;
    clock.clearTimeout(timer);
  }

  /** Makes spares in the background while no task waits for a sandbox. */
  #fill(): void {
    const { containers, clock, logger, random } = this.#options;
    if (this.#filling !== undefined || this.#closed) return;
    if (this.#busy > 0 || clock.monotonicMs() < this.#restUntilMs) return;
    if (this.#ready.length >= this.#wanted) return;
    this.#filling = (async () => {
      while (this.#ready.length < this.#wanted && this.#busy === 0) {
        const hostname = randomName(HOSTNAME_LENGTH, random);
        const name = SPARE_PREFIX + hostname;
        const id = await containers.make(
          { name, hostname, networkMode: 'none' },
          this.#hurried.signal,
        );
        this.#ready.push(id);
      }
    })()
      .catch((error: unknown) => {
        this.#restUntilMs = clock.monotonicMs() + SPARES_REST_MS;
        if (this.#hurried.signal.aborted) return;
        logger.warn({ error: messageOf(error) }, 'cannot make spare sandboxes');
      })
      .finally(() => {
        this.#filling = undefined;
        this.#fill();
      });
  }
}
