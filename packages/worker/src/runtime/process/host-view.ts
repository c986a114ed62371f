import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { basename, dirname, relative } from 'node:path';
import { RuntimeError } from '../runtime-error.js';
import type { HostTools } from './host-tools.js';
import { withoutInherited } from './inherited-files.js';
import { quote } from './launch-script.js';

const OUTPUT_LIMIT_BYTES = 4096;
/** Where tasks find the list of mounts that each makes for itself; in the view's own /run. */
const TASK_MOUNTS_FILE = '/run/swarm-task-mounts';
/** Where a task's own files are, in memory; an empty folder in the view. */
const TASK_FILES_FOLDER = '/run/swarm-task-files';

/** Flags of mount(2), and their words in fstab(5). */
const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_NOEXEC = 8;
const MS_BIND = 4096;
const MOUNT_WORDS = { nosuid: MS_NOSUID, nodev: MS_NODEV, noexec: MS_NOEXEC, bind: MS_BIND };

/** Arguments of mount(2). */
export interface TaskMount {
  readonly source: string;
  readonly target: string;
  readonly type: string;
  readonly flags: number;
  readonly options: string;
}

export interface HostViewOptions {
  /** Folders that no task may see into: the data root. Missing ones are skipped. */
  readonly folders: readonly string[];
  /** Sockets that no task may see; hiding `/run` hides those below it. */
  readonly sockets: readonly string[];
}

/**
 * What tasks see of the host's files: a mount namespace, made once, that hides everything no task may see.
 * Each task gets a copy, in which it mounts what is its own (/proc, /tmp).
 *
 * A copy of the host's namespace for each task would hold on to the network namespaces of all others, which
 * are mounts below /run/netns, and would get slower with each.
 *
 * A shell holds the namespace while the daemon lives; running tasks have their copies and do not need it.
 * Later mounts on the host appear in it, and in the copies.
 */
export class HostView {
  readonly #options: HostViewOptions;
  readonly #tools: HostTools;
  #holder: ChildProcess | undefined;
  #made: Promise<string> | undefined;

  constructor(options: HostViewOptions, tools: HostTools) {
    this.#options = options;
    this.#tools = tools;
  }

  /**
   * Path of the namespace's file, for nsenter(1). Makes the view if it does not exist.
   * @throws RuntimeError `failed` when the kernel does not allow it
   */
  path(): Promise<string> {
    this.#made ??= this.#make();
    return this.#made;
  }

  /** A task's own mounts, to be made in its namespaces. */
  taskMounts(): readonly TaskMount[] {
    return taskMounts();
  }

