import { type Logger, SerialQueue } from '@swarm/api';
import type { ControlLoop } from '../control-loop.js';

/**
 * Runs the control loops while this manager leads. Starts and stops run in order, however fast leadership
 * comes and goes: no loop of an old term writes beside one of a new term.
 */
export class LeaderLoops {
  readonly #loops: readonly ControlLoop[];
  readonly #logger: Logger;
  #wanted = false;
  #running = false;
  readonly #changes = new SerialQueue();

  constructor(loops: readonly ControlLoop[], logger: Logger) {
    this.#loops = loops;
    this.#logger = logger;
  }

  /** Starts or stops the loops, after earlier starts and stops are done. */
  set(leads: boolean): void {
    this.#wanted = leads;
    void this.#changes.run(() => this.#follow());
  }

  /** Stops the loops for good; resolves once all have stopped writing. */
  async stop(): Promise<void> {
    this.set(false);
    await this.#changes.idle();
  }

  /** Starts one loop. Logs a failure, so that the others still start. */
  #start(loop: ControlLoop): void {
    try {
      loop.start();
    } catch (error) {
      this.#logger.error({ err: error, loop: loop.name }, 'a control loop did not start');
    }
  }

  async #follow(): Promise<void> {
    if (this.#wanted === this.#running) return;
    this.#running = this.#wanted;
    if (this.#running) {
      for (const loop of this.#loops) this.#start(loop);
      return;
    }
    const stopped = await Promise.allSettled([...this.#loops].reverse().map((loop) => loop.stop()));
    for (const result of stopped) {
      if (result.status === 'rejected')
        this.#logger.error({ err: result.reason }, 'a control loop did not stop cleanly');
    }
  }
}
