import { Coverage } from './coverage.js';
import { Digest } from './digest.js';
import type { RunPlan, RunResult } from './simulator.js';

const MS_PER_HOUR = 3_600_000;

/** The totals of many runs, as plain data. */
export interface Tally {
  readonly seeds: number;
  readonly failed: number;
  readonly events: number;
  readonly operations: number;
  readonly undecided: number;
  readonly virtualMs: number;
  /** Two halves of 32 bits, see `Totals.digest`. */
  readonly digest: readonly [high: number, low: number];
  readonly coverage: readonly (readonly [name: string, count: number])[];
}

/** Adds up runs, in whatever order they come. */
export class Totals {
  readonly coverage: Coverage;
  seeds = 0;
  failed = 0;
  events = 0;
  operations = 0;
  undecided = 0;
  virtualMs = 0;
  #high = 0;
  #low = 0;

  /** @param marks every mark that runs can reach */
  constructor(marks: readonly string[]) {
    this.coverage = new Coverage(marks);
  }

  add(result: Omit<RunResult, 'plan'> & { readonly plan: Pick<RunPlan, 'seed'> }): void {
    this.seeds++;
    if (result.failure !== undefined) this.failed++;
    this.events += result.events;
    this.operations += result.operations;
    this.undecided += result.undecided;
    this.virtualMs += result.virtualMs;
    this.coverage.add(result.coverage.counts);
    const own = new Digest();
    own.add(result.plan.seed);
    for (const char of result.digest) own.add(char.charCodeAt(0));
    this.#addDigest(own.halves);
  }

  merge(tally: Tally): void {
    this.seeds += tally.seeds;
    this.failed += tally.failed;
    this.events += tally.events;
    this.operations += tally.operations;
    this.undecided += tally.undecided;
    this.virtualMs += tally.virtualMs;
    this.coverage.add(tally.coverage);
    this.#addDigest(tally.digest);
  }

  get tally(): Tally {
    const { seeds, failed, events, operations, undecided, virtualMs, coverage } = this;
    const high = this.#high;
    const low = this.#low;
    const counts = [...coverage.counts];
    return {
      seeds,
      failed,
      events,
      operations,
      undecided,
      virtualMs,
      digest: [high, low],
      coverage: counts,
    };
  }

  /**
   * Equal for two sets of runs exactly if the same happened in each. A sum, so the order does not
   * matter.
   */
  get digest(): string {
    return [this.#high, this.#low].map((half) => half.toString(16).padStart(8, '0')).join('');
  }

  #addDigest([high, low]: Tally['digest']): void {
    this.#high = (this.#high + high) >>> 0;
    this.#low = (this.#low + low) >>> 0;
  }

  /** For example `1200 seeds, 0 failed, 14.2 seeds/s, 9.31 virtual hours (4120 times real time)`. */
  describe(realMs: number): string {
    const perSecond = (this.seeds / realMs) * 1000;
    const hours = this.virtualMs / MS_PER_HOUR;
    return (
      `${this.seeds} seeds, ${this.failed} failed, ${perSecond.toFixed(1)} seeds/s, ` +
      `${hours.toFixed(2)} virtual hours (${Math.round(this.virtualMs / realMs)} times real time)`
    );
  }

  /** Several lines: what was reached, how often, and what never was. */
  describeAll(realMs: number): string {
    const { missing } = this.coverage;
    return [
      this.describe(realMs),
      `${this.events} events, ${this.operations} operations of clients, ` +
        `${this.undecided} histories not decided within the limit`,
      `digest of all runs: ${this.digest}`,
      'reached (times):',
      this.coverage.describe(),
      missing.length === 0 ? 'every mark was reached' : `never reached: ${missing.join('; ')}`,
    ].join('\n');
  }
}
