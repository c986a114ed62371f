import { readFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { BUGS } from './bug-bank.js';
import { findBug } from './bug-lab.js';
import { explain } from './explain.js';
import { type Options, readOptions, USAGE } from './options.js';
import type { Plan } from './plan.js';
import { Progress } from './progress.js';
import { Totals } from './report.js';
import { type BatchRunner, ChildRunner, LocalRunner } from './runner.js';
import { planAt, type SeedOrder } from './seed-order.js';
import { runPlan } from './simulation.js';
import { spread } from './spread.js';

const MS_PER_MINUTE = 60_000;

async function main(): Promise<number> {
  let options: Options | undefined;
  try {
    options = readOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${(error as Error).message}; see --help\n`);
    return 1;
  }
  if (options === undefined) {
    process.stdout.write(USAGE);
    return 0;
  }
  if (options.bugs) return lookForBugs(options);
  if (options.plan !== undefined) return runOne(options, options.plan);
  return runSeeds(options);
}

/** @returns 1 when a run failed. */
async function runSeeds(options: Options): Promise<number> {
  const { from, profile, keepGoing, verify, minutes } = options;
  const order: SeedOrder = { from, profile };
  const count = minutes === undefined ? options.seeds : Number.POSITIVE_INFINITY;
  const jobs = Math.min(options.jobs, Math.max(1, count));
  const how = { order, verify, keepGoing };
  const runners: BatchRunner[] =
    jobs === 1 ? [new LocalRunner(how)] : Array.from({ length: jobs }, () => new ChildRunner(how));
  const endAll = () => {
    for (const runner of runners) runner.end();
  };
  const startMs = performance.now();
  const elapsedMs = () => performance.now() - startMs;
  const progress = new Progress(process.stderr, elapsedMs);
  const limitMs = minutes === undefined ? Number.POSITIVE_INFINITY : minutes * MS_PER_MINUTE;
  let soFar = new Totals();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      endAll();
      progress.end();
      process.stdout.write(`${signal}, so far:\n${soFar.describeAll(elapsedMs())}\n`);
      process.exit(128 + constants.signals[signal]);
    });
  }
  try {
    const { totals, failed } = await spread(runners, {
      count,
      keepGoing,
      enough: () => elapsedMs() >= limitMs,
      onReport: (report, now) => {
        soFar = now;
        for (const { number, message } of report.failed) {
          progress.say(`seed ${from + number}: ${message}`);
        }
        progress.show(now);
      },
    });
    const ranMs = elapsedMs();
    progress.end();
    endAll();
    for (const { number } of failed) await explain(planAt(order, number), options);
    process.stdout.write(`${totals.describeAll(ranMs)}\n`);
    return failed.length > 0 ? 1 : 0;
  } finally {
    endAll();
  }
}

/** A plan that was saved. @returns 1 when it failed. */
async function runOne(options: Options, file: string): Promise<number> {
  const plan = JSON.parse(await readFile(file, 'utf8')) as Plan;
  const startMs = performance.now();
  const totals = new Totals();
  const result = await runPlan(plan);
  totals.add(result);
  if (result.failure !== undefined) await explain(plan, options);
  process.stdout.write(`${totals.describeAll(performance.now() - startMs)}\n`);
  return totals.failed;
}

/** @returns how many bugs were not found. */
async function lookForBugs({ from, seeds }: Options): Promise<number> {
  let missed = 0;
  for (const bug of BUGS) {
    const found = await findBug(bug, { from, count: seeds });
    if (found === undefined) missed++;
    const after = found === undefined ? 'not found' : `${found.seed - from + 1}`;
    const row = [after, String(bug.item), bug.name, bug.profile, found?.invariant ?? ''];
    process.stdout.write(`| ${row.join(' | ')} |\n`);
  }
  return missed;
}

process.exitCode = await main();
