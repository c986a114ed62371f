import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  type Stats,
} from 'node:fs';
import { join } from 'node:path';
import { GROUP_OR_OTHERS } from '@swarm/api';

/** What a repair found below a folder. */
export interface ModeRepair {
  /** Paths that others could use and now cannot. */
  readonly repaired: readonly string[];
  /** Entries that belong to other users, links included. Untouched. */
  readonly foreign: readonly { readonly path: string; readonly uid: number }[];
  /** `path: reason` of entries that were neither read nor changed. */
  readonly left: readonly string[];
}

/** A data root has a few hundred files; in this many LevelDB would hold some hundred gigabytes. */
const ENTRIES_LIMIT = 100_000;
const DEPTH_LIMIT = 16;
const GROUP_OR_OTHERS_WRITE = 0o022;
const OPEN = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * Removes the rights of group and others from every file and folder below a folder of ours. Follows no
 * links. Closes each folder before it reads it, so that nobody can replace its content meanwhile.
 * @param except names in `root` to skip; they only lose the right to write
 * @throws errors of the file system, such as EROFS
 */
export function repairModes(root: string, uid: number, except: readonly string[] = []): ModeRepair {
  return new Repair(uid).run(root, except);
}

class Repair {
  readonly #uid: number;
  readonly #repaired: string[] = [];
  readonly #foreign: { path: string; uid: number }[] = [];
  readonly #left: string[] = [];
  #entries = 0;

  constructor(uid: number) {
    this.#uid = uid;
  }

  run(root: string, except: readonly string[]): ModeRepair {
    for (const name of readdirSync(root)) {
      const path = join(root, name);
      if (except.includes(name)) this.#close(path, GROUP_OR_OTHERS_WRITE);
      else this.#visit(path, 1);
    }
    if (this.#entries > ENTRIES_LIMIT)
      this.#left.push(
        `${root}: it has more than ${ENTRIES_LIMIT} files, the rest was not looked at: 'chmod -R go= ${root}'`,
      );
    return { repaired: this.#repaired, foreign: this.#foreign, left: this.#left };
  }

  #visit(path: string, depth: number): void {
    this.#entries += 1;
    if (this.#entries > ENTRIES_LIMIT) return;
    const entry = this.#close(path, GROUP_OR_OTHERS);
    if (entry?.isDirectory() !== true) return;
    if (depth === DEPTH_LIMIT) {
      this.#left.push(`${path}: it lies ${depth} folders deep`);
      return;
    }
    for (const name of readdirSync(path)) this.#visit(join(path, name), depth + 1);
  }

  /** Removes `rights` from an entry; undefined when it is not to be read further. */
  #close(path: string, rights: number): Stats | undefined {
    const entry = lstatSync(path, { throwIfNoEntry: false });
    if (entry === undefined) return undefined;
    if (entry.uid !== this.#uid) {
      this.#foreign.push({ path, uid: entry.uid });
      return undefined;
    }
    if (entry.isSymbolicLink()) return this.#leave(path, 'it is a symbolic link');
    // The process that listens on a socket decides its mode.
    if (!entry.isFile() && !entry.isDirectory()) return undefined;
    if ((entry.mode & rights) === 0) return entry;
    // Under another name it may be a file of ours that others should read.
    if (entry.isFile() && entry.nlink > 1) return this.#leave(path, 'it has other names');
    const file = open(path);
    if (typeof file === 'string') return this.#leave(path, file);
    try {
      const { ino, dev, mode } = fstatSync(file);
      if (ino !== entry.ino || dev !== entry.dev) return this.#leave(path, 'it was exchanged');
      fchmodSync(file, mode & 0o777 & ~rights);
    } finally {
      closeSync(file);
    }
    this.#repaired.push(path);
    return entry;
  }

  #leave(path: string, reason: string): undefined {
    this.#left.push(`${path}: ${reason}`);
    return undefined;
  }
}

/** A descriptor, or why the file cannot be opened. */
function open(path: string): number | string {
  try {
    return openSync(path, OPEN);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ELOOP' || code === 'ENOENT') return 'it was exchanged';
    if (code === 'EACCES') return 'its owner may not read it';
    throw error;
  }
}
