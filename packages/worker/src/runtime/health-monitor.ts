import { type Clock, type HealthConfig, MS, type Timer } from '@swarm/api';
import { messageOf } from './runtime-error.js';

/** Docker's defaults for what a health check leaves out. */
const DEFAULT_INTERVAL_MS = 30_000;
const DEFAULT_TIMEOUT_MS = 30_000;
const DEFAULT_START_INTERVAL_MS = 5_000;
const DEFAULT_RETRIES = 3;

export interface ProbeResult {
  readonly healthy: boolean;
  /** What the check printed, or why it could not run; of limited length. */
  readonly output: string;
}

/** Runs the check once; kills it and everything it started after `timeoutMs`. */
export type Probe = (timeoutMs: number) => Promise<ProbeResult>;

export interface HealthEvents {
  /** First success. */
  healthy(): void;
  /** `retries` failures in a row, not counting those of the start period. Reported once. */
  unhealthy(message: string): void;
  /** A failure before the first success, as a sentence. */
  waiting(message: string): void;
}

/** Whether the spec asks for a health check at all. */
export function hasHealthCheck(config: HealthConfig | undefined): config is HealthConfig {
  const kind = config?.Test?.[0];
  return kind !== undefined && kind !== 'NONE';
}

/**
 * Runs a health check as Docker does: every `Interval` after the previous one ended, every
 * `StartInterval` in the start period, whose failures do not count; the first success ends it.
 */
export class HealthMonitor {
  readonly #config: HealthConfig;
  readonly #probe: Probe;
  readonly #events: HealthEvents;
  readonly #clock: Clock;
  readonly #startedAtMs: number;
  #timer: Timer | undefined;
  #failures = 0;
  #succeeded = false;
  #closed = false;

  constructor(config: HealthConfig, probe: Probe, events: HealthEvents, clock: Clock) {
    this.#config = config;
    this.#probe = probe;
    this.#events = events;
    this.#clock = clock;
    this.#startedAtMs = clock.monotonicMs();
    this.#schedule();
  }

  get healthy(): boolean {
    return this.#succeeded && this.#failures === 0;
  }

  close(): void {
    this.#closed = true;
    this.#clock.clearTimeout(this.#timer);
  }

  #schedule(): void {
    const wait = this.#inStartPeriod()
      ? milliseconds(this.#config.StartInterval, DEFAULT_START_INTERVAL_MS)
      : milliseconds(this.#config.Interval, DEFAULT_INTERVAL_MS);
    // A check that has never succeeded delays the task's start, so the regular interval is a limit.
    const limit = milliseconds(this.#config.Interval, DEFAULT_INTERVAL_MS);
    const waitMs = this.#succeeded ? wait : Math.min(wait, limit);
    this.#timer = this.#clock.setTimeout(() => void this.#check(), waitMs);
  }

  async #check(): Promise<void> {
    let result: ProbeResult;
    try {
      result = await this.#probe(milliseconds(this.#config.Timeout, DEFAULT_TIMEOUT_MS));
    } catch (error) {
      result = { healthy: false, output: messageOf(error) };
    }
    if (this.#closed) return;
    if (result.healthy) this.#onSuccess();
    else this.#onFailure(result.output);
    if (!this.#closed) this.#schedule();
  }

  #onSuccess(): void {
    this.#failures = 0;
    if (this.#succeeded) return;
    this.#succeeded = true;
    this.#events.healthy();
  }

  #onFailure(output: string): void {
    const said = output.trim() === '' ? 'it printed nothing' : `it printed: ${output.trim()}`;
    if (this.#inStartPeriod()) {
      this.#events.waiting(`waiting for the health check to pass; in its start period, ${said}`);
      return;
    }
    this.#failures += 1;
    const retries = this.#config.Retries || DEFAULT_RETRIES;
    if (this.#failures < retries) {
      if (!this.#succeeded) {
        this.#events.waiting(
          `waiting for the health check to pass; failed ${this.#failures} of ${retries} times, ${said}`,
        );
      }
      return;
    }
    this.close();
    this.#events.unhealthy(`unhealthy: the health check failed ${retries} times in a row, ${said}`);
  }

  #inStartPeriod(): boolean {
    if (this.#succeeded) return false;
    const elapsed = this.#clock.monotonicMs() - this.#startedAtMs;
    return elapsed < milliseconds(this.#config.StartPeriod, 0);
  }
}

/** Docker treats 0 as "not given". */
function milliseconds(value: number | undefined, defaultMs: number): number {
  return value === undefined || value === 0 ? defaultMs : value / MS;
}
