import { chmodSync, existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Clock, pause } from '@swarm/api';
import { errnoOf, RuntimeError } from '../runtime-error.js';
import { sendSignal } from './proc.js';

/** Longest wait for killed processes to leave a cgroup. */
const EMPTY_LIMIT_MS = 5_000;
const EMPTY_POLL_MS = 10;
const CPU_PERIOD_US = 100_000;
const SIGKILL = 9;

/** Limits of a task; an absent field means no limit. */
export interface CgroupLimits {
  readonly memoryBytes?: number;
  readonly nanoCpus?: number;
  readonly pids?: number;
}

type Controller = 'cpu' | 'memory' | 'pids';

/** Where the kernel's control groups are mounted. */
interface Hierarchies {
  /** The version 2 mount, which has `cgroup.kill`; absent on hosts with version 1 only. */
  readonly unified?: string;
  /** Version 1 mounts of the controllers that the unified one lacks. */
  readonly v1: Partial<Record<Controller, string>>;
  /** Controllers of the unified mount. */
  readonly v2: ReadonlySet<string>;
}

/** Finds the mounts, version 1, version 2 or both at once ("hybrid"). */
function findHierarchies(mounts: string): Hierarchies {
  let unified: string | undefined;
  const v1: Partial<Record<Controller, string>> = {};
  for (const line of mounts.split('\n')) {
    const [, path, type, options] = line.split(' ');
    if (path === undefined) continue;
    if (type === 'cgroup2') unified ??= path;
    if (type !== 'cgroup') continue;
    for (const option of options?.split(',') ?? []) {
      if (option === 'cpu' || option === 'memory' || option === 'pids') v1[option] ??= path;
    }
  }
  if (unified === undefined) return { v1, v2: new Set() };
  const v2 = new Set(
    readFileSync(join(unified, 'cgroup.controllers'), 'latin1').trim().split(/\s+/),
  );
  return { unified, v1, v2 };
}

/** Cgroups of tasks: one folder per task below a common parent, in each hierarchy that the task needs. */
export class Cgroups {
  readonly #hierarchies: Hierarchies;
  readonly #parent: string;
  readonly #clock: Clock;
  #enabled = false;

  /** @param parent name of the folder that holds all tasks, below the root of each hierarchy */
  constructor(parent: string, clock: Clock, mounts = readFileSync('/proc/self/mounts', 'latin1')) {
    this.#parent = parent;
    this.#clock = clock;
    this.#hierarchies = findHierarchies(mounts);
  }

  /** Whether tasks can have a cgroup at all; otherwise processes are found by session. */
  get available(): boolean {
    return this.#hierarchies.unified !== undefined || this.#hierarchies.v1.pids !== undefined;
  }

