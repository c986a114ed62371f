import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  type Entry,
  EntryKind,
  type SnapshotMeta,
  SnapshotRefusedError,
  type StateMachine,
  type StateView,
} from '@swarm/raft';
import { decodeCommand, execute } from '@swarm/sim';
import type { AppliedLine, StateImage, Told } from './member-protocol.js';

/** Small, so that a snapshot has many pieces. */
const CHUNK_BYTES = 1024;
const CHAIN_DIGITS = 16;

/**
 * Registers, in memory and in a file that each flush rewrites. After a crash, the log reapplies
 * what was applied since. Reports its initial state, and everything it applies before anybody
 * learns of the result.
 */
export class RegisterMachine implements StateMachine {
  appliedIndex = 0;
  private chain = '';
  private values = new Map<number, number>();
  private readonly path: string;
  private readonly tell: (what: Told) => void;

  private constructor(path: string, tell: (what: Told) => void) {
    this.path = path;
    this.tell = tell;
  }

  /** @param folder made if missing */
  static async open(folder: string, tell: (what: Told) => void): Promise<RegisterMachine> {
    await mkdir(folder, { recursive: true });
    const machine = new RegisterMachine(join(folder, 'registers'), tell);
    try {
      machine.load(JSON.parse(await readFile(machine.path, 'utf8')) as StateImage);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    tell({ kind: 'opened', state: machine.image });
    return machine;
  }

  read(key: number): number {
    return this.values.get(key) ?? 0;
  }

  get image(): StateImage {
    return { index: this.appliedIndex, chain: this.chain, values: [...this.values] };
  }

  apply(entries: readonly Entry[]): unknown[] {
    const lines: AppliedLine[] = [];
    const results = entries.map((entry) => {
      const { index, term, kind, data } = entry;
      if (index !== this.appliedIndex + 1) {
        throw new Error(`entry ${index} is applied after ${this.appliedIndex}`);
      }
      this.appliedIndex = index;
      this.chain = chainOf(this.chain, entry);
      const command =
        kind === EntryKind.Normal && data.length > 0 ? decodeCommand(data) : undefined;
      lines.push([index, term, command?.id ?? 0, this.chain]);
      return command && execute(this.values, command);
    });
    this.tell({ kind: 'applied', lines });
    return results;
  }

  flush(): Promise<void> {
    return this.write(this.image);
  }

  view(): Promise<StateView> {
    const { image } = this;
    const bytes = Buffer.from(JSON.stringify(image));
    return Promise.resolve({
      index: image.index,
      async *chunks() {
        for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
          yield bytes.subarray(at, at + CHUNK_BYTES);
        }
      },
      release: () => Promise.resolve(),
    });
  }

  async restore(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const parts: Uint8Array[] = [];
    for await (const chunk of chunks) parts.push(Buffer.from(chunk));
    const image = JSON.parse(Buffer.concat(parts).toString()) as StateImage;
    if (image.index !== meta.index) {
      throw new SnapshotRefusedError(`it is of ${image.index} but announced as ${meta.index}`);
    }
    await this.write(image);
    this.load(image);
    this.tell({ kind: 'restored', state: image });
  }

  private load({ index, chain, values }: StateImage): void {
    this.appliedIndex = index;
    this.chain = chain;
    this.values = new Map(values);
  }

  /** Leaves the old file or the new one, whatever happens. */
  private async write(image: StateImage): Promise<void> {
    const draft = `${this.path}.new`;
    const file = await open(draft, 'w');
    try {
      await file.writeFile(JSON.stringify(image));
      await file.datasync();
    } finally {
      await file.close();
    }
    await rename(draft, this.path);
    const folder = await open(dirname(this.path), 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  }
}

/** Equal only if all entries up to here are. */
function chainOf(before: string, { index, term, kind, data }: Entry): string {
  return createHash('sha256')
    .update(`${before} ${index} ${term} ${kind} `)
    .update(data)
    .digest('hex')
    .slice(0, CHAIN_DIGITS);
}
