import { readFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { type BatchRunner, ChildRunner, LocalRunner } from '../run/runner.js';
import { planAt, type SeedOrder } from '../run/seed-order.js';
import type { RunPlan } from '../run/simulator.js';
import { spread } from '../run/spread.js';
import { Totals } from '../run/totals.js';
import { explain } from './explain.js';
import { readOptions, type SimulateCommand, type SimulateOptions, usageOf } from './options.js';
import { ProgressLine } from './progress.js';

const MS_PER_MINUTE = 60_000;

/** Runs the command. @returns the exit code */
export async function simulate<Plan extends RunPlan>(
  command: SimulateCommand<Plan>,
  args: readonly string[],
): Promise<number> {
  let options: SimulateOptions | undefined;
  try {
    options = readOptions(command, args);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}; see --help\n`);
    return 1;
  }
  if (options === undefined) {
    process.stdout.write(usageOf(command));
    return 0;
  }
  if (options.bugs) return (await command.bugs?.(options)) ?? 0;
  if (options.plan !== undefined) return runOne(command, options, options.plan);
  return runSeeds(command, options);
}

/** @returns 1 when a run failed */
async function runSeeds<Plan extends RunPlan>(
  command: SimulateCommand<Plan>,
  options: SimulateOptions,
): Promise<number> {
  const { simulator, program } = command;
  const { marks } = simulator;
  const { from, profile, keepGoing, verify, minutes } = options;
  const order: SeedOrder = { from, profile };
  const count = minutes === undefined ? options.seeds : Number.POSITIVE_INFINITY;
  const jobs = Math.min(options.jobs, Math.max(1, count));
  const how = { order, verify, keepGoing };
  const runners: BatchRunner[] =
    jobs === 1
      ? [new LocalRunner(simulator, how)]
      : Array.from({ length: jobs }, () => new ChildRunner(program, how));
  const endAll = () => {
    for (const runner of runners) runner.end();
  };
  const startMs = performance.now();
  const elapsedMs = () => performance.now() - startMs;
  const progress = new ProgressLine(process.stderr, elapsedMs);
  const limitMs = minutes === undefined ? Number.POSITIVE_INFINITY : minutes * MS_PER_MINUTE;
  let soFar = new Totals(marks);
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
      marks,
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
    for (const { number } of failed) {
      await explain(command, planAt(simulator, order, number), options);
    }
    process.stdout.write(`${totals.describeAll(ranMs)}\n`);
    return failed.length > 0 ? 1 : 0;
  } finally {
    endAll();
  }
}

/** Runs a saved plan. @returns 1 when it failed */
async function runOne<Plan extends RunPlan>(
  command: SimulateCommand<Plan>,
  options: SimulateOptions,
  file: string,
): Promise<number> {
  const { simulator } = command;
  const plan = JSON.parse(await readFile(file, 'utf8')) as Plan;
  const startMs = performance.now();
  const totals = new Totals(simulator.marks);
  const result = await simulator.run(plan);
  totals.add(result);
  if (result.failure !== undefined) await explain(command, plan, options);
  process.stdout.write(`${totals.describeAll(performance.now() - startMs)}\n`);
  return totals.failed;
}