  /**
   * Makes the task's cgroups with its limits.
   * @returns the `cgroup.procs` files that the task's first process writes itself into
   * @throws RuntimeError `rejected` when a limit has no controller on this host
   */
  create(taskId: string, limits: CgroupLimits): readonly string[] {
    const { unified, v1 } = this.#hierarchies;
    const paths: string[] = [];
    // Always make the unified one, which killing and counting need; others only for a limit.
    if (unified !== undefined) paths.push(this.#make(unified, taskId));
    else if (v1.pids !== undefined) paths.push(this.#make(v1.pids, taskId));
    if (limits.memoryBytes !== undefined) {
      const [path, version] = this.#for('memory', taskId, 'Resources.Limits.MemoryBytes', paths);
      limitMemory(path, version, limits.memoryBytes);
    }
    if (limits.nanoCpus !== undefined) {
      const [path, version] = this.#for('cpu', taskId, 'Resources.Limits.NanoCPUs', paths);
      const quota = Math.max(1000, Math.round((limits.nanoCpus / 1e9) * CPU_PERIOD_US));
      if (version === 2) write(path, 'cpu.max', `${quota} ${CPU_PERIOD_US}`);
      else {
        write(path, 'cpu.cfs_period_us', String(CPU_PERIOD_US));
        write(path, 'cpu.cfs_quota_us', String(quota));
      }
    }
    if (limits.pids !== undefined) {
      const [path] = this.#for('pids', taskId, 'Resources.Limits.Pids', paths);
      write(path, 'pids.max', String(limits.pids));
    }
    return paths.map((path) => join(path, 'cgroup.procs'));
  }

  /** Processes in the task's cgroup. */
  processes(taskId: string): number[] {
    const path = this.#main(taskId);
    if (path === undefined) return [];
    return read(join(path, 'cgroup.procs')).split('\n').filter(Boolean).map(Number);
  }

  /** How many processes of the task the kernel killed for lack of memory. */
  outOfMemoryKills(taskId: string): number {
    for (const path of this.#all(taskId)) {
      for (const file of ['memory.events', 'memory.oom_control']) {
        const found = /^oom_kill (\d+)/m.exec(read(join(path, file)));
        if (found !== null) return Number(found[1]);
      }
    }
    return 0;
  }

  /** Kills every process in the task's cgroup and waits until it is empty. */
  async killAll(taskId: string): Promise<void> {
    const path = this.#main(taskId);
    if (path === undefined) return;
    const killFile = join(path, 'cgroup.kill'); // Linux 5.14 and later
    for (const deadline = this.#clock.monotonicMs() + EMPTY_LIMIT_MS; ; ) {
      const pids = this.processes(taskId);
      if (pids.length === 0) return;
      if (existsSync(killFile)) writeFileSync(killFile, '1');
      else for (const pid of pids) sendSignal(pid, SIGKILL);
      if (this.#clock.monotonicMs() > deadline) {
        throw new RuntimeError(
          'failed',
          `Processes ${pids.slice(0, 5).join(', ')} survive SIGKILL: they hang in the kernel; check their wait channel with ps.`,
        );
      }
      await pause(this.#clock, EMPTY_POLL_MS);
    }
  }

  /** Removes the task's cgroups, if any, which must be empty. */
  async remove(taskId: string): Promise<void> {
    for (const path of this.#all(taskId)) {
      for (const deadline = this.#clock.monotonicMs() + EMPTY_LIMIT_MS; !removeFolder(path); ) {
        // The kernel releases a killed process a moment after it leaves the list.
        if (this.#clock.monotonicMs() > deadline) {
          throw new RuntimeError('failed', `The cgroup ${path} cannot be removed: it is busy.`);
        }
        await pause(this.#clock, EMPTY_POLL_MS);
      }
    }
  }

  /** Removes the common parent if no task is left in it. */
  close(): void {
    const { unified, v1 } = this.#hierarchies;
    for (const root of new Set([unified, v1.cpu, v1.memory, v1.pids])) {
      if (root !== undefined) removeFolder(join(root, this.#parent));
    }
  }

  #make(root: string, taskId: string): string {
    const parent = join(root, this.#parent);
    makeFolder(parent);
    const path = join(parent, taskId);
    makeFolder(path);
    return path;
  }

  /** A v2 controller is usable in a child when each ancestor enables it (cgroup-v2.rst). */
  #enable(root: string): void {
    if (this.#enabled) return;
    const wanted = ['cpu', 'memory', 'pids'].filter((name) => this.#hierarchies.v2.has(name));
    const value = wanted.map((name) => `+${name}`).join(' ');
    write(root, 'cgroup.subtree_control', value);
    write(join(root, this.#parent), 'cgroup.subtree_control', value);
    this.#enabled = true;
  }

  #for(controller: Controller, taskId: string, field: string, paths: string[]): [string, 1 | 2] {
    const { unified, v1, v2 } = this.#hierarchies;
    if (unified !== undefined && v2.has(controller)) {
      this.#enable(unified);
      return [join(unified, this.#parent, taskId), 2];
    }
    const root = v1[controller];
    if (root === undefined) {
      throw new RuntimeError(
        'rejected',
        `${field} cannot be enforced: this host has no ${controller} cgroup controller. Enable it in the kernel, or remove the limit.`,
      );
    }
    const path = this.#make(root, taskId);
    if (!paths.includes(path)) paths.push(path);
    return [path, 1];
  }

  #main(taskId: string): string | undefined {
    const root = this.#hierarchies.unified ?? this.#hierarchies.v1.pids;
    if (root === undefined) return undefined;
    const path = join(root, this.#parent, taskId);
    return existsSync(path) ? path : undefined;
  }

  #all(taskId: string): string[] {
    const { unified, v1 } = this.#hierarchies;
    return [...new Set([unified, v1.cpu, v1.memory, v1.pids])]
      .filter((root) => root !== undefined)
      .map((root) => join(root, this.#parent, taskId))
      .filter((path) => existsSync(path));
  }
}

/** Readable by everybody, whatever the daemon's umask: programs look up their own limits there. */
function makeFolder(path: string): void {
  if (mkdirSync(path, { recursive: true }) !== undefined) chmodSync(path, 0o755);
}

function limitMemory(path: string, version: 1 | 2, bytes: number): void {
  // Swap is not part of the limit: a task over it is killed, not slowed down.
  if (version === 2) {
    write(path, 'memory.max', String(bytes));
    if (existsSync(join(path, 'memory.swap.max'))) write(path, 'memory.swap.max', '0');
    if (existsSync(join(path, 'memory.oom.group'))) write(path, 'memory.oom.group', '1');
    return;
  }
  write(path, 'memory.limit_in_bytes', String(bytes));
  if (existsSync(join(path, 'memory.memsw.limit_in_bytes'))) {
    write(path, 'memory.memsw.limit_in_bytes', String(bytes));
  }
}

function write(folder: string, file: string, value: string): void {
  try {
    writeFileSync(join(folder, file), value);
  } catch (error) {
    throw new RuntimeError('failed', `The kernel rejected "${value}" for ${join(folder, file)}.`, {
      cause: error,
    });
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

/** Removes an empty cgroup; true if it is gone. */
function removeFolder(path: string): boolean {
  try {
    rmdirSync(path);
    return true;
  } catch (error) {
    return errnoOf(error) === 'ENOENT';
  }
}
