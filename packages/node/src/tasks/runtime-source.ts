import type { Clock, Logger, Timer } from '@swarm/api';
import type { Runtime } from '@swarm/worker';

/** Pause before an engine is asked again: doubled each time, up to the limit. */
const PAUSE_FIRST_MS = 250;
const PAUSE_LIMIT_MS = 5_000;
/** How often the log says that the engine is still awaited. */
const REMIND_MS = 60_000;

/** Where a node's runtime comes from: it may be there only some time after the daemon started. */
export interface RuntimeSource {
  /** Undefined while it is awaited. */
  readonly runtime: Runtime | undefined;
  /** What it waits for and what to do about it, as a sentence; empty when it does not wait. */
  readonly waiting: string;
  /** Resolves with the runtime; never after `close`. */
  ready(): Promise<Runtime>;
  /** Stops waiting, or closes the runtime; tasks keep running. */
  close(): Promise<void>;
}

/** A runtime that is there. */
export function readyRuntime(runtime: Runtime): RuntimeSource {
  return { runtime, waiting: '', ready: async () => runtime, close: () => runtime.close() };
}

export interface EngineWaitOptions {
  readonly engineSocket: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Whether the engine answers now; takes seconds at most. */
  readonly answers: () => Promise<boolean>;
  readonly make: () => Runtime;
}

/** Asks a Docker Engine until it answers; then there is its runtime. */
export class EngineWait implements RuntimeSource {
  readonly #options: EngineWaitOptions;
  readonly #ready: Promise<Runtime>;
  #resolve: (runtime: Runtime) => void = () => {};
  #runtime: Runtime | undefined;
  #timer: Timer | undefined;
  #pauseMs = PAUSE_FIRST_MS;
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

  /** Asks once; when that fails, asking goes on behind. */
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
    this.#timer = clock.setTimeout(() => void this.begin(), this.#pauseMs);
    this.#pauseMs = Math.min(this.#pauseMs * 2, PAUSE_LIMIT_MS);
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
