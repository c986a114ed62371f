import type { Prng } from '../prng.js';

/** Something with a name in a folder; part of it may not be durable yet. */
export interface Node {
  /** All of it is durable from here on. */
  sync(): void;
  /**
   * The power goes: of what is not durable some is kept.
   * @param namesKept whether all changes of names beside it are kept
   */
  cutPower(prng: Prng, namesKept: boolean): void;
  /** As it is now, and would be after a sync. */
  copy(): Node;
}

/** A disk writes a sector whole or not at all; which of several come first is its own affair. */
const SECTOR_BYTES = 512;
const FIRST_CAPACITY_BYTES = 256;

/** A file of bytes, which are only ever appended. */
export class Bytes implements Node {
  private buffer = new Uint8Array(FIRST_CAPACITY_BYTES);
  private used = 0;
  private durable = 0;

  get length(): number {
    return this.used;
  }

  /** What is in it; to be read, not kept. */
  get bytes(): Uint8Array {
    return this.buffer.subarray(0, this.used);
  }

  /** How many of its last bytes are not durable. */
  get unsynced(): number {
    return this.used - this.durable;
  }

  append(bytes: Uint8Array): void {
    const end = this.used + bytes.length;
    if (end > this.buffer.length) {
      const larger = new Uint8Array(Math.max(end, 2 * this.buffer.length));
      larger.set(this.bytes);
      this.buffer = larger;
    }
    this.buffer.set(bytes, this.used);
    this.used = end;
  }

  sync(): void {
    this.durable = this.used;
  }

  empty(): void {
    this.used = 0;
    this.durable = 0;
  }

  flip(offset: number, bit: number): void {
    this.buffer[offset]! ^= 1 << bit;
  }

  /**
   * The length is kept up to some byte, and each sector of what was not synced is there or, if it was
   * never written, zeros.
   */
  cutPower(prng: Prng): void {
    const { durable } = this;
    this.used = prng.below(2) === 0 ? this.used : prng.between(durable, this.used);
    if (prng.below(2) === 0) this.zeroSectors(prng);
    this.durable = this.used;
  }

  private zeroSectors(prng: Prng): void {
    for (let start = this.durable; start < this.used; ) {
      const end = Math.min(this.used, start - (start % SECTOR_BYTES) + SECTOR_BYTES);
      if (prng.below(2) === 0) this.buffer.fill(0, start, end);
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
 * Appended to only. A power cut keeps the first of what was not synced, but nothing that is younger
 * than a name that is lost: a file system has one journal, for names and for the lengths of files.
 */
export class Items<T> implements Node {
  items: T[] = [];
  /** Whether LevelDB can not make sense of it any more. */
  unreadable = false;
  private durable = 0;

  sync(): void {
    this.durable = this.items.length;
  }

  cutPower(prng: Prng, namesKept: boolean): void {
    const most = namesKept ? this.items.length : this.durable;
    this.items.length = prng.between(this.durable, most);
    this.durable = this.items.length;
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
 * A folder. A power cut keeps the first of the changes of names since the last sync, as file systems
 * do that keep a journal of them.
 */
export class Names implements Node {
  readonly now = new Map<string, Node>();
  changedNs = 0n;
  private durable = new Map<string, Node>();
  private changes: Change[] = [];

  change(change: Change, ns: bigint): void {
    apply(change, this.now);
    this.changes.push(change);
    this.changedNs = ns;
  }

  sync(): void {
    for (const change of this.changes) apply(change, this.durable);
    this.changes = [];
  }

  /** All of it, and all that is in it, is durable: what time does. */
  settle(): void {
    this.sync();
    for (const node of this.now.values()) {
      if (node instanceof Names) node.settle();
      else node.sync();
    }
  }

  cutPower(prng: Prng): void {
    const kept = prng.between(0, this.changes.length);
    const namesKept = kept === this.changes.length;
    for (const change of this.changes.slice(0, kept)) apply(change, this.durable);
    this.changes = [];
    this.now.clear();
    for (const [name, node] of this.durable) {
      node.cutPower(prng, namesKept);
      this.now.set(name, node);
    }
  }

  copy(): Names {
    const copy = new Names();
    for (const [name, node] of this.now) copy.now.set(name, node.copy());
    copy.durable = new Map(copy.now);
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
