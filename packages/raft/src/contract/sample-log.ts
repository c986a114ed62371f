import { createEntry } from '../codec/entry-codec.js';
import { type Entry, EntryKind, type Index, type SnapshotMeta, type Term } from '../core/types.js';
import type { Persist, Recovered } from '../storage/storage.js';

export function entry(index: Index, term: Term, data = `${index}/${term}`): Entry {
  return createEntry(index, term, EntryKind.Normal, Buffer.from(data));
}

export function entries(first: Index, last: Index, term: Term): Entry[] {
  return Array.from({ length: last - first + 1 }, (_, i) => entry(first + i, term));
}

export function snapshotAt(index: Index, term: Term): SnapshotMeta {
  return {
    index,
    term,
    conf: {
      voters: [1, 3],
      votersOutgoing: [1, 2],
      learners: [4],
      learnersNext: [2],
      autoLeave: true,
    },
    members: [{ id: 1, address: 'one.example:2377', nodeId: 'node-one' }],
    removed: [9],
  };
}

/** A write as the core would order it. */
export function write(part: Partial<Persist> & { entries?: readonly Entry[] }): Persist {
  return { entries: [], mustSync: true, ...part };
}

/** Index and term of each entry. */
export function shape(recovered: Recovered): string {
  return recovered.entries.map(({ index, term }) => `${index}/${term}`).join(' ');
}
