import {
  closeSync,
  existsSync,
  fchownSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { getSystemErrorName } from 'node:util';
import type { ContainerSpec, HealthConfig, PortConfig } from '@swarm/api';
import { errnoOf } from '../runtime-error.js';
import type { HostUser } from './host-user.js';
import { SCRIPT_FDS } from './launch-script.js';
import { type ProcessIdentity, parseStat } from './proc.js';

/** Raised whenever a task that was prepared by an older version must not be started as it is. */
export const MANIFEST_VERSION = 2;

/** What `prepare` decided, stored for `start` and for the next run of the daemon. */
export interface TaskManifest {
  readonly version: typeof MANIFEST_VERSION;
  readonly taskId: string;
  /** Absent if an older version made the sandbox together with the task. */
  readonly sandboxId?: string;
  /** The boot it was prepared in; after another boot its namespaces and processes are gone. */
  readonly bootId: string;
  readonly env: Readonly<Record<string, string>>;
  readonly directory: string;
  /** Who the task runs as; absent without root. */
  readonly user?: HostUser;
  /** Whether `user` is a number that only this task has and that is released with it. */
  readonly ownsUser?: boolean;
  /** Whether the task has its own namespaces. */
  readonly isolated?: boolean;
  /** Only for an isolated task. */
  readonly capabilityAdd?: readonly string[];
  readonly capabilityDrop?: readonly string[];
  readonly ulimits?: ContainerSpec['Ulimits'];
  /** Programs that run before the command: user, limits, namespaces. */
  readonly wrappers: readonly string[];
  readonly command: readonly string[];
  readonly cgroupFiles: readonly string[];
  readonly hasCgroup: boolean;
  /** Name of its sandbox's network namespace. */
  readonly netns?: string;
  readonly hostname?: string;
  /** Files that it has in place of the host's, by path. */
  readonly files?: Readonly<Record<string, string>>;
  readonly memoryBytes?: number;
  readonly oomScoreAdj?: number;
  readonly health?: HealthConfig;
  readonly address?: string;
  readonly ports?: readonly PortConfig[];
  readonly logLimitBytes: number;
}

export const PIDS_NAME = 'pids';
/** What went wrong before the command, and the exit code. */
export const EXIT_NAME = 'exit';
const SCRIPT_NAME = 'run.sh';
const ENTRY_NAME = 'entry.sh';
/** Also the name of the process, for `ps`. */
const PROGRAM_NAME = 'swarm-init';
export const PROBE_NAME = 'swarm-probe';

/** The files of one task. */
export class TaskFolder {
  readonly path: string;

  constructor(tasksFolder: string, taskId: string) {
    this.path = join(tasksFolder, taskId);
  }

  file(name: string): string {
    return join(this.path, name);
  }

  create(): void {
    mkdirSync(this.path, { recursive: true, mode: 0o700 });
  }

  /** A task is prepared once its manifest exists. */
  writeManifest(manifest: TaskManifest): void {
    writeFileSync(this.file('task.json.new'), JSON.stringify(manifest), { mode: 0o600 });
    renameSync(this.file('task.json.new'), this.file('task.json'));
  }

  readManifest(): TaskManifest | undefined {
    const text = this.#read('task.json');
    return text === undefined ? undefined : (JSON.parse(text) as TaskManifest);
  }

  /** Writes a program, by default the one that starts the task. */
  writeProgram(contents: Uint8Array, name = PROGRAM_NAME): string {
    writeFileSync(this.file(name), contents, { mode: 0o700 });
    return this.file(name);
  }

  writeScript(name: string, text: string): string {
    writeFileSync(this.file(name), text, { mode: 0o600 });
    return this.file(name);
  }

  /** Whether its supervisor was written, so that the task may have started. */
  get launched(): boolean {
    return existsSync(this.file(PROGRAM_NAME)) || existsSync(this.file(SCRIPT_NAME));
  }

  /**
   * Writes a shell script that is a task's supervisor and opens its files, as `stdio` of its spawn; the caller
   * closes them. A program opens its files itself, which does not block the daemon.
   * @param entry script that starts the command of an isolated task
   * @param logs paths of its standard output and error
   * @param owner the task's user: programs that reopen /dev/stdout need a file of their own
   */
  openFiles(
    script: string,
    entry: string,
    logs: { readonly stdout: string; readonly stderr: string },
    owner: HostUser | undefined,
  ): { readonly stdio: ('ignore' | 'pipe' | number)[]; close(): void } {
    const open: number[] = [];
    const close = (): void => {
      for (const fd of open) closeSync(fd);
    };
    const opened = (fd: number): number => {
      open.push(fd);
      return fd;
    };
    try {
      const stdio: ('ignore' | 'pipe' | number)[] = ['ignore', opened(openLog(logs.stdout, owner))];
      const exit = opened(openSync(this.file(EXIT_NAME), 'a', 0o600));
      stdio[SCRIPT_FDS.failure] = exit;
      stdio[SCRIPT_FDS.started] = 'pipe';
      stdio[SCRIPT_FDS.stderr] = opened(openLog(logs.stderr, owner));
      stdio[SCRIPT_FDS.pids] = opened(openSync(this.file(PIDS_NAME), 'a', 0o600));
      stdio[SCRIPT_FDS.exit] = exit;
      stdio[SCRIPT_FDS.script - 1] = 'ignore';
      stdio[SCRIPT_FDS.script] = opened(openSync(this.writeScript(SCRIPT_NAME, script), 'r'));
      stdio[SCRIPT_FDS.entry] = opened(openSync(this.writeScript(ENTRY_NAME, entry), 'r'));
      return { stdio, close };
    } catch (error) {
      close();
      throw error;
    }
  }

  /** The task's first process and its supervisor, once the supervisor has recorded them. */
  readProcesses(): { task: ProcessIdentity; supervisor: ProcessIdentity } | undefined {
    const text = this.#read(PIDS_NAME);
    // A program writes each with trailing NULs.
    const [first, second, end] = (text?.replaceAll('\0', '') ?? '').split('\n');
    if (end === undefined) return undefined;
    const task = parseStat(first ?? '');
    const supervisor = parseStat(second ?? '');
    return task === undefined || supervisor === undefined ? undefined : { task, supervisor };
  }

  /** The exit code, once the task has ended under its supervisor: the last line that it writes. */
  readExitCode(): number | undefined {
    const last = this.#exitLines().at(-1) ?? '';
    return /^\d{1,3}$/.test(last) ? Number(last) : undefined;
  }

  /** What went wrong between the spawn and the task's own command. */
  readFailure(): string | undefined {
    const lines = this.#exitLines().filter((line) => !/^\d*$/.test(line));
    // A program only knows the number of an error.
    const named = lines
      .join(': ')
      .replace(/: error (\d{3})\b/, (_all, digits) => `: ${getSystemErrorName(-Number(digits))}`);
    return named === '' ? undefined : named;
  }

  #exitLines(): string[] {
    // What follows the last line feed is incomplete.
    return (this.#read(EXIT_NAME) ?? '').split('\n').slice(0, -1);
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }

  #read(name: string): string | undefined {
    try {
      return readFileSync(this.file(name), 'utf8');
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw error;
    }
  }
}

function openLog(path: string, owner: HostUser | undefined): number {
  const fd = openSync(path, 'a', 0o600);
  if (owner !== undefined) fchownSync(fd, owner.uid, owner.gid);
  return fd;
}

/** Ids of all tasks that have a folder. */
export function listTaskFolders(tasksFolder: string): string[] {
  mkdirSync(tasksFolder, { recursive: true, mode: 0o700 });
  return readdirSync(tasksFolder);
}
