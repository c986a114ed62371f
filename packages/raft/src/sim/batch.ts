import type { Plan } from './plan.js';
import { Totals, type Tally } from './report.js';
import { planAt, type SeedBatch, type SeedOrder } from './seed-order.js';
import { type RunResult, runPlan } from './simulation.js';

/** How each run is made. */
export interface BatchOptions {
  readonly order: SeedOrder;
  /** Run each seed twice and compare. */
  readonly verify: boolean;
  /** Go on after a failure; else the batch ends with it. */
  readonly keepGoing: boolean;
}

export interface FailedRun {
  /** Of the run in its order. */
  readonly number: number;
  readonly message: string;
}

/** What came of a batch, as plain data: it goes from process to process. */
export interface BatchReport {
  readonly batch: SeedBatch;
  readonly tally: Tally;
  readonly failed: readonly FailedRun[];
}

/** @throws when a run, made again, is another one. */
export async function runBatch(options: BatchOptions, batch: SeedBatch): Promise<BatchReport> {
  const { order, verify, keepGoing } = options;
  const totals = new Totals();
  const failed: FailedRun[] = [];
  for (let number = batch.first; number < batch.first + batch.count; number++) {
    const plan = planAt(order, number);
    const result = await withoutStacks(() => runPlan(plan));
    totals.add(result);
    if (verify) await compareAgain(plan, result);
    if (result.failure === undefined) continue;
    // Again with stacks: an error of our own is nothing without.
    const { failure } = await runPlan(plan);
    failed.push({ number, message: (failure ?? result.failure).message });
    if (!keepGoing) break;
  }
  return { batch, tally: totals.tally, failed };
}

/** Most refusals that clients hear are errors, and to note where each was made costs more than to refuse. */
async function withoutStacks<T>(run: () => Promise<T>): Promise<T> {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return await run();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

async function compareAgain(plan: Plan, first: RunResult): Promise<void> {
  const second = await withoutStacks(() => runPlan(plan));
  if (second.digest === first.digest) return;
  throw new Error(`seed ${plan.seed} ran differently the second time`);
}
