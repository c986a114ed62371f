import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Entry, SnapshotMeta, StateMachine, StateView } from '@swarm/raft';
import { DATA_BYTES, KEY_BYTES, KEY_COUNT, VALUE_BYTES } from './client-protocol.js';

const HEADER_BYTES = 8;
const CHUNK_BYTES = 64 * 1024;

/**
 * The state of the bench: a value for each of a fixed number of keys, in one buffer, so that its
 * size never changes. A file keeps it: the index, then the values; each flush rewrites it.
 */
export class SlotTable implements StateMachine {
  appliedIndex = 0;
  private readonly path: string;
  private slots: Buffer;

  private constructor(path: string) {
    this.path = path;
    this.slots = Buffer.alloc(KEY_COUNT * VALUE_BYTES);
  }

  static async open(folder: string): Promise<SlotTable> {
    await mkdir(folder, { recursive: true });
    const table = new SlotTable(join(folder, 'table'));
    try {
      table.load(await readFile(table.path));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    return table;
  }

  apply(entries: readonly Entry[]): unknown[] {
    for (const { index, data } of entries) {
      this.appliedIndex = index;
      if (data.length !== DATA_BYTES) continue;
      const view = data as Buffer;
      const key = (view[KEY_BYTES - 2]! << 8) | view[KEY_BYTES - 1]!;
      this.slots.set(view.subarray(KEY_BYTES), (key % KEY_COUNT) * VALUE_BYTES);
    }
    return new Array<undefined>(entries.length);
  }

  async flush(): Promise<void> {
    await this.write(this.image());
  }

  view(): Promise<StateView> {
    const image = this.image();
    return Promise.resolve({
      index: this.appliedIndex,
      async *chunks() {
        for (let at = 0; at < image.length; at += CHUNK_BYTES) {
          yield image.subarray(at, at + CHUNK_BYTES);
        }
      },
      release: () => Promise.resolve(),
    });
  }

  async restore(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const parts: Uint8Array[] = [];
    for await (const chunk of chunks) parts.push(Buffer.from(chunk));
    const image = Buffer.concat(parts);
    image.writeDoubleBE(meta.index, 0);
    await this.write(image);
    this.load(image);
  }

  private image(): Buffer {
    const image = Buffer.allocUnsafeSlow(HEADER_BYTES + this.slots.length);
    image.writeDoubleBE(this.appliedIndex, 0);
    this.slots.copy(image, HEADER_BYTES);
    return image;
  }

  private load(image: Buffer): void {
    if (image.length !== HEADER_BYTES + KEY_COUNT * VALUE_BYTES) throw new Error('no table');
    this.appliedIndex = image.readDoubleBE(0);
    this.slots = Buffer.from(image.subarray(HEADER_BYTES));
  }

  private async write(image: Buffer): Promise<void> {
    const next = `${this.path}.next`;
    const file = await open(next, 'w');
    try {
      await file.writeFile(image);
      await file.datasync();
    } finally {
      await file.close();
    }
    await rename(next, this.path);
    const folder = await open(dirname(this.path), 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  }
}
