import { simulate } from '@swarm/sim';
import { BUGS } from './bug-bank.js';
import { findBug } from './bug-lab.js';
import { simulator } from './simulator.js';

/** @returns how many bugs were not found */
async function lookForBugs({ from, seeds }: { from: number; seeds: number }): Promise<number> {
  let missed = 0;
  for (const bug of BUGS) {
    const found = await findBug(bug, { from, count: seeds });
    if (found === undefined) missed++;
    const after = found === undefined ? 'not found' : `${found.seed - from + 1}`;
    const row = [after, String(bug.item), bug.name, bug.profile, found?.invariant ?? ''];
    process.stdout.write(`| ${row.join(' | ')} |\n`);
  }
  return missed;
}

process.exitCode = await simulate(
  {
    name: 'scripts/simulate',
    about: 'Runs Raft clusters on a virtual clock, network and disk; one seed is one run.',
    simulator,
    program: new URL('./simulator.js', import.meta.url).href,
    bugs: lookForBugs,
  },
  process.argv.slice(2),
);
