import type { Clock, Timer } from '@swarm/api';
import { LEFTOVERS_LIMIT_MS } from './limits.js';
import { Signal } from './signal.js';

/** What a new task waits for, and the next moment at which that may have changed. */
export interface LeftoverWait {
  readonly message: string;
  readonly news: Promise<void>;
}

/**
 * Tasks that should have stopped while this node reached no manager, or that an earlier run was stopping. What
 * took their place may be on this very node and want the same files or ports, so the node prepares no new task
 * until they have stopped, or for LEFTOVERS_LIMIT_MS. The complete set that each session begins with names them.
 */
export class Leftovers {
  readonly #clock: Clock;
  readonly #changed = new Signal();
  readonly #left = new Set<Promise<void>>();
  /** Whether the rest of a complete set is still to come. */
  #isOpen = false;
  #timer: Timer;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A complete set begins. */
  begin(): void {
    this.#isOpen = true;
    this.#timer ??= this.#clock.setTimeout(() => this.close(), LEFTOVERS_LIMIT_MS);
  }

  /** Tells whether a complete set is being read, so that what it stops is left over. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** @param gone resolves when nothing of the task runs */
  add(gone: Promise<void>): void {
    this.#left.add(gone);
    void gone.finally(() => {
      this.#left.delete(gone);
      this.#settle();
    });
  }

  /** The complete set has ended. */
  end(): void {
    this.#isOpen = false;
    this.#settle();
  }

  /** Undefined when a new task need not wait. */
  wait(): LeftoverWait | undefined {
    if (!this.#isOpen && this.#left.size === 0) return undefined;
    const count = this.#left.size;
    const what = count === 1 ? 'a task' : `${count} tasks`;
    const message = this.#isOpen
      ? 'waiting for the list of what has to stop on this node'
      : `waiting for ${what} to stop that this node should not run any more`;
    return { message, news: this.#changed.next() };
  }

  /** Gives up waiting. */
  close(): void {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#left.clear();
    this.end();
  }

  #settle(): void {
    if (!this.#isOpen && this.#left.size === 0) {
      this.#clock.clearTimeout(this.#timer);
      this.#timer = undefined;
    }
    this.#changed.fire();
  }
}
