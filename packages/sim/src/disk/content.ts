import type { Prng } from '../prng.js';

/** Something with a name in a folder. Part of it may not be durable yet. */
export interface Node {
  /** Makes all of it durable. */
  sync(): void;
  /**
   * Cuts the power: some of what is not durable is kept.
   * @param namesKept whether all changes of names beside it are kept
   */
  cutPower(prng: Prng, namesKept: boolean): void;
  /** Copies it as it is now, and as it would be after a sync. */
  copy(): Node;
}

/** A disk writes a sector whole or not at all, in any order. */
const SECTOR_BYTES = 512;
const FIRST_CAPACITY_BYTES = 256;

/** A file of bytes that is only ever appended to. */
export class Bytes implements Node {
  #buffer = new Uint8Array(FIRST_CAPACITY_BYTES);
  #used = 0;
  #durable = 0;

  get length(): number {
    return this.#used;
  }

  /** Its content; read it, do not keep it. */
  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#used);
  }

  /** The number of its last bytes that are not durable. */
  get unsynced(): number {
    return this.#used - this.#durable;
  }

  append(bytes: Uint8Array): void {
    const end = this.#used + bytes.length;
    if (end > this.#buffer.length) {
      const larger = new Uint8Array(Math.max(end, 2 * this.#buffer.length));
      larger.set(this.bytes);
      this.#buffer = larger;
    }
    this.#buffer.set(bytes, this.#used);
    this.#used = end;
  }

  sync(): void {
    this.#durable = this.#used;
  }

  empty(): void {
    this.#used = 0;
    this.#durable = 0;
  }

  flip(offset: number, bit: number): void {
    this.#buffer[offset]! ^= 1 << bit;
  }

  /**
   * Keeps the length up to some byte. Each unsynced sector is there or, if it was never written,
   * zeros.
   */
  cutPower(prng: Prng): void {
    const durable = this.#durable;
    this.#used = prng.below(2) === 0 ? this.#used : prng.between(durable, this.#used);
    if (prng.below(2) === 0) this.#zeroSectors(prng);
    this.#durable = this.#used;
  }

  #zeroSectors(prng: Prng): void {
    for (let start = this.#durable; start < this.#used; ) {
      const end = Math.min(this.#used, start - (start % SECTOR_BYTES) + SECTOR_BYTES);
      if (prng.below(2) === 0) this.#buffer.fill(0, start, end);
      start = end;
    }
  }

  copy(): Bytes {
    const copy = new Bytes();
    copy.append(this.bytes);
    copy.sync();
    return copy;
  }
}

/**
 * A file that only LevelDB reads, its catalogue or a table: kept as what LevelDB would read in it.
 * Append-only. A power cut keeps the first unsynced items, but none younger than a lost name: a
 * file system has one journal, for names and for the lengths of files.
 */
export class Items<T> implements Node {
  items: T[] = [];
  /** Whether LevelDB can no longer make sense of it. */
  unreadable = false;
  #durable = 0;

  sync(): void {
    this.#durable = this.items.length;
  }

  cutPower(prng: Prng, namesKept: boolean): void {
    const most = namesKept ? this.items.length : this.#durable;
    this.items.length = prng.between(this.#durable, most);
    this.#durable = this.items.length;
  }

  copy(): Items<T> {
    const copy = new Items<T>();
    copy.items = [...this.items];
    copy.unreadable = this.unreadable;
    copy.sync();
    return copy;
  }
}

/** Names that were changed together. */
type Change = readonly (readonly [name: string, node: Node | undefined])[];

/**
 * A folder. A power cut keeps the first changes of names since the last sync, as file systems with
 * a journal do.
 */
export class Names implements Node {
  readonly now = new Map<string, Node>();
  changedNs = 0n;
  #durable = new Map<string, Node>();
  #changes: Change[] = [];

  change(change: Change, ns: bigint): void {
    apply(change, this.now);
    this.#changes.push(change);
    this.changedNs = ns;
  }

  sync(): void {
    for (const change of this.#changes) apply(change, this.#durable);
    this.#changes = [];
  }

  /** Makes everything in it durable, as time does. */
  settle(): void {
    this.sync();
    for (const node of this.now.values()) {
      if (node instanceof Names) node.settle();
      else node.sync();
    }
  }

  cutPower(prng: Prng): void {
    const kept = prng.between(0, this.#changes.length);
    const namesKept = kept === this.#changes.length;
    for (const change of this.#changes.slice(0, kept)) apply(change, this.#durable);
    this.#changes = [];
    this.now.clear();
    for (const [name, node] of this.#durable) {
      node.cutPower(prng, namesKept);
      this.now.set(name, node);
    }
  }

  copy(): Names {
    const copy = new Names();
    for (const [name, node] of this.now) copy.now.set(name, node.copy());
    copy.#durable = new Map(copy.now);
    copy.changedNs = this.changedNs;
    return copy;
  }
}

function apply(change: Change, names: Map<string, Node>): void {
  for (const [name, node] of change) {
    if (node === undefined) names.delete(name);
    else names.set(name, node);
  }
}
