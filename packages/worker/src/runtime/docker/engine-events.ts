import { backoffMs, type Clock, type Logger, pause, type Timer } from '@swarm/api';
import { messageOf } from '../runtime-error.js';
import type { EngineClient } from './engine-client.js';
import type { ContainerEvent } from './engine-types.js';
import { jsonLines } from './json-lines.js';
import { EVENTS_OVERLAP_MS, RESYNC_MS, RETRY_MS } from './limits.js';

export interface EngineEventsOptions {
  readonly engine: EngineClient;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  /** Only containers with this label; absent: all of the engine. */
  readonly label?: string;
  /** Something happened to this container: look at it. */
  onEvent(containerId: string): void;
  /** The stream is open again, or it is time to look at everything. */
  onResync(): Promise<void>;
}

/**
 * One stream of the engine's events for all containers, reopened whenever it ends. Events only say where to
 * look; the truth is read from the container.
 */
export class EngineEvents {
  readonly #options: EngineEventsOptions;
  readonly #closed = new AbortController();
  /** Resolves on close. */
  readonly #ended: Promise<void>;
  #timer: Timer | undefined;
  #done: Promise<void> | undefined;

  constructor(options: EngineEventsOptions) {
    this.#options = options;
    this.#ended = new Promise((resolve) => {
      this.#closed.signal.addEventListener('abort', () => resolve(), { once: true });
    });
  }

  start(): void {
    this.#done ??= this.#run();
    this.#schedule();
  }

  async close(): Promise<void> {
    this.#closed.abort();
    this.#options.clock.clearTimeout(this.#timer);
    await this.#done;
  }

  async #run(): Promise<void> {
    const { clock, logger, random, engine } = this.#options;
    let failures = 0;
    let lost = false;
    while (!this.#closed.signal.aborted) {
      try {
        await this.#follow(() => {
          if (lost) logger.info({}, 'the engine responds again');
          lost = false;
          failures = 0;
        });
      } catch (error) {
        if (this.#closed.signal.aborted) return;
        if (!lost) {
          logger.warn(
            { error: messageOf(error) },
            'the engine does not respond; its tasks may still run',
          );
        }
        lost = true;
      }
      engine.forget();
      failures += 1;
      await Promise.race([pause(clock, backoffMs(failures, RETRY_MS, random)), this.#ended]);
    }
  }

  async #follow(onConnect: () => void): Promise<void> {
    const { engine, clock, label, onEvent, onResync } = this.#options;
    const since = ((clock.now() - EVENTS_OVERLAP_MS) / 1000).toFixed(3);
    const body = await engine.streamOnce('GET', '/events', {
      query: {
        since,
        filters: JSON.stringify({
          type: ['container'],
          ...(label !== undefined && { label: [label] }),
          event: ['start', 'die', 'oom', 'health_status', 'destroy', 'pause', 'unpause'],
        }),
      },
      signal: this.#closed.signal,
    });
    onConnect();
    await onResync();
    for await (const { Actor } of jsonLines<ContainerEvent>(body)) {
      if (Actor !== undefined) onEvent(Actor.ID);
    }
  }

  #schedule(): void {
    this.#timer = this.#options.clock.setTimeout(() => {
      void this.#options
        .onResync()
        // The stream reports an absent engine, too.
        .catch((error: unknown) =>
          this.#options.logger.debug({ error: messageOf(error) }, 'cannot inspect containers'),
        )
        .finally(() => {
          if (!this.#closed.signal.aborted) this.#schedule();
        });
    }, RESYNC_MS);
  }
}
