import type { Mark } from '../marks.js';
import { LevelStorage, type LogStorage, type MemberId } from '@swarm/raft';
import {
  type DiskTime,
  Names,
  type Prng,
  SimFiles,
  type SimProcess,
  simulatedLevel,
} from '@swarm/sim';
import type { Coverage } from '@swarm/sim';
import type { LogDisk } from '../member-disk.js';
import { type Damage, flipSomeBit, loseSomeFiles } from './damage.js';
import { newestLog, STORE_PATH, DATABASE_PATH } from './store-files.js';

/** Time of every operation except a sync: the kernel does it in memory. */
const SHORT_US = 20;
/** Approximate number of steps of an opening. */
const OPENING_STEPS = 40;

export interface LevelDiskOptions {
  readonly id: MemberId;
  readonly prng: Prng;
  /** Mean time of a sync. */
  readonly latencyUs: number;
  readonly writeBufferBytes: number;
  readonly coverage: Coverage<Mark>;
  readonly nowUs: () => number;
}

/** The disk of LevelStorage: a file system with LevelDB on it, both simulated. */
export class LevelDisk implements LogDisk {
  readonly openingSteps = OPENING_STEPS;
  readonly #options: LevelDiskOptions;
  readonly #files: SimFiles;
  #stalledUntilUs = 0;
  #damage: Damage | undefined;
  /** A copy of the database from an earlier moment, when no process had it open. */
  #oldCopy: Names | undefined;

  constructor(options: LevelDiskOptions) {
    this.#options = options;
    this.#files = new SimFiles(options.prng);
  }

  get unnoticed(): boolean {
    return this.#damage?.unnoticed === true;
  }

  open(process: SimProcess, step: () => void): LogStorage {
    const { id, writeBufferBytes, coverage } = this.#options;
    const time = this.#timeOf(process, step);
    return new LevelStorage({
      path: STORE_PATH,
      clusterId: 'simulated',
      memberId: id,
      writeBufferBytes,
      files: this.#files.mount(time),
      openDatabase: simulatedLevel(this.#files, time, coverage),
    });
  }

  #timeOf(process: SimProcess, step: () => void): DiskTime {
    const { prng, latencyUs, nowUs } = this.#options;
    const wait = (us: number): Promise<void> => {
      step();
      return process.sleep(Math.max(us, this.#stalledUntilUs - nowUs()));
    };
    return {
      get alive() {
        return process.alive;
      },
      nowMs: () => nowUs() / 1000,
      short: () => wait(1 + prng.below(SHORT_US)),
      sync: () => wait(1 + prng.delay(latencyUs)),
    };
  }

  /** A killed process leaves everything it wrote; a power cut does not. */
  crash(): void {
    const files = this.#files;
    const { prng, coverage } = this.#options;
    files.locks.clear();
    if (prng.below(3) > 0) {
      const log = newestLog(files);
      const unsynced = log?.unsynced ?? 0;
      const before = log?.length ?? 0;
      files.cutPower();
      if (unsynced > 0) {
        const kept = log!.length > before - unsynced;
        coverage.mark(kept ? 'unsynced write kept by a crash' : 'write torn by a crash');
      }
    }
    if (this.#oldCopy === undefined || prng.below(4) === 0) {
      const database = files.find(DATABASE_PATH);
      if (database instanceof Names) this.#oldCopy = database.copy();
    }
  }

  flipBit(): boolean {
    this.#damage = flipSomeBit(this.#files, this.#options.prng);
    return this.#damage !== undefined;
  }

  loseFiles(): boolean {
    this.#damage = loseSomeFiles(this.#files, this.#options.prng, this.#oldCopy);
    return this.#damage !== undefined;
  }

  stall(untilUs: number): void {
    this.#stalledUntilUs = untilUs;
  }

  setFull(full: boolean): void {
    this.#files.full = full;
  }
}
