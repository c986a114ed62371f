import { planAt, type SeedBatch, type SeedOrder } from './seed-order.js';
import type { RunPlan, RunResult, Simulator } from './simulator.js';
import { type Tally, Totals } from './totals.js';

/** How to make each run. */
export interface BatchOptions {
  readonly order: SeedOrder;
  /** Run each seed twice and compare. */
  readonly verify: boolean;
  /** Continue after a failure; otherwise the first failure ends the batch. */
  readonly keepGoing: boolean;
}

export interface FailedRun {
  /** Number of the run in its order. */
  readonly number: number;
  readonly message: string;
}

/** The outcome of a batch, as plain data: it goes from process to process. */
export interface BatchReport {
  readonly batch: SeedBatch;
  readonly tally: Tally;
  readonly failed: readonly FailedRun[];
}

/** @throws when a repeated run differs */
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
    // Runs it again with stacks: an error of our own is useless without one.
    const { failure } = await simulator.run(plan);
    failed.push({ number, message: (failure ?? result.failure).message });
    if (!keepGoing) break;
  }
  return { batch, tally: totals.tally, failed };
}

/**
 * Most refusals that clients get are errors, and capturing their stacks costs more than refusing.
 */
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
