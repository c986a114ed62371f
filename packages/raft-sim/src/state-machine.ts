import type { Mark } from './marks.js';
import {
  type Entry,
  EntryKind,
  type Index,
  type SnapshotMeta,
  type StateMachine,
  type StateView,
} from '@swarm/raft';
import { decodeCommand, Digest, execute, type Prng, type SimProcess } from '@swarm/sim';
import type { Coverage } from '@swarm/sim';

/** Registers at one index, and a fingerprint of every entry that led there. */
export interface RegisterState {
  readonly index: Index;
  readonly chain: string;
  readonly values: ReadonlyMap<number, number>;
}

export const EMPTY_STATE: RegisterState = { index: 0, chain: '', values: new Map() };

/** The part of the state that survives a crash. */
export interface StateDisk {
  saved: RegisterState;
  /** The process is in the middle of replacing its state. */
  restoring: boolean;
}

/** Receives everything that is applied, to compare members. */
export interface StateObserver {
  applied(entry: Entry, chain: string): void;
  restored(index: Index, chain: string): void;
  /** A snapshot begins to come in. */
  restoring(): void;
}

export interface SimStateMachineOptions {
  readonly disk: StateDisk;
  readonly process: SimProcess;
  readonly prng: Prng;
  /** Mean time of a flush, and of installing a chunk. */
  readonly latencyUs: number;
  readonly chunkBytes: number;
  readonly observer: StateObserver;
  readonly coverage: Coverage<Mark>;
}

/** The replicated registers of one process. */
export class SimStateMachine implements StateMachine {
  readonly appliedIndex: Index;
  readonly #options: SimStateMachineOptions;
  readonly #disk: StateDisk;
  #index: Index;
  #chain: string;
  #values: Map<number, number>;

  constructor(options: SimStateMachineOptions) {
    this.#options = options;
    this.#disk = options.disk;
    const { index, chain, values } = options.disk.saved;
    this.appliedIndex = index;
    this.#index = index;
    this.#chain = chain;
    this.#values = new Map(values);
  }

  get current(): RegisterState {
    return { index: this.#index, chain: this.#chain, values: new Map(this.#values) };
  }

  get currentIndex(): Index {
    return this.#index;
  }

  read(key: number): number {
    return this.#values.get(key) ?? 0;
  }

  apply(entries: readonly Entry[]): unknown[] {
    return entries.map((entry) => {
      if (entry.index !== this.#index + 1) {
        throw new Error(`entry ${entry.index} applied after ${this.#index}`);
      }
      this.#index = entry.index;
      this.#chain = chainOf(this.#chain, entry);
      this.#options.observer.applied(entry, this.#chain);
      if (entry.kind !== EntryKind.Normal || entry.data.length === 0) return undefined;
      return execute(this.#values, decodeCommand(entry.data));
    });
  }

  async flush(): Promise<void> {
    const { process, prng, latencyUs } = this.#options;
    const state = this.current;
    await process.sleep(prng.delay(latencyUs));
    if (state.index > this.#disk.saved.index) this.#disk.saved = state;
  }

  /**
   * A database also writes in the background: after a crash more may be on disk than was flushed.
   */
  crash(prng: Prng): void {
    if (prng.below(3) === 0 && this.#index > this.#disk.saved.index)
      this.#disk.saved = this.current;
  }

  async view(): Promise<StateView> {
    const { index, chain, values } = this.current;
    const text = JSON.stringify({ index, chain, values: [...values] });
    const bytes = new TextEncoder().encode(text);
    const { chunkBytes } = this.#options;
    return {
      index,
      chunks: async function* () {
        for (let at = 0; at < bytes.length; at += chunkBytes) {
          yield bytes.subarray(at, at + chunkBytes);
        }
      },
      release: async () => undefined,
    };
  }

  async restore(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const { process, prng, latencyUs, observer, coverage } = this.#options;
    this.#disk.restoring = true;
    observer.restoring();
    try {
      let text = '';
      for await (const chunk of chunks) {
        text += new TextDecoder().decode(chunk);
        await process.sleep(prng.delay(latencyUs));
      }
      const { index, chain, values } = JSON.parse(text) as {
        index: Index;
        chain: string;
        values: [number, number][];
      };
      if (index !== meta.index) throw new Error(`snapshot of ${index} is called ${meta.index}`);
      await process.sleep(prng.delay(latencyUs));
      this.#disk.saved = { index, chain, values: new Map(values) };
      this.#index = index;
      this.#chain = chain;
      this.#values = new Map(values);
      observer.restored(index, chain);
      coverage.mark('snapshot installed');
    } finally {
      this.#disk.restoring = false;
    }
  }
}

function chainOf(before: string, entry: Entry): string {
  const digest = new Digest();
  for (let i = 0; i < before.length; i++) digest.add(before.charCodeAt(i));
  digest.add(entry.index);
  digest.add(entry.term);
  digest.add(entry.kind);
  digest.addBytes(entry.data);
  return digest.toString();
}
