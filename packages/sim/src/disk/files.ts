import type { FileSystem, Folder, NewFile } from './file-system.js';
import type { Prng } from '../prng.js';
import { Bytes, Names, type Node } from './content.js';

/** How long a disk takes. Each wait is a point at which the process may die. */
export interface DiskTime {
  /** Whether the process lives; a dead one must no longer change anything. */
  readonly alive: boolean;
  nowMs(): number;
  /** Resolves when something small is done; never, if the process dies first. */
  short(): Promise<void>;
  /** Resolves when a sync would. */
  sync(): Promise<void>;
}

/** What a dead process waits for. */
export const NEVER = new Promise<never>(() => undefined);

/** On a full disk one write in this many fits. */
const ROOM_ONE_IN = 3;
const NS_PER_MS = 1_000_000;
/** Resolution of the kernel's clock for file times. */
const TIME_GRAIN_NS = 4_000_000;

/** The files of one computer. They outlive the processes that use them. */
export class SimFiles {
  readonly root = new Names();
  /** Whether the disk is full. Some space is now and then freed and taken again. */
  full = false;
  /** Databases that a process has open. */
  readonly locks = new Set<string>();
  readonly #prng: Prng;

  constructor(prng: Prng) {
    this.#prng = prng;
  }

  /** @returns undefined when nothing is there */
  find(path: string): Node | undefined {
    let node: Node | undefined = this.root;
    for (const name of path.split('/')) {
      if (name === '') continue;
      node = node instanceof Names ? node.now.get(name) : undefined;
    }
    return node;
  }

  bytes(path: string): Bytes | undefined {
    const node = this.find(path);
    return node instanceof Bytes ? node : undefined;
  }

  /** @throws ENOENT */
  folder(path: string): Names {
    const node = this.find(path);
    if (node instanceof Names) return node;
    throw systemError('ENOENT', `no such file or directory, '${path}'`);
  }

  /** As `name`, but durable, and even on a full disk: no process does this. */
  place(path: string, node: Node | undefined): void {
    const [above, name] = split(path);
    const folder = this.folder(above);
    folder.change([[name, node]], folder.changedNs);
    folder.sync();
  }

  /** Gives something a name, or removes its name. @throws ENOENT, ENOSPC */
  name(path: string, node: Node | undefined, nowMs: number): void {
    if (node !== undefined) this.needRoom(path);
    const [above, name] = split(path);
    this.folder(above).change([[name, node]], timeOf(nowMs));
  }

  rename(from: string, to: string, nowMs: number): void {
    const [above, oldName] = split(from);
    const folder = this.folder(above);
    const node = folder.now.get(oldName);
    if (node === undefined) throw systemError('ENOENT', `no such file or directory, '${from}'`);
    folder.change(
      [
        [oldName, undefined],
        [split(to)[1], node],
      ],
      timeOf(nowMs),
    );
  }

  /** Appends. On a full disk, part may still fit. @throws ENOSPC */
  append(path: string, file: Bytes, bytes: Uint8Array): void {
    if (this.full && this.#prng.below(ROOM_ONE_IN) > 0) {
      file.append(bytes.subarray(0, this.#prng.below(bytes.length)));
      this.needRoom(path);
    }
    file.append(bytes);
  }

  /** @throws ENOSPC */
  needRoom(path: string): void {
    if (this.full) throw systemError('ENOSPC', `no space left on device, '${path}'`);
  }

  /** Cuts the power: keeps a part of what is not durable. */
  cutPower(): void {
    this.root.cutPower(this.#prng);
  }

  /** Returns these files as a process sees them. */
  mount(time: DiskTime): FileSystem {
    return new MountedFiles(this, time);
  }
}

function split(path: string): readonly [folder: string, name: string] {
  const slash = path.lastIndexOf('/');
  return [path.slice(0, slash), path.slice(slash + 1)];
}

function timeOf(nowMs: number): bigint {
  const ns = Math.floor(nowMs * NS_PER_MS);
  return BigInt(ns - (ns % TIME_GRAIN_NS));
}

function systemError(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: ${what}`), { code });
}

class MountedFiles implements FileSystem {
  readonly #files: SimFiles;
  readonly #time: DiskTime;

  constructor(files: SimFiles, time: DiskTime) {
    this.#files = files;
    this.#time = time;
  }

  nowMs(): number {
    return this.#time.nowMs();
  }

  async makeFolder(path: string): Promise<void> {
    await this.#time.short();
    if (this.#files.find(path) !== undefined) return;
    this.#files.name(path, new Names(), this.nowMs());
  }

  async removeFolder(path: string): Promise<void> {
    await this.#time.short();
    const node = this.#files.find(path);
    if (!(node instanceof Names)) return;
    for (const name of [...node.now.keys()]) {
      this.#files.name(`${path}/${name}`, undefined, this.nowMs());
      await this.#time.short();
    }
    this.#files.name(path, undefined, this.nowMs());
  }

  async list(path: string): Promise<readonly string[]> {
    await this.#time.short();
    return [...this.#files.folder(path).now.keys()];
  }

  async read(path: string): Promise<Uint8Array | undefined> {
    await this.#time.short();
    return this.#files.bytes(path)?.bytes.slice();
  }

  async create(path: string): Promise<NewFile> {
    const files = this.#files;
    await this.#time.short();
    let file = files.bytes(path);
    if (file === undefined) {
      file = new Bytes();
      files.name(path, file, this.nowMs());
    }
    file.empty();
    return this.#writer(path, file);
  }

  #writer(path: string, file: Bytes): NewFile {
    const files = this.#files;
    const time = this.#time;
    return {
      async write(text) {
        if (!time.alive) return NEVER;
        files.append(path, file, Buffer.from(text));
        await time.short();
      },
      async sync() {
        await time.sync();
        file.sync();
      },
      close: async () => {},
    };
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#time.short();
    this.#files.rename(from, to, this.nowMs());
  }

  async openFolder(path: string): Promise<Folder> {
    const folder = this.#files.folder(path);
    const time = this.#time;
    return {
      changedNs: () => folder.changedNs,
      async sync() {
        await time.sync();
        folder.sync();
      },
      close: async () => {},
    };
  }
}
