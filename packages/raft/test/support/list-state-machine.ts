import { type Entry, EntryKind, type Index, type SnapshotMeta } from '../../src/core/types.js';
import type { StateMachine, StateView } from '../../src/host/state-machine.js';

/** What survives a crash of a ListStateMachine. */
export interface SavedList {
  index: Index;
  items: readonly string[];
}

/** A list of strings; each proposal adds one and returns the length. */
export class ListStateMachine implements StateMachine {
  readonly appliedIndex: Index;
  items: string[];
  /** Views taken and not released. */
  openViews = 0;
  restored = 0;
  private index: Index;
  private readonly saved: SavedList;

  constructor(saved: SavedList) {
    this.saved = saved;
    this.appliedIndex = saved.index;
    this.index = saved.index;
    this.items = [...saved.items];
  }

  apply(entries: readonly Entry[]): unknown[] {
    return entries.map((entry) => {
      if (entry.index !== this.index + 1) throw new Error(`entry ${entry.index} out of order`);
      this.index = entry.index;
      if (entry.kind !== EntryKind.Normal || entry.data.length === 0) return undefined;
      return this.items.push(new TextDecoder().decode(entry.data));
    });
  }

  async flush(): Promise<void> {
    this.saved.index = this.index;
    this.saved.items = [...this.items];
  }

  async view(): Promise<StateView> {
    const { index, items } = this;
    const bytes = new TextEncoder().encode(JSON.stringify(items));
    this.openViews++;
    return {
      index,
      chunks: async function* () {
        const half = bytes.length >> 1;
        yield bytes.subarray(0, half);
        yield bytes.subarray(half);
      },
      release: async () => {
        this.openViews--;
      },
    };
  }

  async restore(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    let text = '';
    for await (const chunk of chunks) text += new TextDecoder().decode(chunk);
    this.items = JSON.parse(text) as string[];
    this.index = meta.index;
    this.restored++;
    await this.flush();
  }
}
