import type { Index } from '../core/types.js';

export type ReadDone = (error: Error | undefined, index: Index) => void;

interface Waiter {
  readonly deadlineMs: number;
  readonly done: ReadDone;
}

interface Round {
  /** The first question and its repetitions. The answer to any of them came after the calls. */
  readonly contexts: number[];
  askedTick: number;
  readonly waiters: Waiter[];
}

/**
 * Linearizable reads that wait: first for the leader's answer, then until this member has applied
 * that far. Reads of one turn share one question; a question without an answer is asked again.
 */
export class Reads {
  private fresh: Waiter[] = [];
  private asked: Round[] = [];
  private applying: { readonly index: Index; readonly waiters: Waiter[] }[] = [];
  private count = 0;
  /**
   * Never repeats a context of an earlier run of this member, whose late answer could release a
   * read.
   */
  private context: number;

  constructor(random: () => number) {
    this.context = Math.floor(random() * 2 ** 50);
  }

  get length(): number {
    return this.count;
  }

  add(deadlineMs: number, done: ReadDone): void {
    this.count++;
    this.fresh.push({ deadlineMs, done });
  }

  /**
   * Asks one question for all reads since the last call. @param ask false when there is nobody to
   * ask
   */
  ask(tick: number, ask: (context: number) => boolean): void {
    if (this.fresh.length === 0) return;
    const context = ++this.context;
    const waiters = this.fresh;
    this.fresh = [];
    this.asked.push({ contexts: [context], askedTick: tick, waiters });
    ask(context);
  }

  /** Repeats questions that have had no answer for `retryTicks`. */
  retry(tick: number, retryTicks: number, ask: (context: number) => boolean): void {
    for (const round of this.asked) {
      if (tick - round.askedTick < retryTicks) continue;
      round.askedTick = tick;
      const context = ++this.context;
      round.contexts.push(context);
      ask(context);
    }
  }

  answered(context: number, index: Index): void {
    const at = this.asked.findIndex(({ contexts }) => contexts.includes(context));
    if (at < 0) return;
    const [round] = this.asked.splice(at, 1);
    this.applying.push({ index, waiters: round!.waiters });
  }

  appliedTo(applied: Index): void {
    if (this.applying.length === 0) return;
    const ready = this.applying.filter(({ index }) => index <= applied);
    if (ready.length === 0) return;
    this.applying = this.applying.filter(({ index }) => index > applied);
    for (const { index, waiters } of ready) {
      this.count -= waiters.length;
      for (const { done } of waiters) done(undefined, index);
    }
  }

  expire(nowMs: number, error: () => Error): void {
    if (this.count === 0) return;
    const late: Waiter[] = [];
    const keep = (waiters: readonly Waiter[]) =>
      waiters.filter((waiter) => {
        if (waiter.deadlineMs > nowMs) return true;
        late.push(waiter);
        return false;
      });
    this.fresh = keep(this.fresh);
    this.asked = this.asked
      .map((round) => ({ ...round, waiters: keep(round.waiters) }))
      .filter(({ waiters }) => waiters.length > 0);
    this.applying = this.applying
      .map(({ index, waiters }) => ({ index, waiters: keep(waiters) }))
      .filter(({ waiters }) => waiters.length > 0);
    this.count -= late.length;
    for (const { done } of late) done(error(), 0);
  }

  rejectAll(error: Error): void {
    this.expire(Number.POSITIVE_INFINITY, () => error);
  }
}
