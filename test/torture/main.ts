import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { Verdict } from '@swarm/sim';
import { describeProgress, describeReport, type Progress, type TortureReport } from './report.js';
import { SEED_LIMIT, torture } from './torture.js';
import { runProgram } from '../tools/program.js';

const USAGE = `Usage: scripts/torture [options]
Repeatedly breaks three Raft members, real processes on loopback, while clients read and write. At the end
the histories must be linearizable and nothing acknowledged may be lost. See docs/torture.md.

  --minutes M   how long (default 15; 0.5 is half a minute)
  --all         instead: each kind of fault once
  --members N   3 or 5 (default 3)
  --seed N      choose the same faults as that run; the outcome differs (default: drawn)
  --json        print the report as JSON

Exit code: 0 no problem, 1 a problem, 2 wrong arguments, 130 interrupted.
`;

const SECONDS_PER_MINUTE = 60;

interface Arguments {
  readonly seconds: number;
  readonly members: number;
  readonly seed: number;
  readonly json: boolean;
}

function readArguments(args: string[]): Arguments | undefined {
  const { values } = parseArgs({
    args,
    options: {
      minutes: { type: 'string', default: '15' },
      all: { type: 'boolean', default: false },
      members: { type: 'string', default: '3' },
      seed: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const minutes = Number(values.minutes);
  if (!(minutes > 0) || !Number.isFinite(minutes)) {
    throw new Error(`--minutes must be a positive number, not ${values.minutes}`);
  }
  const members = Number(values.members);
  if (members !== 3 && members !== 5) {
    throw new Error(`--members must be 3 or 5, not ${values.members}`);
  }
  const seed = values.seed === undefined ? randomInt(SEED_LIMIT) : Number(values.seed);
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new Error(`--seed must be a whole number, not ${values.seed}`);
  }
  const seconds = values.all ? 0 : minutes * SECONDS_PER_MINUTE;
  return { seconds, members, seed, json: values.json };
}

async function run({ json, ...choice }: Arguments, signal: AbortSignal): Promise<number> {
  const say = (text: string) => process.stderr.write(`${text}\n`);
  if (!json) say(`seed ${choice.seed}`);
  let last: Progress | undefined;
  const report = await torture({
    ...choice,
    signal,
    onProgress: (progress) => {
      if (!json) say(describeProgress(progress, last));
      last = progress;
    },
    onProblem: (text) => say(`WRONG: ${text}`),
  });
  process.stdout.write(`${json ? JSON.stringify(report, null, 2) : describeReport(report)}\n`);
  return exitCode(report);
}

function exitCode({ problems, interrupted, verdict }: TortureReport): number {
  if (problems.length > 0) return 1;
  if (interrupted) return 130;
  return verdict === Verdict.Linearizable ? 0 : 1;
}

process.exitCode = await runProgram({ usage: USAGE, read: readArguments, run });
