import type { LogStorage } from '@swarm/raft';
import { type AppendWork, LogWriter, mergeWrites, type WriteMeter } from '@swarm/raft/internals';

/**
 * The core may have several writes under way, as etcd does and our host may one day; the host has
 * one. This writer replaces the host's. It hands out up to `depth` separate writes, which complete
 * in order, each with its own report, and joins only what exceeds that.
 */
export class PipelinedWriter extends LogWriter {
  readonly #disk: LogStorage;
  readonly #done: (works: readonly AppendWork[]) => void;
  readonly #failed: (error: unknown) => void;
  readonly #depth: number;
  /** Handed out, in order; the first one is being written. */
  readonly #writes: AppendWork[][] = [];
  #joined: AppendWork[] = [];
  #writing: Promise<void> | undefined;
  #over = false;

  constructor(
    storage: LogStorage,
    onDone: (works: readonly AppendWork[]) => void,
    onError: (error: unknown) => void,
    meter: WriteMeter,
    depth: number,
  ) {
    super(storage, onDone, onError, meter);
    this.#disk = storage;
    this.#done = onDone;
    this.#failed = onError;
    this.#depth = depth;
  }

  override get length(): number {
    return this.#joined.length + this.#writes.length;
  }

  override add(work: AppendWork): void {
    this.#joined.push(work);
  }

  override start(): void {
    if (this.#joined.length > 0 && this.#writes.length < this.#depth) {
      this.#writes.push(this.#joined);
      this.#joined = [];
    }
    this.#next();
  }

  #next(): void {
    const works = this.#writes[0];
    if (works === undefined || this.#writing !== undefined || this.#over) return;
    const write = mergeWrites(works);
    if (write === undefined) {
      this.#ended(works);
      return;
    }
    this.#writing = this.#disk.persist(write).then(
      () => {
        this.#writing = undefined;
        this.ticksInFlight = 0;
        this.#ended(works);
      },
      (error: unknown) => {
        this.#writing = undefined;
        this.#over = true;
        this.#failed(error);
      },
    );
  }

  #ended(works: readonly AppendWork[]): void {
    this.#writes.shift();
    this.#done(works);
    this.start();
  }

  override tick(): void {
    if (this.#writing !== undefined) this.ticksInFlight++;
  }

  override async idle(): Promise<void> {
    this.#over = true;
    await this.#writing;
  }
}
