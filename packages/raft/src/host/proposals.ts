import type { Index, Term } from '../core/types.js';
import { ProposalDroppedError, ProposalUnknownError } from './errors.js';

/** Called once, with an error, or with the result of StateMachine.apply and the entry's index. */
export type ProposalDone = (error: Error | undefined, result: unknown, index: Index) => void;

interface Pending {
  readonly term: Term;
  readonly done: ProposalDone;
}

/** Proposals in the log that wait to be applied, by index. */
export class Proposals {
  private readonly pending = new Map<Index, Pending>();
  /** How the finished proposals ended, since the start. */
  readonly ended = { applied: 0, dropped: 0, unknown: 0 };

  get length(): number {
    return this.pending.size;
  }

  add(index: Index, term: Term, done: ProposalDone): void {
    this.pending.set(index, { term, done });
  }

  /** Completes the proposal at this index and term: its entry is applied. */
  applied(index: Index, term: Term, result: unknown): void {
    const pending = this.pending.get(index);
    if (pending === undefined) return;
    this.pending.delete(index);
    if (pending.term === term) {
      this.ended.applied++;
      pending.done(undefined, result, index);
    } else {
      this.ended.dropped++;
      pending.done(new ProposalDroppedError('another leader took its place'), undefined, index);
    }
  }

  /** Ends proposals of every term but `term`, whose leaderships are over. */
  leadershipLost(term: Term | undefined): void {
    if (this.pending.size === 0) return;
    for (const [index, { term: proposed, done }] of [...this.pending]) {
      if (proposed === term) continue;
      this.pending.delete(index);
      this.ended.unknown++;
      done(new ProposalUnknownError(), undefined, index);
    }
  }

  rejectAll(error: Error): void {
    const all = [...this.pending];
    this.pending.clear();
    this.ended.unknown += all.length;
    for (const [index, { done }] of all) done(error, undefined, index);
  }
}
