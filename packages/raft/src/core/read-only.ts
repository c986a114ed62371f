import { quorumReached } from './quorum.js';
import type { ConfState, Index, MemberId } from './types.js';

/** A read that waits for proof that the leader still is one. */
export interface ReadRequest {
  /** Who asked; the leader itself or a follower. */
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
 * Linearizable reads without a log entry (thesis §6.4). The leader numbers its rounds of heartbeats;
 * a read may be served once a quorum has answered a round that began after the read came in.
 * Numbers are made here and only grow, so an answer to an older round, however late, releases
 * nothing newer (etcd's stale read came from contexts chosen by clients).
 */
export class ReadOnly {
  /** The last round begun; heartbeats carry it. 0: none in this leadership. */
  round = 0;
  private acked = new Map<MemberId, number>();
  /** Came in since the last round began. */
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

  /** All that wait need no round. */
  takeWaiting(): readonly ReadRequest[] {
    const taken = this.waiting;
    this.waiting = [];
    this.count -= taken.length;
    return taken;
  }

  /** A round of heartbeats that no read asked for. @returns its number */
  nextRound(): number {
    return ++this.round;
  }

  /** Begins a round for all that wait; they may read at `commit` or later. */
  beginRound(commit: Index): void {
    this.round++;
    this.batches.push({ context: this.round, index: commit, requests: this.waiting });
    this.waiting = [];
  }

  ack(id: MemberId, round: number): void {
    if (round <= this.round && round > (this.acked.get(id) ?? 0)) this.acked.set(id, round);
  }

  /** Reads that may go on, with the index each must have applied. Uses the configuration of now. */
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
