import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { IDENTITIES, type IdentityName } from './credential.js';
import { hostile, type HostileOptions, SEED_LIMIT } from './hostile.js';
import { describeProgress, describeReport, type HostileReport, type Progress } from './report.js';
import { runProgram } from '../tools/program.js';

const USAGE = `Usage: scripts/hostile [options]
Attacks three managers, real daemons on loopback, as nodes with every kind of certificate would: each path and
message, with right, nearly right and broken values. Nothing may end, stall, leak, grow or change. docs/hostile.md

  --messages N      how many (default 100000)
  --minutes M       at most so long (default 60)
  --seed N          send what that run sent (default: drawn)
  --connections A-B only these connections of the seed, to send again what led to a problem
  --identity NAME   only this one: ${IDENTITIES.join(', ')}
  --keep-going      do not end at the first problem

Exit code: 0 all is well, 1 something is wrong, 2 wrong arguments, 130 interrupted.
`;

const SECONDS_PER_MINUTE = 60;
const PROGRESS_MS = 5_000;

type Arguments = Omit<HostileOptions, 'signal' | 'onProgress' | 'onProblem'>;

function readArguments(args: string[]): Arguments | undefined {
  const { values } = parseArgs({
    args,
    options: {
      messages: { type: 'string', default: '100000' },
      minutes: { type: 'string', default: '60' },
      seed: { type: 'string' },
      connections: { type: 'string' },
      identity: { type: 'string' },
      'keep-going': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const messages = count('messages', values.messages);
  const minutes = Number(values.minutes);
  if (!(minutes > 0) || !Number.isFinite(minutes))
    throw new Error(`--minutes must be a positive number, not ${values.minutes}`);
  const seed = values.seed === undefined ? randomInt(SEED_LIMIT) : count('seed', values.seed);
  const { identity } = values;
  if (identity !== undefined && !IDENTITIES.some((name) => name === identity))
    throw new Error(`--identity must be one of ${IDENTITIES.join(', ')}, not ${identity}`);
  return {
    messages,
    seconds: minutes * SECONDS_PER_MINUTE,
    seeds: [seed],
    keepGoing: values['keep-going'],
    ...(values.connections === undefined ? {} : { connections: range(values.connections) }),
    ...(identity === undefined ? {} : { identity: identity as IdentityName }),
  };
}

function count(name: string, text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
    throw new Error(`--${name} must be a whole number, not ${text}`);
  return value;
}

function range(text: string): [number, number] {
  const match = /^(\d+)(?:-(\d+))?$/.exec(text);
  if (match === null) throw new Error(`--connections must be A-B, not ${text}`);
  return [Number(match[1]), Number(match[2] ?? match[1])];
}

async function run(options: Arguments, signal: AbortSignal): Promise<number> {
  const say = (text: string) => process.stderr.write(`${text}\n`);
  say(`seed ${options.seeds.join()}`);
  let last: Progress | undefined;
  const report = await hostile({
    ...options,
    signal,
    onProgress: (progress) => {
      if (last !== undefined && (progress.seconds - last.seconds) * 1_000 < PROGRESS_MS) return;
      say(describeProgress(progress, last));
      last = progress;
    },
    onProblem: (text) => say(`WRONG: ${text}`),
  });
  process.stdout.write(`${describeReport(report)}\n`);
  return exitCode(report);
}

function exitCode({ problems, isInterrupted }: HostileReport): number {
  if (problems.length > 0) return 1;
  return isInterrupted ? 130 : 0;
}

process.exitCode = await runProgram({ usage: USAGE, read: readArguments, run });
