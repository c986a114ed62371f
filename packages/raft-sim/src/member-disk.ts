import type { Mark } from './marks.js';
import { type LogStorage, type MemberId, MemoryDisk, MemoryStorage } from '@swarm/raft';
import type { Prng, SimProcess } from '@swarm/sim';
import type { Coverage } from '@swarm/sim';

/** The disk with a member's log, whatever the log's format. Outlives processes. */
export interface LogDisk {
  /**
   * Opens the log on this disk for a new process. @param step called whenever the disk has work
   * that is not a whole write: the process may die there as well
   */
  open(process: SimProcess, step: () => void): LogStorage;
  /** The number of such steps in an opening. */
  readonly openingSteps: number;
  /** Simulates a crash: some of the unsynced content is kept. */
  crash(): void;
  /** Makes something on it unreadable. @returns false when there is nothing to damage yet */
  flipBit(): boolean;
  loseFiles(): boolean;
  /** Whether the package's README lists the last damage as undetected. */
  readonly unnoticed: boolean;
  /**
   * Makes a write land in the place of another, intact but in the wrong place, if the format allows
   * it.
   */
  misdirect?(): boolean;
  /** Makes writes take until then. */
  stall(untilUs: number): void;
  /** Makes writes fail, or work again. */
  setFull(full: boolean): void;
}

/** The disk of MemoryStorage: the log's very records, without a database around them. */
export class RecordDisk implements LogDisk {
  readonly openingSteps = 1;
  readonly unnoticed = false;
  readonly #id: MemberId;
  readonly #prng: Prng;
  readonly #latencyUs: number;
  readonly #coverage: Coverage<Mark>;
  #disk = new MemoryDisk();
  #stalledUntilUs = 0;
  #nowUs: () => number;

  constructor(
    id: MemberId,
    prng: Prng,
    latencyUs: number,
    coverage: Coverage<Mark>,
    nowUs: () => number,
  ) {
    this.#id = id;
    this.#prng = prng;
    this.#latencyUs = latencyUs;
    this.#coverage = coverage;
    this.#nowUs = nowUs;
  }

  open(process: SimProcess): LogStorage {
    return new MemoryStorage({
      disk: this.#disk,
      schedule: (done) => {
        const doneUs = Math.max(
          this.#nowUs() + 1 + this.#prng.delay(this.#latencyUs),
          this.#stalledUntilUs,
        );
        process.after(doneUs - this.#nowUs(), done);
      },
    });
  }

  crash(): void {
    const { unsynced } = this.#disk;
    const kept = this.#prng.between(0, unsynced);
    if (kept > 0) this.#coverage.mark('unsynced write kept by a crash');
    if (kept < unsynced) this.#coverage.mark('write torn by a crash');
    this.#disk.crash(kept);
  }

  flipBit(): boolean {
    const sequences = this.#disk.sequences();
    return sequences.length > 0 && this.#disk.damage(this.#prng.pick(sequences));
  }

  misdirect(): boolean {
    const sequences = this.#disk.sequences();
    if (sequences.length < 2) return false;
    const [from, to] = this.#prng.shuffle(sequences);
    return this.#disk.misdirect(from!, to!);
  }

  /** Loses the records. The identity beside them stays, so opening detects the loss. */
  loseFiles(): boolean {
    if (this.#disk.sequences().length === 0) return false;
    this.#disk = new MissingDisk(this.#id);
    return true;
  }

  stall(untilUs: number): void {
    this.#stalledUntilUs = untilUs;
  }

  setFull(full: boolean): void {
    this.#disk.failure = full ? new Error('ENOSPC: no space left on device') : undefined;
  }
}

/** What opening finds when the database is missing and the identity file says that it existed. */
class MissingDisk extends MemoryDisk {
  readonly #id: MemberId;

  constructor(id: MemberId) {
    super();
    this.#id = id;
  }

  override open(_holder: object): never {
    throw new Error(`the identity file of member ${this.#id} is there, the database is missing`);
  }
}
