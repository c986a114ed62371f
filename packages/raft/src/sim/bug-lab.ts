import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Bug } from './bug-bank.js';
import { makePlan } from './plan.js';
import type * as Simulation from './simulation.js';

/** The compiled program this file is a part of. */
const PROGRAM = dirname(dirname(fileURLToPath(import.meta.url)));

export interface Catch {
  readonly seed: number;
  readonly invariant: string;
  readonly message: string;
}

/**
 * Looks for a seed that shows a bug. The program is copied, the bug put into the copy, and the copy's
 * own simulator run: beside the program, so that it finds the same dependencies.
 * @returns undefined when none of the seeds shows it.
 * @throws when the bug can not be put in: the line it changes is no longer there.
 */
export async function findBug(
  bug: Bug,
  seeds: { readonly from: number; readonly count: number },
): Promise<Catch | undefined> {
  const copy = await mkdtemp(join(dirname(PROGRAM), 'bug-'));
  try {
    await cp(PROGRAM, copy, { recursive: true });
    await plant(bug, copy);
    const url = pathToFileURL(join(copy, 'sim', 'simulation.js')).href;
    const { runPlan } = (await import(url)) as typeof Simulation;
    for (let seed = seeds.from; seed < seeds.from + seeds.count; seed++) {
      const { failure } = await runPlan(makePlan(seed, bug.profile));
      if (failure === undefined) continue;
      return { seed, invariant: failure.invariant, message: failure.message };
    }
    return undefined;
  } finally {
    await rm(copy, { recursive: true });
  }
}

async function plant(bug: Bug, program: string): Promise<void> {
  const path = join(program, bug.file);
  const text = await readFile(path, 'utf8');
  const parts = text.split(bug.find);
  if (parts.length !== 2) {
    throw new Error(`${bug.file} holds the line for "${bug.name}" ${parts.length - 1} times`);
  }
  await writeFile(path, parts.join(bug.replace));
}
