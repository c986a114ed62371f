/** `scripts/bench NAME [--json]`. */
import { parseArgs } from 'node:util';
import { benchMain } from './bench-main.js';
import { printReport, type Report } from './report.js';

const BENCHES: Readonly<Record<string, (say: (text: string) => void) => Promise<Report>>> = {
  main: benchMain,
};

const { values, positionals } = parseArgs({
  options: { json: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const name = positionals[0];
const bench = name === undefined ? undefined : BENCHES[name];
if (bench === undefined) {
  console.error(
    `usage: scripts/bench NAME [--json]\nbenchmarks: ${Object.keys(BENCHES).join(', ')}`,
  );
  process.exit(1);
}
const report = await bench((text) => {
  if (!values.json) console.error(`… ${text}`);
});
printReport(report, values.json);
