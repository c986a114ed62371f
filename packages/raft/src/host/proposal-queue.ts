import { type RaftCore, Refusal } from '../core/raw-node.js';
import { OverloadedError, ProposalDroppedError, ProposalTooLargeError } from './errors.js';
import type { Observer } from './observer.js';
import type { RaftLimits } from './options.js';
import type { ProposalDone, Proposals } from './proposals.js';

interface Queued {
  readonly data: Uint8Array;
  readonly done: ProposalDone;
}

/** Proposals of one turn, which go into the log together. */
export class ProposalQueue {
  private readonly core: RaftCore;
  private readonly limits: RaftLimits;
  private readonly proposals: Proposals;
  private readonly observer: Observer;
  private readonly noLeadership: () => Error;
  private queued: Queued[] = [];
  private bytes = 0;

  /** @param noLeadership says why a member that does not lead takes no proposals */
  constructor(
    core: RaftCore,
    limits: RaftLimits,
    proposals: Proposals,
    observer: Observer,
    noLeadership: () => Error,
  ) {
    this.core = core;
    this.limits = limits;
    this.proposals = proposals;
    this.observer = observer;
    this.noLeadership = noLeadership;
  }

  get length(): number {
    return this.queued.length;
  }

  /** Says why a proposal is refused, when that is known at once. */
  refusal(data: Uint8Array): Error | undefined {
    const { maxProposalBytes, maxQueuedProposals, maxUncommittedBytes } = this.limits;
    if (data.length === 0) return new TypeError('a proposal must hold at least one byte');
    if (data.length > maxProposalBytes) {
      return new ProposalTooLargeError(data.length, maxProposalBytes);
    }
    if (this.core.role !== 'leader') return this.noLeadership();
    // Checks against the queue too: the core takes or refuses a turn's proposals together.
    const bytes = this.core.uncommittedBytes + this.bytes;
    const full = bytes > 0 && bytes + data.length > maxUncommittedBytes;
    if (full || this.queued.length >= maxQueuedProposals) return new OverloadedError();
    return undefined;
  }

  add(data: Uint8Array, done: ProposalDone): void {
    this.queued.push({ data, done });
    this.bytes += data.length;
  }

  /** Proposes everything in the queue. */
  take(): void {
    const { queued } = this;
    if (queued.length === 0) return;
    this.queued = [];
    this.bytes = 0;
    const result = this.core.propose(queued.map(({ data }) => data));
    this.observer.moved();
    if (result.refusal === undefined) {
      for (const [i, { done }] of queued.entries()) {
        this.proposals.add(result.index + i, result.term, done);
      }
      return;
    }
    const error = this.refusalError(result.refusal);
    this.observer.counters.proposalsRefused += queued.length;
    for (const { done } of queued) done(error, undefined, 0);
  }

  private refusalError(refusal: Refusal): Error {
    switch (refusal) {
      case Refusal.NotLeader:
        return this.noLeadership();
      case Refusal.Overloaded:
        return new OverloadedError();
      case Refusal.Transferring:
      case Refusal.ConfChangePending:
        return new ProposalDroppedError(refusal);
    }
  }

  rejectAll(error: Error): void {
    for (const { done } of this.queued.splice(0)) done(error, undefined, 0);
  }
}
