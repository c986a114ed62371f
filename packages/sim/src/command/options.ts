import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import type { RunPlan, Simulator } from '../run/simulator.js';

/** A simulator as a command. */
export interface SimulateCommand<Plan extends RunPlan = RunPlan> {
  /** For example `scripts/simulate`. */
  readonly name: string;
  /** What it does, in a sentence or two. */
  readonly about: string;
  readonly simulator: Simulator<Plan>;
  /** The address of the module that exports `simulator`, for child processes. */
  readonly program: string;
  /** Searches for planted bugs. @returns how many were not found */
  readonly bugs?: (search: { readonly from: number; readonly seeds: number }) => Promise<number>;
}

export function usageOf({ name, about, simulator, bugs }: SimulateCommand): string {
  const { profiles } = simulator;
  const bank = `  --bugs          plant each bug of the bank and search for it with up to --seeds seeds;
                  prints the table of docs/simulation.md
`;
  return `Usage: ${name} [options]
${about}

  --seeds N       number of seeds to run (default 1000)
  --from SEED     first seed (default 1)
  --minutes M     run for this long instead
  --profile NAME  ${profiles.join(', ')}; all takes them in turn (default ${profiles[0]})
  --plan FILE     run the one plan that --save wrote
  --save FILE     write the smallest plan that failed
  --jobs N        processes to spread seeds over (default: one per processor; 1: this one)
  --keep-going    do not stop at the first failure
  --no-shrink     do not look for a smaller plan
  --trace N       after a failure print the last N lines of the trace (default 60, 0: none)
${bugs === undefined ? '' : bank}  --verify        run each seed twice and compare
`;
}

/** The most processes: each takes some 100 MB. */
const MAX_JOBS = 256;

export interface SimulateOptions {
  readonly seeds: number;
  readonly from: number;
  readonly minutes: number | undefined;
  /** `all`: every profile in turn. */
  readonly profile: string;
  readonly plan: string | undefined;
  readonly save: string | undefined;
  readonly jobs: number;
  readonly keepGoing: boolean;
  readonly shrinks: boolean;
  readonly trace: number;
  readonly verify: boolean;
  readonly bugs: boolean;
}

/** @throws for an unknown option or a bad value */
export function readOptions(
  { simulator, bugs }: SimulateCommand,
  args: readonly string[],
): SimulateOptions | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seeds: { type: 'string', default: '1000' },
      from: { type: 'string', default: '1' },
      minutes: { type: 'string' },
      profile: { type: 'string', default: simulator.profiles[0] ?? '' },
      plan: { type: 'string' },
      save: { type: 'string' },
      jobs: { type: 'string', default: String(Math.min(availableParallelism(), MAX_JOBS)) },
      'keep-going': { type: 'boolean', default: false },
      'no-shrink': { type: 'boolean', default: false },
      trace: { type: 'string', default: '60' },
      verify: { type: 'boolean', default: false },
      bugs: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  if (values.profile !== 'all' && !simulator.profiles.includes(values.profile)) {
    throw new Error(`unknown profile ${values.profile}`);
  }
  if (values.bugs && bugs === undefined) throw new Error('this simulator has no bank of bugs');
  return {
    seeds: whole(values.seeds, 'seeds'),
    from: whole(values.from, 'from'),
    minutes: values.minutes === undefined ? undefined : minutesOf(values.minutes),
    profile: values.profile,
    plan: values.plan,
    save: values.save,
    jobs: jobsOf(values.jobs),
    keepGoing: values['keep-going'],
    shrinks: !values['no-shrink'],
    trace: whole(values.trace, 'trace'),
    verify: values.verify,
    bugs: values.bugs,
  };
}

function minutesOf(text: string): number {
  const minutes = Number(text);
  if (minutes >= 0) return minutes;
  throw new Error(`--minutes must be a number, not ${text}`);
}

function jobsOf(text: string): number {
  const jobs = whole(text, 'jobs');
  if (jobs >= 1 && jobs <= MAX_JOBS) return jobs;
  throw new Error(`--jobs must be from 1 to ${MAX_JOBS}, not ${text}`);
}

function whole(text: string, name: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new Error(`--${name} must be a whole number, not ${text}`);
}
