import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { HealthConfig, PortConfig } from '@swarm/api';
import { errnoOf } from '../runtime-error.js';
import { type ProcessIdentity, parseStat } from './proc.js';

/** What `prepare` decided, kept for `start` and for the daemon's next life. */
export interface TaskManifest {
  readonly version: 1;
  readonly taskId: string;
  /** The boot it was prepared in; namespaces and processes of another one are gone. */
  readonly bootId: string;
  readonly env: Readonly<Record<string, string>>;
  readonly directory: string;
  /** Programs before the command: user, limits, namespaces. */
  readonly wrappers: readonly string[];
  readonly command: readonly string[];
  readonly cgroupFiles: readonly string[];
  readonly hasCgroup: boolean;
  /** Name of its network namespace. */
  readonly netns?: string;
  readonly hostname?: string;
  readonly memoryBytes?: number;
  readonly oomScoreAdj?: number;
  readonly health?: HealthConfig;
  readonly address?: string;
  readonly ports?: readonly PortConfig[];
  readonly logLimitBytes: number;
}

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

  /** The manifest's presence is what makes a task prepared. */
  writeManifest(manifest: TaskManifest): void {
    writeFileSync(this.file('task.json.new'), JSON.stringify(manifest), { mode: 0o600 });
    renameSync(this.file('task.json.new'), this.file('task.json'));
  }

  readManifest(): TaskManifest | undefined {
    const text = this.#read('task.json');
    return text === undefined ? undefined : (JSON.parse(text) as TaskManifest);
  }

  writeScript(name: string, text: string): string {
    writeFileSync(this.file(name), text, { mode: 0o600 });
    return this.file(name);
  }

  /** Whether the script was written, so that the task may have been started. */
  get launched(): boolean {
    return existsSync(this.file('run.sh'));
  }

  /** The task's first process and its supervisor, once the supervisor wrote them down. */
  readProcesses(): { task: ProcessIdentity; supervisor: ProcessIdentity } | undefined {
    const text = this.#read('pids');
    if (text === undefined || !text.endsWith('\n')) return undefined;
    const [first, second] = text.split('\n');
    const task = parseStat(first ?? '');
    const supervisor = parseStat(second ?? '');
    return task === undefined || supervisor === undefined ? undefined : { task, supervisor };
  }

  /** The exit code, once the task has ended under its supervisor. */
  readExitCode(): number | undefined {
    const text = this.#read('exit');
    return text?.endsWith('\n') === true ? Number(text) : undefined;
  }

  /** What went wrong between the fork and the task's own command. */
  readFailure(): string | undefined {
    return this.#read('failure')?.trim();
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

/** Ids of all tasks that have a folder. */
export function listTaskFolders(tasksFolder: string): string[] {
  mkdirSync(tasksFolder, { recursive: true, mode: 0o700 });
  return readdirSync(tasksFolder);
}
