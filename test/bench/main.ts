/** `scripts/bench NAME [--json]`, with amounts for raft, cli, mesh and services. */
import { parseArgs } from 'node:util';
import { benchCli, DEFAULT_CLI_ROUNDS } from './bench-cli.js';
import { benchMain } from './bench-main.js';
import { benchMesh, DEFAULT_MESH_OPTIONS } from './bench-mesh.js';
import { benchNames, DEFAULT_NAMES_ROUNDS } from './bench-names.js';
import { benchRaft } from './bench-raft.js';
import { benchServices, DEFAULT_SERVICES_OPTIONS } from './bench-services.js';
import { DEFAULT_RAFT_OPTIONS } from './raft/options.js';
import { printReport, type Report } from './report.js';

const { values, positionals } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    only: { type: 'string' },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    takeovers: { type: 'string' },
    entries: { type: 'string' },
    services: { type: 'string' },
    program: { type: 'string' },
    profile: { type: 'string' },
  },
  allowPositionals: true,
});

const BENCHES: Readonly<Record<string, (say: (text: string) => void) => Promise<Report>>> = {
  cli: (say) => benchCli(say, count('rounds', DEFAULT_CLI_ROUNDS)),
  main: benchMain,
  mesh: (say) =>
    benchMesh(say, {
      parts: values.only?.split(',') ?? DEFAULT_MESH_OPTIONS.parts,
      rounds: count('rounds', DEFAULT_MESH_OPTIONS.rounds),
      seconds: count('seconds', DEFAULT_MESH_OPTIONS.seconds),
      services: count('services', DEFAULT_MESH_OPTIONS.services),
    }),
  names: (say) => benchNames(say, count('rounds', DEFAULT_NAMES_ROUNDS)),
  services: (say) =>
    benchServices(say, {
      services: count('services', DEFAULT_SERVICES_OPTIONS.services),
      rounds: count('rounds', DEFAULT_SERVICES_OPTIONS.rounds),
      program: values.program ?? DEFAULT_SERVICES_OPTIONS.program,
      ...(values.profile !== undefined && { profile: values.profile }),
    }),
  raft: (say) =>
    benchRaft(say, {
      parts: values.only?.split(',') ?? DEFAULT_RAFT_OPTIONS.parts,
      rounds: count('rounds', DEFAULT_RAFT_OPTIONS.rounds),
      seconds: count('seconds', DEFAULT_RAFT_OPTIONS.seconds),
      takeovers: count('takeovers', DEFAULT_RAFT_OPTIONS.takeovers),
      entries: count('entries', DEFAULT_RAFT_OPTIONS.entries),
    }),
};

function count(
  name: 'rounds' | 'seconds' | 'takeovers' | 'entries' | 'services',
  usual: number,
): number {
  const text = values[name];
  if (text === undefined) return usual;
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  console.error(`--${name} must be a positive whole number, not ${text}`);
  process.exit(1);
}

const name = positionals[0];
const bench = name === undefined ? undefined : BENCHES[name];
if (bench === undefined) {
  console.error(
    `usage: scripts/bench NAME [--json]\n` +
      `       scripts/bench raft [--only loads,reads,takeover,soak] [--rounds N] [--seconds N] [--takeovers N] [--entries N]\n` +
      `       scripts/bench cli [--rounds N]\n` +
      `       scripts/bench mesh [--only traffic,changes,namespaces,exit] [--rounds N] [--seconds N] [--services N]\n` +
      `       scripts/bench names [--rounds N]\n` +
      `       scripts/bench services [--services N] [--rounds N] [--program PATH] [--profile FOLDER]\n` +
      `benchmarks: ${Object.keys(BENCHES).join(', ')}`,
  );
  process.exit(1);
}
const report = await bench((text) => {
  if (!values.json) console.error(`… ${text}`);
});
printReport(report, values.json);