  /** The command that makes a task's own mounts; runs in its namespaces. */
  taskMount(): string[] {
    return [this.#tools.path('mount', 'util-linux'), '--all', '--fstab', TASK_MOUNTS_FILE];
  }

  /** Lets go of the view; running tasks keep their copies. */
  close(): void {
    this.#holder?.stdin?.end();
    this.#holder = undefined;
    this.#made = undefined;
  }

  async #make(): Promise<string> {
    const script = viewScript(this.#options, readFileSync('/proc/self/mountinfo', 'utf8'));
    const args = ['--mount', '--propagation', 'slave', '/bin/sh', '-c', script];
    // It lives as long as the daemon, and would hold on to files that LevelDB removes.
    const child = withoutInherited(['pipe', 'pipe', 'pipe'], (stdio) =>
      spawn(this.#tools.path('unshare', 'util-linux'), args, { cwd: '/', stdio }),
    ) as ChildProcessWithoutNullStreams;
    let errors = '';
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      errors = (errors + chunk).slice(0, OUTPUT_LIMIT_BYTES);
    });
    child.stdin.on('error', () => {
      // It ended before we let go of it; `exit` reports that.
    });
    child.once('exit', () => {
      if (this.#holder === child) this.close();
    });
    this.#holder = child;
    const made = await new Promise<boolean>((resolve) => {
      child.once('error', (error) => {
        errors = error.message;
        resolve(false);
      });
      child.stdout.once('data', () => resolve(true));
      child.once('close', () => resolve(false));
    });
    if (!made || child.pid === undefined) {
      if (this.#holder === child) this.close();
      throw new RuntimeError(
        'failed',
        `Cannot make the tasks' view of this host's files: ${errors.trim() || 'no reason given'}. ` +
          'The daemon needs all capabilities of root (CAP_SYS_ADMIN); start it outside of containers, or without root.',
      );
    }
    // It must not keep the daemon's process alive.
    child.unref();
    for (const pipe of [child.stdin, child.stdout, child.stderr]) {
      if ('unref' in pipe && typeof pipe.unref === 'function') pipe.unref();
    }
    return `/proc/${child.pid}/ns/mnt`;
  }
}

/**
 * The script that makes the view in its own namespace, reports that, and stays until its input ends.
 * @param mountInfo the host's mounts (proc(5), `mountinfo`)
 */
function viewScript(options: HostViewOptions, mountInfo: string): string {
  const mounts = mountInfo
    .split('\n')
    .map((line) => unescaped(line.split(' ')[4] ?? ''))
    .filter((path) => path !== '');
  const resolver = resolverFolder();
  const lines = ['set -e', 'umask 022'];
  // A task's copy would hold on to these: network namespaces, users' own folders. Deepest first.
  const nested = [...new Set(mounts)]
    .filter((path) => path.startsWith('/run/') && !isWithin(resolver, path))
    .reverse();
  for (const path of nested) lines.push(`umount -l ${quote(path)} 2>/dev/null || :`);
  if (existsSync('/run')) {
    if (resolver !== undefined) lines.push(`exec 3<${quote(resolver)}`);
    lines.push('mount -t tmpfs -o nosuid,nodev,mode=0755,size=1m tmpfs /run');
    if (resolver !== undefined) {
      lines.push(
        `mkdir -p ${quote(resolver)}`,
        `mount --bind /proc/self/fd/3 ${quote(resolver)}`,
        'exec 3<&-',
      );
    }
  }
  for (const folder of existing(options.folders)) {
    if (!isWithin(folder, '/run'))
      lines.push(`mount -t tmpfs -o ro,mode=0555,size=4k tmpfs ${quote(folder)}`);
  }
  for (const socket of existing(options.sockets)) {
    // By then its folder may already hide it.
    if (!isWithin(socket, '/run')) {
      const path = quote(socket);
      lines.push(`if [ -e ${path} ]; then mount --bind /dev/null ${path}; fi`);
    }
  }
  if (mounts.includes('/sys')) lines.push('mount -o remount,bind,ro /sys');
  if (existsSync('/sys/firmware'))
    lines.push('mount -t tmpfs -o ro,mode=0555,size=4k tmpfs /sys/firmware');
  lines.push(
    `mkdir -p ${TASK_FILES_FOLDER}`,
    `cat >${TASK_MOUNTS_FILE} <<'END'`,
    ...taskMounts().map(fstabLine),
    'END',
    'mount -o remount,ro /run',
    'echo made',
    'exec >/dev/null 2>&1',
    'read -r end || :',
  );
  return `${lines.join('\n')}\n`;
}

/** What each task has for itself. Distinct source names keep `mount --all` from skipping any. */
function taskMounts(): TaskMount[] {
  const closed = MS_NOSUID | MS_NODEV;
  const mount = (target: string, type: string, flags: number, options = ''): TaskMount => ({
    source: `swarm${target.replaceAll('/', '-')}`,
    target,
    type,
    flags,
    options,
  });
  const mounts = [mount('/proc', 'proc', closed | MS_NOEXEC)];
  for (const path of ['/tmp', '/dev/shm'])
    if (existsSync(path)) mounts.push(mount(path, 'tmpfs', closed, 'mode=1777'));
  if (existsSync('/var/tmp') && existsSync('/tmp'))
    mounts.push({ ...mount('/var/tmp', 'none', MS_BIND), source: '/tmp' });
  if (existsSync('/dev/mqueue')) mounts.push(mount('/dev/mqueue', 'mqueue', closed | MS_NOEXEC));
  return mounts;
}

/** A file that a task has in place of one of the host's. */
export interface TaskFile {
  /** Where it is written, in memory that only the task has. */
  readonly path: string;
  readonly text: string;
  /** Puts it in the place of the host's. */
  readonly mount: TaskMount;
}

/** A task's own files, and the mount that holds them. */
export interface TaskFiles {
  readonly holder: TaskMount;
  readonly files: readonly TaskFile[];
}

/** @param texts contents by path; undefined if the task has none of its own */
export function taskFiles(
  texts: Readonly<Record<string, string>> | undefined,
): TaskFiles | undefined {
  if (texts === undefined) return undefined;
  const flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  return {
    holder: {
      source: 'swarm-task-files',
      target: TASK_FILES_FOLDER,
      type: 'tmpfs',
      flags,
      options: 'mode=0755,size=1m',
    },
    files: Object.entries(texts).map(([target, text]) => {
      const path = `${TASK_FILES_FOLDER}/${basename(target)}`;
      const mount = { source: path, target, type: 'none', flags: MS_BIND, options: '' };
      return { path, text, mount };
    }),
  };
}

/** A line of fstab(5). */
function fstabLine({ source, target, type, flags, options }: TaskMount): string {
  const words = Object.entries(MOUNT_WORDS).flatMap(([word, flag]) =>
    (flags & flag) === 0 ? [] : [word],
  );
  if (options !== '') words.push(options);
  return `${source} ${target} ${type} ${words.join(',')} 0 0`;
}

/** Folder below /run that name resolution needs; undefined if it lies elsewhere. */
function resolverFolder(): string | undefined {
  const file = existing(['/etc/resolv.conf'])[0];
  if (file === undefined || !file.startsWith('/run/')) return undefined;
  const folder = dirname(file);
  return folder === '/run' ? undefined : folder;
}

/** Real paths of those that exist. */
function existing(paths: readonly string[]): string[] {
  return paths.filter((path) => existsSync(path)).map((path) => realpathSync(path));
}

function isWithin(path: string | undefined, folder: string): boolean {
  return path !== undefined && !relative(folder, path).startsWith('..');
}

/** Decodes octal escapes of the kernel's mount tables: blanks, tabs, line feeds, backslashes. */
function unescaped(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_all, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}
