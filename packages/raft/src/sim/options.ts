import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { PROFILES, type Profile } from './plan.js';

export const USAGE = `Usage: scripts/simulate [options]
Runs Raft clusters on a virtual clock, network and disk; one seed is one run.

  --seeds N       run so many seeds (default 1000)
  --from SEED     the first seed (default 1)
  --minutes M     run until so much time has passed instead
  --profile NAME  ${PROFILES.join(', ')}; all takes them in turn (default mixed)
  --plan FILE     run this one plan, as --save wrote it
  --save FILE     write the smallest plan that failed
  --jobs N        processes to spread seeds over (default: one for each processor; 1: this one)
  --keep-going    do not stop at the first failure
  --no-shrink     do not look for a smaller plan
  --trace N       after a failure print the last N lines of the trace (default 60, 0: none)
  --bugs          put each bug of the bank in and look for it with up to --seeds seeds;
                  prints the table of docs/simulation.md
  --verify        run each seed twice and compare
`;

/** Processes at most: each takes some 100 MB. */
const MAX_JOBS = 256;

export interface Options {
  readonly seeds: number;
  readonly from: number;
  readonly minutes: number | undefined;
  readonly profile: Profile | 'all';
  readonly plan: string | undefined;
  readonly save: string | undefined;
  readonly jobs: number;
  readonly keepGoing: boolean;
  readonly shrinks: boolean;
  readonly trace: number;
  readonly verify: boolean;
  readonly bugs: boolean;
}

/** @throws for what is no option, or has no such value. */
export function readOptions(args: readonly string[]): Options | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seeds: { type: 'string', default: '1000' },
      from: { type: 'string', default: '1' },
      minutes: { type: 'string' },
      profile: { type: 'string', default: 'mixed' },
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
  const profile = values.profile === 'all' ? 'all' : PROFILES.find((p) => p === values.profile);
  if (profile === undefined) throw new Error(`no profile ${values.profile}`);
  return {
    seeds: whole(values.seeds, 'seeds'),
    from: whole(values.from, 'from'),
    minutes: values.minutes === undefined ? undefined : minutesOf(values.minutes),
    profile,
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
