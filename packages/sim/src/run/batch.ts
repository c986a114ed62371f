import { planAt, type SeedBatch, type SeedOrder } from './seed-order.js';
import type { RunPlan, RunResult, Simulator } from './simulator.js';
import { type Tally, Totals } from './totals.js';

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
export async function runBatch(
  simulator: Simulator,
  options: BatchOptions,
  batch: SeedBatch,
): Promise<BatchReport> {
  const { order, verify, keepGoing } = options;
  const totals = new Totals(simulator.marks);
  const failed: FailedRun[] = [];
  for (let number = batch.first; number < batch.first + batch.count; number++) {
    const plan = planAt(simulator, order, number);
    const result = await withoutStacks(() => simulator.run(plan));
    totals.add(result);
    if (verify) await compareAgain(simulator, plan, result);
    if (result.failure === undefined) continue;
    // Again with stacks: an error of our own is nothing without.
    const { failure } = await simulator.run(plan);
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

async function compareAgain(simulator: Simulator, plan: RunPlan, first: RunResult): Promise<void> {
  const second = await withoutStacks(() => simulator.run(plan));
  if (second.digest === first.digest) return;
  throw new Error(`seed ${plan.seed} ran differently the second time`);
}
