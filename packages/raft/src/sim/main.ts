import { readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { BUGS } from './bug-bank.js';
import { findBug } from './bug-lab.js';
import { makePlan, type Plan, PROFILES, type Profile } from './plan.js';
import { describePlan, Totals } from './report.js';
import { SHRINK_LIMIT_RUNS, shrink } from './shrink.js';
import { type RunResult, runPlan } from './simulation.js';

const USAGE = `Usage: scripts/simulate [options]
Runs Raft clusters on a virtual clock, network and disk; one seed is one run.

  --seeds N       run so many seeds (default 1000)
  --from SEED     the first seed (default 1)
  --minutes M     run until so much time has passed instead
  --profile NAME  ${PROFILES.join(', ')}; all takes them in turn (default mixed)
  --plan FILE     run this one plan, as --save wrote it
  --save FILE     write the smallest plan that failed
  --keep-going    do not stop at the first failure
  --no-shrink     do not look for a smaller plan
  --trace N       after a failure print the last N lines of the trace (default 60, 0: none)
  --bugs          put each bug of the bank in and look for it with up to --seeds seeds
  --verify        run each seed twice and compare
`;

const PROGRESS_MS = 1_000;
const MS_PER_MINUTE = 60_000;

interface Options {
  readonly seeds: number;
  readonly from: number;
  readonly minutes: number | undefined;
  readonly profile: Profile | 'all';
  readonly plan: string | undefined;
  readonly save: string | undefined;
  readonly keepGoing: boolean;
  readonly shrinks: boolean;
  readonly trace: number;
  readonly verify: boolean;
  readonly bugs: boolean;
}

function readOptions(args: readonly string[]): Options | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seeds: { type: 'string', default: '1000' },
      from: { type: 'string', default: '1' },
      minutes: { type: 'string' },
      profile: { type: 'string', default: 'mixed' },
      plan: { type: 'string' },
      save: { type: 'string' },
      'keep-going': { type: 'boolean', default: false },
      'no-shrink': { type: 'boolean', default: false },
      trace: { type: 'string', default: '60' },
      verify: { type: 'boolean', default: false },
      bugs: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const profile = values.profile === 'all' ? 'all' : PROFILES.find((p) => p === values.profile);
  if (profile === undefined) throw new Error(`no profile ${values.profile}: see --help`);
  return {
    seeds: whole(values.seeds, 'seeds'),
    from: whole(values.from, 'from'),
    minutes: values.minutes === undefined ? undefined : Number(values.minutes),
    profile,
    plan: values.plan,
    save: values.save,
    keepGoing: values['keep-going'],
    shrinks: !values['no-shrink'],
    trace: whole(values.trace, 'trace'),
    verify: values.verify,
    bugs: values.bugs,
  };
}

function whole(text: string, name: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new Error(`--${name} must be a whole number, not ${text}`);
}

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2));
  if (options === undefined) {
    process.stdout.write(USAGE);
    return 0;
  }
  if (options.bugs) return lookForBugs(options);
  const totals = new Totals();
  const startMs = performance.now();
  const elapsedMs = () => performance.now() - startMs;
  let toldMs = 0;
  for (let i = 0; ; i++) {
    const plan = await planOf(options, i);
    const late = options.minutes !== undefined && elapsedMs() >= options.minutes * MS_PER_MINUTE;
    const enough = options.minutes === undefined && i >= options.seeds;
    if (plan === undefined || late || enough) break;
    const result = await runPlan(plan);
    totals.add(result);
    if (options.verify) await verify(result);
    if (result.failure !== undefined) {
      await explain(result, options);
      if (!options.keepGoing) break;
    }
    if (process.stderr.isTTY && elapsedMs() - toldMs >= PROGRESS_MS) {
      toldMs = elapsedMs();
      process.stderr.write(`\r${totals.describe(elapsedMs())} `);
    }
  }
  if (process.stderr.isTTY) process.stderr.write('\n');
  process.stdout.write(`${totals.describeAll(elapsedMs())}\n`);
  return totals.failed > 0 ? 1 : 0;
}

/** @returns how many bugs were not found. */
async function lookForBugs({ from, seeds }: Options): Promise<number> {
  let missed = 0;
  for (const bug of BUGS) {
    const found = await findBug(bug, { from, count: seeds });
    if (found === undefined) missed++;
    const after = found === undefined ? 'not found' : `${found.seed - from + 1}`;
    const row = [after.padStart(9), String(bug.item).padStart(3), bug.name, found?.invariant ?? ''];
    process.stdout.write(`${row.join('  ')}\n`);
  }
  return missed;
}

async function planOf(options: Options, i: number): Promise<Plan | undefined> {
  if (options.plan !== undefined) {
    return i === 0 ? (JSON.parse(await readFile(options.plan, 'utf8')) as Plan) : undefined;
  }
  const { profile } = options;
  const chosen = profile === 'all' ? PROFILES[i % PROFILES.length]! : profile;
  return makePlan(options.from + i, chosen);
}

async function verify(first: RunResult): Promise<void> {
  const second = await runPlan(first.plan);
  if (second.digest === first.digest) return;
  throw new Error(`seed ${first.plan.seed} ran differently the second time`);
}

/** Prints the seed, a smaller plan that fails alike, and what happened in it. */
async function explain(result: RunResult, options: Options): Promise<void> {
  const { plan, failure } = result;
  const say = (text: string) => process.stdout.write(`${text}\n`);
  say(`\nFAILED seed ${plan.seed} (${plan.profile}): ${failure!.message}`);
  say(`again: scripts/simulate --from ${plan.seed} --seeds 1 --profile ${plan.profile}`);
  let smallest = plan;
  if (options.shrinks) {
    say(`looking for a smaller plan, in at most ${SHRINK_LIMIT_RUNS} runs`);
    const { plan: smaller, runs } = await shrink(result);
    smallest = smaller;
    say(`${plan.actions.length} faults became ${smaller.actions.length} in ${runs} runs`);
  }
  say(describePlan(smallest));
  if (options.save !== undefined) {
    await writeFile(options.save, JSON.stringify(smallest));
    say(`again: scripts/simulate --plan ${options.save}`);
  }
  if (options.trace === 0) return;
  const lines: string[] = [];
  const traced = await runPlan(smallest, (line) => {
    lines.push(line);
    if (lines.length > options.trace) lines.shift();
  });
  say('trace (ms, member, what):');
  say(lines.join('\n'));
  say(`${traced.failure?.message ?? 'the smaller plan does not fail when traced'}`);
}

process.exitCode = await main();
