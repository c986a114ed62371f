import type { BatchReport, FailedRun } from './batch.js';
import type { BatchRunner } from './runner.js';
import type { SeedBatch } from './seed-order.js';
import { Totals } from './totals.js';

/** The most runs in a batch: few, because at the end all wait for the last. */
const MAX_BATCH_SEEDS = 16;
/** The rest is divided into at least this many batches for each runner. */
const BATCHES_PER_RUNNER = 4;

export interface SpreadOptions {
  /** Every mark that runs can reach. */
  readonly marks: readonly string[];
  /** Runs to make; infinite: until `enough`. */
  readonly count: number;
  readonly keepGoing: boolean;
  /** Asked before each batch: once true, no further batch begins. */
  enough(): boolean;
  /** Called after each batch, with everything that ran so far. */
  onReport(report: BatchReport, totals: Totals): void;
}

export interface SpreadOutcome {
  readonly totals: Totals;
  /** In order; without `keepGoing` only the first. */
  readonly failed: readonly FailedRun[];
}

/**
 * Hands batches to free runners, in order, so that the started ones are exactly those up to some
 * number. After a failure, no later batch starts, earlier ones finish, and later results do not
 * count: the outcome depends neither on the number of runners nor on their speed.
 * @throws what a runner throws; in either case the caller still has to end the other runners
 */
export async function spread(
  runners: readonly BatchRunner[],
  options: SpreadOptions,
): Promise<SpreadOutcome> {
  const { marks, count, keepGoing, enough, onReport } = options;
  const outcome = new InOrder(marks, keepGoing);
  const totals = new Totals(marks);
  let next = 0;
  let firstFailed = Number.POSITIVE_INFINITY;
  const take = (): SeedBatch | undefined => {
    if (next >= count || enough() || (!keepGoing && next > firstFailed)) return undefined;
    const share = Math.ceil((count - next) / (runners.length * BATCHES_PER_RUNNER));
    const batch = { first: next, count: Math.min(MAX_BATCH_SEEDS, share) };
    next += batch.count;
    return batch;
  };
  const serve = async (runner: BatchRunner): Promise<void> => {
    for (let batch = take(); batch !== undefined; batch = take()) {
      const report = await runner.run(batch);
      outcome.add(report);
      totals.merge(report.tally);
      const [first] = report.failed;
      if (first !== undefined) firstFailed = Math.min(firstFailed, first.number);
      onReport(report, totals);
    }
  };
  await Promise.all(runners.map(serve));
  return outcome;
}

/** Puts reports back in order, and adds them up as far as they count. */
class InOrder implements SpreadOutcome {
  readonly totals: Totals;
  readonly failed: FailedRun[] = [];
  readonly #keepGoing: boolean;
  /** Reports that arrived before an earlier one, by their first run. */
  readonly #early = new Map<number, BatchReport>();
  #next = 0;

  constructor(marks: readonly string[], keepGoing: boolean) {
    this.totals = new Totals(marks);
    this.#keepGoing = keepGoing;
  }

  add(report: BatchReport): void {
    this.#early.set(report.batch.first, report);
    while (this.#keepGoing || this.failed.length === 0) {
      const following = this.#early.get(this.#next);
      if (following === undefined) return;
      this.#early.delete(this.#next);
      this.#next += following.batch.count;
      this.totals.merge(following.tally);
      this.failed.push(...following.failed);
    }
  }
}
