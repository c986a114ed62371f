import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { runProgram } from '../tools/program.js';
import { chaos, type ChaosOptions, type ChaosReport } from './chaos.js';

const USAGE = `Usage: scripts/chaos [options]
Breaks a cluster of five test hosts in every way while clients outside and services use it: a request may fail only where
its task died with it. Needs root. Prints a timeline, so that a failure can be understood. docs/mesh-proof.md

  --minutes M   how long (default 10)
  --seed N      do the same as that run; the outcome differs (default: drawn)
  --name NAME   of the lab (default chaos)
  --runtime R   process or docker, with an engine on each host (default process)
  --logs FOLDER copy what all saw, the daemons' logs and the tasks there
  --json        print the report as JSON

Exit code: 0 no fault, 1 a fault, 2 wrong arguments, 130 interrupted.
`;
const SEED_LIMIT = 2 ** 32;
const SECONDS_PER_MINUTE = 60;
const HALF_MS = 90_000;

interface Arguments extends Omit<ChaosOptions, 'signal' | 'say'> {
  readonly json: boolean;
}

function readArguments(args: string[]): Arguments | undefined {
  const { values } = parseArgs({
    args,
    options: {
      minutes: { type: 'string', default: '10' },
      seed: { type: 'string' },
      name: { type: 'string', default: 'chaos' },
      runtime: { type: 'string', default: 'process' },
      logs: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const minutes = Number(values.minutes);
  if (!(minutes > 0) || !Number.isFinite(minutes))
    throw new Error(`--minutes must be a positive number, not ${values.minutes}`);
  const seed = values.seed === undefined ? randomInt(SEED_LIMIT) : Number(values.seed);
  if (!Number.isSafeInteger(seed) || seed < 0)
    throw new Error(`--seed must be a whole number, not ${values.seed}`);
  const { runtime } = values;
  if (runtime !== 'process' && runtime !== 'docker')
    throw new Error(`--runtime must be process or docker, not ${runtime}`);
  const seconds = minutes * SECONDS_PER_MINUTE;
  const logs = values.logs === undefined ? {} : { logs: values.logs };
  return { name: values.name, runtime, seed, seconds, halfMs: HALF_MS, json: values.json, ...logs };
}

async function run({ json, ...options }: Arguments, signal: AbortSignal): Promise<number> {
  const say = (text: string) => process.stderr.write(`${text}\n`);
  say(`seed ${options.seed}`);
  const report = await chaos({ ...options, signal, say });
  process.stdout.write(`${json ? JSON.stringify(report, null, 2) : describe(report)}\n`);
  if (report.faults.length > 0) return 1;
  return signal.aborted ? 130 : 0;
}

function describe({ seed, actions, done, explained, faults }: ChaosReport): string {
  const list = (counts: Readonly<Record<string, number>>): string =>
    Object.entries(counts)
      .map(([what, count]) => `  ${count} ${what}`)
      .join('\n');
  const explanations = Object.entries(explained).map(
    ([what, { count, longestMs }]) => `  ${count} ${what} (longest ${longestMs} ms)`,
  );
  return [
    `seed ${seed}\nactions\n${list(actions)}\nwent well\n${list(done)}`,
    'failed, as it must',
    ...explanations,
    `faults: ${faults.length}`,
    ...faults.map((fault) => `  ${JSON.stringify(fault)}`),
  ].join('\n');
}

process.exitCode = await runProgram({ usage: USAGE, read: readArguments, run });
