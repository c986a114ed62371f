import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { shrink } from '@swarm/sim';
import type { Bug } from './bug-bank.js';
import type { Plan } from './plan.js';
import type * as Program from './simulator.js';

/** The compiled simulator, which includes this file. */
const SIMULATOR = dirname(fileURLToPath(import.meta.url));
/** The compiled Raft that it runs. */
const RAFT = dirname(fileURLToPath(import.meta.resolve('@swarm/raft')));
/** Where a package has its compiled sources. */
const SOURCES = join('dist', 'src');

export interface Catch {
  readonly seed: number;
  readonly invariant: string;
  readonly message: string;
  /** The plan that showed it, and, if requested, the smallest one found that shows it too. */
  readonly plan: Plan;
  readonly smaller: Plan | undefined;
}

export interface Search {
  readonly from: number;
  readonly count: number;
  /** Whether to look for a smaller plan. */
  readonly shrinks?: boolean;
}

/**
 * Copies Raft and the simulator, and plants a bug in that Raft. The copy lies beside the simulator,
 * so that it finds the same dependencies. It is removed when `use` ends.
 * @param use receives the folder of the copied simulator
 * @throws when the bug does not fit: the line it changes no longer exists
 */
export async function withBug<T>(bug: Bug, use: (program: string) => Promise<T>): Promise<T> {
  const copy = await mkdtemp(join(dirname(SIMULATOR), 'bug-'));
  try {
    const raft = join(copy, 'node_modules', '@swarm', 'raft');
    await cp(RAFT, join(raft, SOURCES), { recursive: true });
    await cp(join(RAFT, '..', '..', 'package.json'), join(raft, 'package.json'));
    await plant(bug, join(raft, SOURCES));
    const program = join(copy, 'simulator');
    await cp(SIMULATOR, program, { recursive: true });
    return await use(program);
  } finally {
    await rm(copy, { recursive: true });
  }
}

/**
 * Searches for a seed that shows a bug, with a simulator that runs a Raft with the bug.
 * @returns undefined when none of the seeds shows it
 * @throws as `withBug`
 */
export function findBug(
  bug: Bug,
  { from, count, shrinks = false }: Search,
): Promise<Catch | undefined> {
  return withBug(bug, async (program) => {
    const { simulator } = await load(program);
    for (let seed = from; seed < from + count; seed++) {
      const plan = simulator.makePlan(seed, bug.profile);
      const result = await simulator.run(plan);
      if (result.failure === undefined) continue;
      const { invariant, message } = result.failure;
      const smaller = shrinks ? (await shrink(simulator, result)).plan : undefined;
      return { seed, invariant, message, plan, smaller };
    }
    return undefined;
  });
}

async function load(program: string): Promise<typeof Program> {
  return (await import(pathToFileURL(join(program, 'simulator.js')).href)) as typeof Program;
}

const FOLDERS = ['core', 'host', 'storage', 'transport'];

async function plant(bug: Bug, raft: string): Promise<void> {
  const words = bug.find.split(' ').map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  const line = new RegExp(words.join('\\s+'), 'g');
  let found = 0;
  for (const folder of FOLDERS) {
    for (const name of await readdir(join(raft, folder))) {
      if (!name.endsWith('.js')) continue;
      const path = join(raft, folder, name);
      const text = await readFile(path, 'utf8');
      const count = text.match(line)?.length ?? 0;
      found += count;
      if (count > 0)
        await writeFile(
          path,
          text.replace(line, () => bug.replace),
        );
    }
  }
  if (found !== 1) throw new Error(`the line for "${bug.name}" is there ${found} times, not once`);
}
