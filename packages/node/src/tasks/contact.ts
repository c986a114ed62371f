import { X509Certificate } from 'node:crypto';
import type { Clock, Logger, Timer } from '@swarm/api';
import { BACKDATE_MS, startsAt } from '@swarm/identity';

/** How long a node may be without a session before it says so. An election takes 1 to 2 s. */
export const CONTACT_LOST_AFTER_MS = 10_000;
/** By how much the clocks of this host and of the one that signs certificates may differ. */
const CLOCKS_DIFFER_MS = BACKDATE_MS;

export interface ContactOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** PEM of the node's own certificate. */
  readonly certificate: () => string;
}

/** Follows whether the agent has a session with a manager, and why not. */
export class Contact {
  readonly #options: ContactOptions;
  #isConnected = false;
  #isClosed = false;
  #lostAtMs: number;
  /** Milliseconds since the epoch; undefined before the first session of this process. */
  #lastHeardMs: number | undefined;
  #lastProblem = '';
  #timer: Timer;

  constructor(options: ContactOptions) {
    this.#options = options;
    this.#lostAtMs = options.clock.monotonicMs();
    this.#watch();
  }

  connected(): void {
    this.#isConnected = true;
    this.#lastProblem = '';
    this.#options.clock.clearTimeout(this.#timer);
  }

  /** The session ended. */
  lost(): void {
    const { clock } = this.#options;
    this.#isConnected = false;
    this.#lastHeardMs = clock.now();
    this.#lostAtMs = clock.monotonicMs();
    this.#watch();
  }

  /** An attempt to connect failed. @param problem names the manager */
  failed(problem: string): void {
    if (!this.#isConnected) this.#lastProblem = problem;
  }

  /** Says nothing any more, also about the session that ends with the agent. */
  close(): void {
    this.#isClosed = true;
    this.#options.clock.clearTimeout(this.#timer);
  }

  /** Why there is no session, once there has been none for CONTACT_LOST_AFTER_MS; empty otherwise. */
  problem(): string {
    const forMs = this.#options.clock.monotonicMs() - this.#lostAtMs;
    if (this.#isConnected || forMs < CONTACT_LOST_AFTER_MS) return '';
    const why = this.#lastProblem === '' ? 'no manager answers' : this.#lastProblem;
    return `no session with a manager for ${Math.floor(forMs / 1000)} s: ${why}`;
  }

  /**
   * From when on a manager must have got its certificate to take the place of another that this node knows:
   * since the last session, or since the node's own certificate. Milliseconds since the epoch.
   */
  heirsFromMs(): number {
    const ownMs = startsAt(new X509Certificate(this.#options.certificate())) + BACKDATE_MS;
    return Math.max(ownMs, (this.#lastHeardMs ?? ownMs) - CLOCKS_DIFFER_MS);
  }

  /** Logs once when contact stays lost. */
  #watch(): void {
    const { clock, logger } = this.#options;
    clock.clearTimeout(this.#timer);
    if (this.#isClosed) return;
    this.#timer = clock.setTimeout(() => {
      logger.warn(
        { problem: this.#lastProblem || 'no manager answers' },
        'this node has no session with a manager; its tasks run on unmanaged',
      );
    }, CONTACT_LOST_AFTER_MS);
  }
}
