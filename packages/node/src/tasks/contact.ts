import { X509Certificate } from 'node:crypto';
import { type Clock, type Logger, ourCommands, type Timer } from '@swarm/api';
import { BACKDATE_MS, startsAt } from '@swarm/identity';

/** How long a node may be without a session before it says so. An election takes 1 to 2 s. */
export const CONTACT_LOST_AFTER_MS = 10_000;
/** How often the log says why there is no session. */
export const CONTACT_LOG_MS = 60_000;
/** How long a refusal counts after it was last heard; agents try again within 10 s. */
export const REFUSAL_KEPT_MS = 60_000;
/** How often a node asks a manager for its clock, to explain a certificate that is not valid. */
const ASK_TIME_MS = 20_000;
/** By how much the clocks of this host and of the one that signs certificates may differ. */
const CLOCKS_DIFFER_MS = BACKDATE_MS;

export interface ContactOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** PEM of the node's own certificate. */
  readonly certificate: () => string;
}

/** What a manager said when it refused this node a session. */
interface Refusal {
  readonly reason: string;
  readonly atMs: number;
}

/** Follows whether the agent has a session with a manager, and why not. */
export class Contact {
  readonly #options: ContactOptions;
  #isConnected = false;
  #isClosed = false;
  /** Monotonic, and milliseconds since the epoch. */
  #lostAtMs: number;
  #lostSinceMs: number;
  #attempts = 0;
  /** Milliseconds since the epoch; undefined before the first session of this process. */
  #lastHeardMs: number | undefined;
  #lastProblem = '';
  #refusal: Refusal | undefined;
  #askedTimeAtMs = Number.NEGATIVE_INFINITY;
  #warnedAtMs = Number.NEGATIVE_INFINITY;
  #timer: Timer;

  constructor(options: ContactOptions) {
    this.#options = options;
    this.#lostAtMs = options.clock.monotonicMs();
    this.#lostSinceMs = options.clock.now();
    this.#watch();
  }

  connected(): void {
    this.#isConnected = true;
    this.#lastProblem = '';
    this.#refusal = undefined;
    this.#options.clock.clearTimeout(this.#timer);
  }

  /** The session ended. */
  lost(): void {
    const { clock } = this.#options;
    this.#isConnected = false;
    this.#lastHeardMs = clock.now();
    this.#lostAtMs = clock.monotonicMs();
    this.#lostSinceMs = clock.now();
    this.#attempts = 0;
    this.#watch();
  }

  /** An attempt to connect failed. @param problem names the manager */
  failed(problem: string): void {
    if (this.#isConnected) return;
    this.#attempts += 1;
    this.#lastProblem = problem;
  }

  /** A manager refused this node, which counts at once. The attempt then fails, too. */
  refused(reason: string): void {
    if (this.#isConnected || this.#isClosed) return;
    this.#refusal = { reason, atMs: this.#options.clock.monotonicMs() };
    if (this.#options.clock.monotonicMs() - this.#warnedAtMs < CONTACT_LOG_MS) return;
    this.#warn();
    this.#watch();
  }

  /** Whether to ask a manager for its clock now: once in ASK_TIME_MS at most. */
  asksForTime(): boolean {
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#isClosed || nowMs - this.#askedTimeAtMs < ASK_TIME_MS) return false;
    this.#askedTimeAtMs = nowMs;
    return true;
  }

  /** Says nothing any more, also about the session that ends with the agent. */
  close(): void {
    this.#isClosed = true;
    this.#options.clock.clearTimeout(this.#timer);
  }

  /**
   * Why there is no session: at once when managers refuse this node, otherwise when there has been none for
   * CONTACT_LOST_AFTER_MS. Empty with a session.
   */
  problem(): string {
    const forMs = this.#options.clock.monotonicMs() - this.#lostAtMs;
    if (this.#isConnected) return '';
    const refusal = this.#freshRefusal();
    if (refusal === undefined && forMs < CONTACT_LOST_AFTER_MS) return '';
    const since = new Date(this.#lostSinceMs).toISOString();
    return `no session with a manager for ${Math.floor(forMs / 1000)} s (since ${since}): ${this.#why()}`;
  }

  /** Whether there has been no session for CONTACT_LOST_AFTER_MS. */
  isLost(): boolean {
    const forMs = this.#options.clock.monotonicMs() - this.#lostAtMs;
    return !this.#isConnected && forMs >= CONTACT_LOST_AFTER_MS;
  }

  /**
   * From when on a manager must have got its certificate to take the place of another that this node knows:
   * since the last session, or since the node's own certificate. Milliseconds since the epoch.
   */
  heirsFromMs(): number {
    const ownMs = startsAt(new X509Certificate(this.#options.certificate())) + BACKDATE_MS;
    return Math.max(ownMs, (this.#lastHeardMs ?? ownMs) - CLOCKS_DIFFER_MS);
  }

  #freshRefusal(): string | undefined {
    const { reason = undefined, atMs = 0 } = this.#refusal ?? {};
    const isFresh = this.#options.clock.monotonicMs() - atMs < REFUSAL_KEPT_MS;
    return isFresh ? reason : undefined;
  }

  #why(): string {
    return this.#freshRefusal() ?? (this.#lastProblem || 'no manager answers');
  }

  /** Logs why contact is lost, after a while and then again and again. */
  #watch(): void {
    const { clock } = this.#options;
    clock.clearTimeout(this.#timer);
    if (this.#isClosed || this.#isConnected) return;
    const nowMs = clock.monotonicMs();
    const firstMs = this.#lostAtMs + CONTACT_LOST_AFTER_MS;
    const nextMs = this.#warnedAtMs + CONTACT_LOG_MS;
    const timer = clock.setTimeout(
      () => {
        this.#warn();
        this.#watch();
      },
      Math.max(0, firstMs - nowMs, nextMs - nowMs),
    );
    this.#timer = timer;
  }

  #warn(): void {
    const { clock, logger } = this.#options;
    this.#warnedAtMs = clock.monotonicMs();
    const forS = Math.floor((clock.monotonicMs() - this.#lostAtMs) / 1000);
    const since = new Date(this.#lostSinceMs).toISOString();
    const fields = { problem: ourCommands(this.#why()), since, forS, attempts: this.#attempts };
    logger.warn(fields, 'this node has no session with a manager; what runs on it is unmanaged');
  }
}
