import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Bug } from './bug-bank.js';
import { makePlan, type Plan } from './plan.js';
import type * as Shrink from './shrink.js';
import type * as Simulation from './simulation.js';

/** The compiled program this file is a part of. */
const PROGRAM = dirname(dirname(fileURLToPath(import.meta.url)));

export interface Catch {
  readonly seed: number;
  readonly invariant: string;
  readonly message: string;
  /** The plan that showed it, and the smallest one found that shows it too, if asked for. */
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
 * Copies the program and puts a bug into the copy: beside the program, so that it finds the same
 * dependencies. The copy is gone when `use` ends.
 * @throws when the bug can not be put in: the line it changes is no longer there.
 */
export async function withBug<T>(bug: Bug, use: (copy: string) => Promise<T>): Promise<T> {
  const copy = await mkdtemp(join(dirname(PROGRAM), 'bug-'));
  try {
    await cp(PROGRAM, copy, { recursive: true });
    await plant(bug, copy);
    return await use(copy);
  } finally {
    await rm(copy, { recursive: true });
  }
}

/**
 * Looks for a seed that shows a bug, with the simulator of a copy that has it.
 * @returns undefined when none of the seeds shows it.
 * @throws as `withBug`
 */
export function findBug(
  bug: Bug,
  { from, count, shrinks = false }: Search,
): Promise<Catch | undefined> {
  return withBug(bug, async (copy) => {
    const { runPlan } = await load<typeof Simulation>(copy, 'simulation');
    for (let seed = from; seed < from + count; seed++) {
      const plan = makePlan(seed, bug.profile);
      const result = await runPlan(plan);
      if (result.failure === undefined) continue;
      const { invariant, message } = result.failure;
      const smaller = shrinks
        ? (await load<typeof Shrink>(copy, 'shrink')).shrink(result)
        : undefined;
      return { seed, invariant, message, plan, smaller: (await smaller)?.plan };
    }
    return undefined;
  });
}

/** A file of the copy's own simulator. */
async function load<T>(copy: string, name: string): Promise<T> {
  return (await import(pathToFileURL(join(copy, 'sim', `${name}.js`)).href)) as T;
}

const FOLDERS = ['core', 'host', 'storage', 'transport'];

async function plant(bug: Bug, program: string): Promise<void> {
  const words = bug.find.split(' ').map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  const line = new RegExp(words.join('\\s+'), 'g');
  let found = 0;
  for (const folder of FOLDERS) {
    for (const name of await readdir(join(program, folder))) {
      if (!name.endsWith('.js')) continue;
      const path = join(program, folder, name);
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
