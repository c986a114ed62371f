import { open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import * as raft from '@swarm/raft';

/**
 * The log in one JSON file that each write replaces as a whole: correct, but slow when the log is
 * long.
 */
export class FileStorage implements raft.LogStorage {
  readonly #path: string;
  #log: raft.Recovered = raft.EMPTY_LOG;
  #persisting = false;
  /** Compactions and writes reach the disk one after another. */
  #saved: Promise<void> = Promise.resolve();

  constructor(path: string) {
    this.#path = path;
  }

  async open(): Promise<raft.Recovered> {
    try {
      const revive = (key: string, value: unknown) =>
        key === 'data' ? new Uint8Array(Buffer.from(value as string, 'base64')) : value;
      this.#log = JSON.parse(await readFile(this.#path, 'utf8'), revive) as raft.Recovered;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    return this.#log;
  }

  async persist({ hardState, entries, snapshot }: raft.Persist): Promise<void> {
    if (this.#persisting) throw new Error('two writes at once');
    const { firstIndex, ...log } = snapshot === undefined ? this.#log : startedAt(snapshot);
    const first = entries[0]?.index ?? firstIndex + log.entries.length;
    const kept = log.entries.slice(0, Math.max(0, first - firstIndex));
    if (first !== firstIndex + kept.length) throw new Error(`a hole before entry ${first}`);
    const all = [...kept, ...entries];
    this.#log = { ...log, firstIndex, entries: all, hardState: hardState ?? this.#log.hardState };
    this.#persisting = true;
    await this.#save().finally(() => {
      this.#persisting = false;
    });
  }

  async compact(snapshot: raft.SnapshotMeta): Promise<void> {
    const { firstIndex, entries, hardState } = this.#log;
    if (snapshot.index < firstIndex) return;
    // Compacted entries were committed.
    const commit = Math.max(hardState.commit, snapshot.index);
    const rest = entries.slice(snapshot.index + 1 - firstIndex);
    this.#log = { ...startedAt(snapshot), entries: rest, hardState: { ...hardState, commit } };
    await this.#save();
  }

  async close(): Promise<void> {
    // The writer has already received the failure.
    await this.#saved.catch(() => undefined);
  }

  #save(): Promise<void> {
    this.#saved = this.#saved.then(() => this.#replaceFile());
    return this.#saved;
  }

  /** Leaves the old file or the new one, whenever the host dies: see fsync(2) on the folder. */
  async #replaceFile(): Promise<void> {
    const entries = this.#log.entries.map(({ index, term, kind, data }) => {
      return { index, term, kind, data: Buffer.from(data).toString('base64') };
    });
    const file = await open(`${this.#path}.new`, 'w');
    try {
      await file.writeFile(JSON.stringify({ ...this.#log, entries }));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(`${this.#path}.new`, this.#path);
    const folder = await open(dirname(this.#path));
    await folder.sync().finally(() => folder.close());
  }
}

function startedAt(snapshot: raft.SnapshotMeta): raft.Recovered {
  return { ...raft.EMPTY_LOG, snapshot, firstIndex: snapshot.index + 1 };
}
