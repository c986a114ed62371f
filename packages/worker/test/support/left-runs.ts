import { lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger, systemClock } from '@swarm/api';
import {
  bootId,
  isAlive,
  parseStat,
  type ProcessIdentity,
} from '../../src/runtime/process/proc.js';
import { ProcessRuntime } from '../../src/runtime/process/process-runtime.js';

/** A runtime of a test, as it stands on disk while it is open. */
export interface Run {
  /** The test's process. */
  readonly owner: ProcessIdentity;
  readonly bootId: string;
  readonly folder: string;
  readonly cgroupParent: string;
  readonly privileged: boolean;
}

/** Where runs are recorded; of this user alone, because we kill what it names. */
export const RUNS_FOLDER = join(tmpdir(), `swarm-worker-runs-${process.getuid?.() ?? 0}`);
const OTHERS_WRITE = 0o022;

/** Records a runtime until the returned function is called. */
export function recordRun(
  run: Omit<Run, 'owner' | 'bootId'>,
  runs = RUNS_FOLDER,
  owner = identityOf(process.pid),
): () => void {
  checkFolder(runs);
  const path = join(runs, `${run.cgroupParent}.json`);
  writeFileSync(path, JSON.stringify({ ...run, owner, bootId: bootId() } satisfies Run));
  return () => rmSync(path, { force: true });
}

/**
 * Removes the tasks of tests that were killed: those that their runtimes recorded, in the folder and the cgroup
 * of that run.
 * @returns the folders that it removed
 */
export async function reapLeftRuns(runs = RUNS_FOLDER): Promise<string[]> {
  checkFolder(runs);
  const reaped: string[] = [];
  for (const name of readdirSync(runs)) {
    const path = join(runs, name);
    const run = read(path);
    if (run !== undefined && run.bootId === bootId() && isAlive(run.owner)) continue;
    // Another suite that starts now may be at it as well.
    if (run !== undefined && lstatSync(run.folder, { throwIfNoEntry: false }) !== undefined) {
      await reap(run);
      reaped.push(run.folder);
    }
    rmSync(path, { force: true });
  }
  return reaped;
}

async function reap({ folder, cgroupParent, privileged }: Run): Promise<void> {
  const runtime = new ProcessRuntime({
    ...{ folder, cgroupParent, privileged, clock: systemClock(), logger: silentLogger },
    random: Math.random,
  });
  for (const { taskId } of await runtime.list()) await runtime.remove(taskId);
  for (const id of await runtime.listSandboxes()) await runtime.removeSandbox(id);
  await runtime.close();
  rmSync(folder, { recursive: true, force: true });
}

function read(path: string): Run | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Run;
  } catch {
    return undefined; // Cut short by the kill, or reaped meanwhile.
  }
}

function checkFolder(runs: string): void {
  mkdirSync(runs, { recursive: true, mode: 0o700 });
  const { uid, mode } = lstatSync(runs);
  if (uid !== process.getuid?.() || (mode & OTHERS_WRITE) !== 0)
    throw new Error(`${runs} is not yours alone: remove it`);
}

function identityOf(pid: number): ProcessIdentity {
  const stat = parseStat(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  if (stat === undefined) throw new Error(`/proc/${pid}/stat cannot be read`);
  return { pid, startTicks: stat.startTicks };
}
