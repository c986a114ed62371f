import { type BackoffLimits, backoffMs, type Clock, type Logger, type Timer } from '@swarm/api';
import type { Runtime } from '@swarm/worker';

/** Pauses before asking an engine again. */
const PAUSE_MS: BackoffLimits = { minMs: 250, maxMs: 5_000 };
/** How often to log that the node still waits for the engine. */
const REMIND_MS = 60_000;

/** Provides a node's runtime, possibly some time after the daemon has started. */
export interface RuntimeSource {
  /** Undefined until it is there. */
  readonly runtime: Runtime | undefined;
  /** What it waits for and what to do about it, as a sentence; empty when it does not wait. */
  readonly waiting: string;
  /** Resolves with the runtime; never after `close`. */
  ready(): Promise<Runtime>;
  /** Stops waiting, or closes the runtime; tasks keep running. */
  close(): Promise<void>;
}

/** A source with a runtime from the start. */
export function readyRuntime(runtime: Runtime): RuntimeSource {
  return { runtime, waiting: '', ready: async () => runtime, close: () => runtime.close() };
}

export interface EngineWaitOptions {
  readonly engineSocket: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Whether the engine answers; resolves within seconds. */
  readonly answers: () => Promise<boolean>;
  readonly make: () => Runtime;
}

/** Asks a Docker Engine until it answers, and then provides its runtime. */
export class EngineWait implements RuntimeSource {
  readonly #options: EngineWaitOptions;
  readonly #ready: Promise<Runtime>;
  #resolve: (runtime: Runtime) => void = () => {};
  #runtime: Runtime | undefined;
  #timer: Timer | undefined;
  #misses = 0;
  #remindedMs: number | undefined;
  #closed = false;

  constructor(options: EngineWaitOptions) {
    this.#options = options;
    this.#ready = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  get runtime(): Runtime | undefined {
    return this.#runtime;
  }

  get waiting(): string {
    if (this.#runtime !== undefined) return '';
    return (
      `waiting for the Docker Engine at ${this.#options.engineSocket}: this node runs no tasks until one ` +
      "of version 20.10 or newer answers. Start it, name another with 'swarm daemon --engine', or give it up for plain processes " +
      "with 'swarm daemon --runtime process'"
    );
  }

  /** Asks once; when that fails, keeps asking in the background. */
  async begin(): Promise<void> {
    if (this.#closed) return;
    const { answers, clock, logger, make } = this.#options;
    const isThere = await answers();
    if (this.#closed) return;
    if (isThere) {
      this.#runtime = make();
      this.#resolve(this.#runtime);
      return;
    }
    const nowMs = clock.monotonicMs();
    if (this.#remindedMs === undefined || nowMs - this.#remindedMs >= REMIND_MS) {
      this.#remindedMs = nowMs;
      logger.warn({ engine: this.#options.engineSocket }, this.waiting);
    }
    this.#misses += 1;
    this.#timer = clock.setTimeout(() => void this.begin(), backoffMs(this.#misses, PAUSE_MS));
  }

  ready(): Promise<Runtime> {
    return this.#ready;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#options.clock.clearTimeout(this.#timer);
    await this.#runtime?.close();
  }
}
