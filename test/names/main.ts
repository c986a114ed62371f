import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { runProgram } from '../tools/program.js';
import { names, type NamesOptions } from './names.js';

const USAGE = `Usage: scripts/names [options]
Has 20 tasks on five test hosts ask for names every 100 ms, through updates, scaling, killed tasks and nodes, cuts and
changes of leader. No answer may be another service's, a dead task's, or missing. Needs root. docs/mesh-proof.md

  --rounds N    each kind of trouble this many times (default 3; one takes about 100 s)
  --seed N      the same order as that run (default: drawn)
  --name NAME   of the lab (default names)
  --runtime R   process or docker, with an engine on each host (default process)
  --logs FOLDER copy what all saw and the daemons' logs there, if there is a fault

Exit code: 0 no fault, 1 a fault, 2 wrong arguments, 130 interrupted.
`;
const SEED_LIMIT = 2 ** 32;

type Arguments = Omit<NamesOptions, 'signal' | 'say'>;

function readArguments(args: string[]): Arguments | undefined {
  const { values } = parseArgs({
    args,
    options: {
      rounds: { type: 'string', default: '3' },
      seed: { type: 'string' },
      name: { type: 'string', default: 'names' },
      runtime: { type: 'string', default: 'process' },
      logs: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const rounds = count('rounds', values.rounds);
  const seed = values.seed === undefined ? randomInt(SEED_LIMIT) : count('seed', values.seed);
  const { runtime } = values;
  if (runtime !== 'process' && runtime !== 'docker')
    throw new Error(`--runtime must be process or docker, not ${runtime}`);
  return {
    name: values.name,
    runtime,
    seed,
    rounds,
    ...(values.logs === undefined ? {} : { logs: values.logs }),
  };
}

function count(name: string, text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
    throw new Error(`--${name} must be a whole number, not ${text}`);
  return value;
}

async function run(options: Arguments, signal: AbortSignal): Promise<number> {
  const say = (text: string) => process.stderr.write(`${text}\n`);
  say(`seed ${options.seed}`);
  const { tasks, sightings, faults } = await names({ ...options, signal, say });
  process.stdout.write(
    `seed ${options.seed}: ${tasks} tasks, ${sightings} different answers, ${faults.length} faults\n`,
  );
  if (faults.length > 0) return 1;
  return signal.aborted ? 130 : 0;
}

process.exitCode = await runProgram({ usage: USAGE, read: readArguments, run });
