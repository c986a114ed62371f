import { LevelStorage } from '@swarm/raft';
import type { OpenDatabase } from '@swarm/raft/internals';
import { Coverage, type DiskTime, Prng, SimFiles, simulatedLevel } from '@swarm/sim';
import { STORE_PATH } from '../src/disk/store-files.js';

/**
 * A disk whose clock advances by a millisecond with each operation. Each operation ends in its own
 * turn of the event loop, so that a crash between two turns is a crash between two operations.
 */
export class SimulatedDisk {
  readonly files: SimFiles;
  readonly coverage = new Coverage(['write-ahead file full', 'tables merged'] as const);
  /** Called at each operation of the disk. */
  onStep: () => void = () => undefined;
  #time: DiskTime;
  #nowMs = 0;
  #life = 0;

  constructor(seed = 1) {
    this.files = new SimFiles(new Prng(seed, 'disk'));
    this.#time = this.#timeOfLife();
  }

  get openDatabase(): OpenDatabase {
    return simulatedLevel(this.files, this.#time, this.coverage);
  }

  /** For the current process; closing it after its death does nothing. */
  storage(writeBufferBytes = 1_000): LevelStorage {
    const storage = new LevelStorage({
      path: STORE_PATH,
      clusterId: 'cluster',
      memberId: 1,
      writeBufferBytes,
      files: this.files.mount(this.#time),
      openDatabase: this.openDatabase,
    });
    const life = this.#life;
    const close = storage.close.bind(storage);
    storage.close = async () => {
      if (life === this.#life) await close();
    };
    return storage;
  }

  /** Kills the process. @param power whether the power is cut too */
  async crash(power: 'kept' | 'cut'): Promise<void> {
    await new Promise(setImmediate);
    this.#life++;
    this.#time = this.#timeOfLife();
    this.files.locks.clear();
    if (power === 'cut') this.files.cutPower();
  }

  #timeOfLife(): DiskTime {
    const life = this.#life;
    const isAlive = (): boolean => life === this.#life;
    const step = (): Promise<void> => {
      this.#nowMs++;
      this.onStep();
      return new Promise((resolve) => {
        setImmediate(() => {
          if (isAlive()) resolve();
        });
      });
    };
    return {
      get alive() {
        return isAlive();
      },
      nowMs: () => this.#nowMs,
      short: step,
      sync: step,
    };
  }
}
