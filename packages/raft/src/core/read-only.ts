import { quorumReached } from './quorum.js';
import type { ConfState, Index, MemberId } from './types.js';

/** A read that waits for proof that the leader still leads. */
export interface ReadRequest {
  /** The asker: the leader itself or a follower. */
  readonly from: MemberId;
  /** The asker's own number for it. */
  readonly context: number;
}

interface Batch {
  readonly context: number;
  readonly index: Index;
  readonly requests: ReadRequest[];
}

/**
 * Linearizable reads without a log entry (thesis §6.4). The leader numbers its rounds of
 * heartbeats; a read may be served once a quorum has answered a round that began after the read
 * arrived. Numbers are assigned here and only grow, so an answer to an older round, however late,
 * releases nothing newer. (etcd had a stale read because clients chose the contexts.)
 */
export class ReadOnly {
  /** The last round begun, which heartbeats carry. 0: none in this leadership. */
  round = 0;
  private acked = new Map<MemberId, number>();
  /** Reads that arrived since the last round began. */
  private waiting: ReadRequest[] = [];
  private batches: Batch[] = [];
  private count = 0;

  /** Requests held. */
  get length(): number {
    return this.count;
  }

  get hasWaiting(): boolean {
    return this.waiting.length > 0;
  }

  get waitingCount(): number {
    return this.waiting.length;
  }

  add(request: ReadRequest): void {
    this.waiting.push(request);
    this.count++;
  }

  /** Takes the waiting reads, which need no round. */
  takeWaiting(): readonly ReadRequest[] {
    const taken = this.waiting;
    this.waiting = [];
    this.count -= taken.length;
    return taken;
  }

  /** Begins a round of heartbeats that no read asked for. @returns its number */
  nextRound(): number {
    return ++this.round;
  }

  /** Begins a round for all waiting reads. They may read at `commit` or later. */
  beginRound(commit: Index): void {
    this.round++;
    this.batches.push({ context: this.round, index: commit, requests: this.waiting });
    this.waiting = [];
  }

  ack(id: MemberId, round: number): void {
    if (round <= this.round && round > (this.acked.get(id) ?? 0)) this.acked.set(id, round);
  }

  /**
   * Takes the reads that may proceed, with the index each must have applied. Counts with the
   * current configuration.
   */
  release(conf: ConfState, self: MemberId): { request: ReadRequest; index: Index }[] {
    if (this.batches.length === 0) return [];
    const proven = quorumReached(conf, (id) =>
      id === self ? this.round : (this.acked.get(id) ?? 0),
    );
    const released: { request: ReadRequest; index: Index }[] = [];
    while (this.batches[0] !== undefined && this.batches[0].context <= proven) {
      const { index, requests } = this.batches.shift()!;
      for (const request of requests) released.push({ request, index });
      this.count -= requests.length;
    }
    return released;
  }
}
