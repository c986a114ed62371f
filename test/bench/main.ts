/** `scripts/bench NAME [--json]`, with amounts for raft and cli. */
import { parseArgs } from 'node:util';
import { benchCli, DEFAULT_CLI_ROUNDS } from './bench-cli.js';
import { benchMain } from './bench-main.js';
import { benchRaft } from './bench-raft.js';
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
  },
  allowPositionals: true,
});

const BENCHES: Readonly<Record<string, (say: (text: string) => void) => Promise<Report>>> = {
  cli: (say) => benchCli(say, count('rounds', DEFAULT_CLI_ROUNDS)),
  main: benchMain,
  raft: (say) =>
    benchRaft(say, {
      parts: values.only?.split(',') ?? DEFAULT_RAFT_OPTIONS.parts,
      rounds: count('rounds'),
      seconds: count('seconds'),
      takeovers: count('takeovers'),
      entries: count('entries'),
    }),
};

function count(
  name: 'rounds' | 'seconds' | 'takeovers' | 'entries',
  usual = DEFAULT_RAFT_OPTIONS[name],
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
      `benchmarks: ${Object.keys(BENCHES).join(', ')}`,
  );
  process.exit(1);
}
const report = await bench((text) => {
  if (!values.json) console.error(`… ${text}`);
});
printReport(report, values.json);
