import type { BatchReport, FailedRun } from './batch.js';
import { Totals } from './report.js';
import type { BatchRunner } from './runner.js';
import type { SeedBatch } from './seed-order.js';

/** Runs in a batch at most: small, as at the end all wait for the last. */
const MAX_BATCH_SEEDS = 16;
/** What is left is dealt out in at least so many batches for each runner. */
const BATCHES_PER_RUNNER = 4;

export interface SpreadOptions {
  /** Runs to make; infinite: until `enough`. */
  readonly count: number;
  readonly keepGoing: boolean;
  /** Asked before each batch: no more are begun. */
  enough(): boolean;
  /** Called after each batch, with all that ran so far. */
  onReport(report: BatchReport, totals: Totals): void;
}

export interface Outcome {
  readonly totals: Totals;
  /** In order; without `keepGoing` the first one only. */
  readonly failed: readonly FailedRun[];
}

/**
 * Deals batches out to whoever is free, in order, so that those begun are all up to some number. After
 * a failure no batch behind it is begun, those before it are finished, and what ran behind it does not
 * count: the outcome does not depend on how many runners there are, nor on who was faster.
 * @throws what a runner throws; the other runners are still to be ended by the caller, in either case.
 */
export async function spread(
  runners: readonly BatchRunner[],
  options: SpreadOptions,
): Promise<Outcome> {
  const { count, keepGoing, enough, onReport } = options;
  const reports: BatchReport[] = [];
  const totals = new Totals();
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
      reports.push(report);
      totals.merge(report.tally);
      const [first] = report.failed;
      if (first !== undefined) firstFailed = Math.min(firstFailed, first.number);
      onReport(report, totals);
    }
  };
  await Promise.all(runners.map(serve));
  const counted = keepGoing ? reports : reports.filter(({ batch }) => batch.first <= firstFailed);
  return outcomeOf(counted);
}

function outcomeOf(reports: readonly BatchReport[]): Outcome {
  const totals = new Totals();
  for (const { tally } of reports) totals.merge(tally);
  const failed = reports.flatMap((report) => report.failed).sort((a, b) => a.number - b.number);
  return { totals, failed };
}
