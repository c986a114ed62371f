import type { RaftCore } from '../core/raw-node.js';
import { entryBytes } from '../core/log.js';
import type { Entry, Index, SnapshotMeta } from '../core/types.js';
import type { RaftCounters } from '../metrics.js';
import type { LogStorage } from '../storage/storage.js';
import type { AppliedState } from './applied-state.js';
import type { Membership } from './membership.js';
import type { RaftLimits } from './options.js';

/** What compaction needs from the node. */
export interface CompactionSource {
  readonly core: RaftCore;
  readonly membership: Membership;
  readonly state: AppliedState;
  readonly storage: LogStorage;
  readonly limits: RaftLimits;
  readonly counters: RaftCounters;
  /** Describes a snapshot at this index. Undefined when the log does not know the index. */
  meta(index: Index): SnapshotMeta | undefined;
  /** The lowest index that a snapshot under way still needs. */
  oldestIndex(): Index;
  fail(error: unknown): void;
}

/** Compacts the log in the background, every `snapshotInterval` entries or `snapshotBytes`. */
export class Compaction {
  private readonly source: CompactionSource;
  private compactedAt: Index;
  /** Bytes of the entries applied since the last compaction. */
  private bytes = 0;
  private running: Promise<void> | undefined;
  private stopped = false;

  /**
   * @param compactedAt where the log begins
   * @param held entries after that which are already applied
   */
  constructor(source: CompactionSource, compactedAt: Index, held: readonly Entry[]) {
    this.source = source;
    this.compactedAt = compactedAt;
    this.applied(held);
  }

  applied(entries: readonly Entry[]): void {
    for (const entry of entries) this.bytes += entryBytes(entry);
  }

  /** Starts a compaction if enough was applied since the last. */
  whenDue(): void {
    const { core, limits, fail } = this.source;
    if (this.running !== undefined || core.installing) return;
    const isLong = core.appliedIndex - this.compactedAt >= limits.snapshotInterval;
    if (!isLong && this.bytes < limits.snapshotBytes) return;
    this.running = this.compact()
      .catch((error: unknown) => fail(error))
      .finally(() => {
        this.running = undefined;
      });
  }

  /**
   * Makes the state durable, then drops the log that led to it, less a tail for members that lag.
   */
  private async compact(): Promise<void> {
    const { source } = this;
    const { core, state, storage } = source;
    const applied = core.appliedIndex;
    const { trailingEntries, trailingBytes } = source.limits;
    const tail = core.indexBeforeTail(trailingEntries, trailingBytes);
    this.compactedAt = applied;
    this.bytes = 0;
    await state.flush();
    const index = Math.min(tail, source.oldestIndex());
    if (this.stopped || core.installing) return;
    const meta = index < core.firstIndex ? undefined : source.meta(index);
    if (meta === undefined) return;
    await storage.compact(meta);
    source.counters.compactions++;
    core.compact(index);
    source.membership.trim(index);
  }

  /** Stops: a compaction under way begins no further write. */
  stop(): void {
    this.stopped = true;
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    await this.running;
  }
}
