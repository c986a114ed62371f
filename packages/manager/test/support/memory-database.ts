import type {
  Database,
  DatabaseBatch,
  DatabaseSnapshot,
  IteratorOptions,
  KeyRange,
} from '../../src/store/database.js';

type Entries = ReadonlyMap<string, Uint8Array>;

class MemorySnapshot implements DatabaseSnapshot {
  readonly entries: Entries;

  constructor(entries: Entries) {
    this.entries = entries;
  }

  async close(): Promise<void> {}
}

/** The state's database in memory. What it holds outlives `close`, as a disk does. */
export class MemoryDatabase implements Database {
  #entries: Entries = new Map();

  async get(
    key: string,
    { snapshot }: { snapshot?: DatabaseSnapshot } = {},
  ): Promise<Uint8Array | undefined> {
    return this.#at(snapshot).get(key);
  }

  async put(key: string, value: Uint8Array): Promise<void> {
    this.#entries = new Map(this.#entries).set(key, value);
  }

  batch(): DatabaseBatch {
    const changes: (readonly [string, Uint8Array | undefined])[] = [];
    const batch: DatabaseBatch = {
      put(key, value) {
        changes.push([key, value]);
        return batch;
      },
      del(key) {
        changes.push([key, undefined]);
        return batch;
      },
      write: async () => {
        const next = new Map(this.#entries);
        for (const [key, value] of changes) {
          if (value === undefined) next.delete(key);
          else next.set(key, value);
        }
        this.#entries = next;
      },
      close: async () => {},
    };
    return batch;
  }

  iterator({ snapshot, ...range }: IteratorOptions) {
    const found = [...this.#at(snapshot)]
      .filter(([key]) => isIn(range, key))
      .sort(([a], [b]) => (a < b ? -1 : 1));
    return {
      nextv: async (size: number) => found.splice(0, size),
      close: async () => {},
    };
  }

  async clear(range: KeyRange): Promise<void> {
    this.#entries = new Map([...this.#entries].filter(([key]) => !isIn(range, key)));
  }

  snapshot(): DatabaseSnapshot {
    return new MemorySnapshot(this.#entries);
  }

  async close(): Promise<void> {}

  #at(snapshot: DatabaseSnapshot | undefined): Entries {
    return snapshot instanceof MemorySnapshot ? snapshot.entries : this.#entries;
  }
}

function isIn({ gte, lt }: KeyRange, key: string): boolean {
  return key >= gte && key < lt;
}
