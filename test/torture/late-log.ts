import { setTimeout as delay } from 'node:timers/promises';
import type { LogStorage, Persist, Recovered, SnapshotMeta } from '@swarm/raft';

/** A crash loses what was acknowledged within this time. */
const LATE_MS = 400;

/** A broken log: reports a write as durable some time before it is. */
export class LateLog implements LogStorage {
  private readonly log: LogStorage;
  private last: Promise<void> = Promise.resolve();

  constructor(log: LogStorage) {
    this.log = log;
  }

  open(): Promise<Recovered> {
    return this.log.open();
  }

  persist(write: Persist): Promise<void> {
    const due = delay(LATE_MS);
    this.last = Promise.all([this.last, due]).then(() => this.log.persist(write));
    return Promise.resolve();
  }

  async compact(meta: SnapshotMeta): Promise<void> {
    await this.last;
    await this.log.compact(meta);
  }

  async close(): Promise<void> {
    await this.last;
    await this.log.close();
  }
}
