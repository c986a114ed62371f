import { X509Certificate } from 'node:crypto';
import { type BackoffLimits, backoffMs, type Clock, type Logger, type Timer } from '@swarm/api';
import { expiresAt, startsAt } from './subject.js';

/**
 * A node renews its certificate at a random point of this part of its life, so that nodes do not all come at
 * once.
 */
const EARLIEST_PART = 0.5;
const LATEST_PART = 0.8;
/** Pauses between failed renewals. */
const RETRY_MS: BackoffLimits = { minMs: 5_000, maxMs: 60 * 60 * 1000 };
const URGENT_RETRY_MS: BackoffLimits = { minMs: 1_000, maxMs: 30_000 };
/**
 * Longest single sleep. Node.js timers end at 24.8 days, and meanwhile the wall clock may be set or the host
 * suspended, so the renewer looks at the due time again.
 */
const NAP_MAX_MS = 60 * 60 * 1000;

export interface RenewerOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** PEM of the certificate in use. */
  readonly certificate: string;
  /** Gets a new certificate, saves it and puts it to use; returns its PEM. Calls do not overlap. */
  readonly renew: () => Promise<string>;
  /** Whether the node waits for it: its role should change. Then failed tries come closer together. */
  readonly isUrgent?: () => boolean;
}

/** Keeps a node's certificate from expiring. */
export interface Renewer {
  /** Renews now, for instance because the node's role should change. Retries after failures. */
  renewNow(): void;
  /** Resolves when no renewal is in progress. */
  stop(): Promise<void>;
}

/** When to renew, milliseconds since the epoch: after a random 50 to 80 % of the certificate's life. */
export function renewalTime(certificate: string, random: () => number): number {
  const parsed = new X509Certificate(certificate);
  const start = startsAt(parsed);
  const part = EARLIEST_PART + random() * (LATEST_PART - EARLIEST_PART);
  return start + part * (expiresAt(parsed) - start);
}

/** Renews at the due time, and while that fails again after 5 s, 10 s, … 1 h. */
export function startRenewer(options: RenewerOptions): Renewer {
  const { clock, logger, random, renew } = options;
  let dueMs = renewalTime(options.certificate, random);
  let startsAtMs = startsAt(new X509Certificate(options.certificate));
  /** False for a certificate that came from a host whose clock is ahead: the next one would be no better. */
  let hasBegun = true;
  let failures = 0;
  let timer: Timer;
  let running: Promise<void> | undefined;
  let again = false;
  let stopped = false;

  function sleep(): void {
    clock.clearTimeout(timer);
    if (stopped) return;
    const waitMs = Math.min(Math.max(0, dueMs - clock.now()), NAP_MAX_MS);
    timer = clock.setTimeout(() => {
      // The clock was ahead when the certificate was issued, and was set right since.
      const isEarly = failures === 0 && hasBegun && clock.now() < startsAtMs;
      if (clock.now() >= dueMs || isEarly) begin();
      else sleep();
    }, waitMs);
  }

  function begin(): void {
    clock.clearTimeout(timer);
    again = false;
    running = attempt().finally(() => {
      running = undefined;
      if (again && !stopped) begin();
      else sleep();
    });
  }

  async function attempt(): Promise<void> {
    try {
      const certificate = await renew();
      failures = 0;
      dueMs = renewalTime(certificate, random);
      startsAtMs = startsAt(new X509Certificate(certificate));
      hasBegun = clock.now() >= startsAtMs;
      logger.info({ renewAt: new Date(dueMs).toISOString() }, 'certificate renewed');
    } catch (error) {
      failures += 1;
      const isUrgent = options.isUrgent?.() === true;
      const pauseMs = backoffMs(failures, isUrgent ? URGENT_RETRY_MS : RETRY_MS);
      dueMs = clock.now() + pauseMs;
      logger.warn(
        { err: error, backoffMs: pauseMs },
        'could not renew the certificate, will try again',
      );
    }
  }

  sleep();
  return {
    renewNow() {
      if (stopped) return;
      if (running === undefined) begin();
      else again = true;
    },
    async stop() {
      stopped = true;
      clock.clearTimeout(timer);
      await running;
    },
  };
}
