import type { PathProblemKind } from '@swarm/api';
import { ANSWERS_TO_MEND, FIRST_LOSSES_SPAN_MS, LOSSES, LOSSES_SPAN_MS } from './limits.js';

/** A point in time. */
export interface Moment {
  readonly monotonicMs: number;
  /** Since the epoch. */
  readonly wallMs: number;
}

/** What is wrong with the path to a peer. */
export interface FoundProblem {
  readonly kind: PathProblemKind;
  /** When the first of the packets was sent that were lost, milliseconds since the epoch. */
  readonly sinceMs: number;
}

type Size = 'small' | 'full';

/** Packets of one size lost in a row. */
interface Losses {
  readonly count: number;
  readonly first: Moment;
}

const NOTHING_LOST: Readonly<Record<Size, Losses | undefined>> = {
  small: undefined,
  full: undefined,
};

/**
 * What the packets to one peer say of the path. A single loss says nothing: several in a row over some seconds
 * do, and several answers in a row undo that.
 */
export class PathState {
  #lost: Readonly<Record<Size, Losses | undefined>> = NOTHING_LOST;
  #hasAnswered = false;
  #hasPassed = false;
  /** Answers to packets of full size in a row. */
  #answers = 0;
  #problem: FoundProblem | undefined;

  get problem(): FoundProblem | undefined {
    return this.#problem;
  }

  /** Whether packets of full size got there, and nothing speaks against it since. */
  get isReached(): boolean {
    return this.#problem === undefined && this.#hasPassed;
  }

  /** Whether the next packets decide something: look again soon. */
  get isSuspect(): boolean {
    if (this.#problem !== undefined) return this.#answers > 0;
    return this.#lost.small !== undefined || this.#lost.full !== undefined;
  }

  answered(size: Size): void {
    this.#hasAnswered = true;
    if (size === 'small') {
      this.#lost = { ...this.#lost, small: undefined };
      return;
    }
    this.#lost = NOTHING_LOST;
    this.#hasPassed = true;
    this.#answers += 1;
    if (this.#answers >= ANSWERS_TO_MEND) this.#problem = undefined;
  }

  /** @param sent when the packet was sent that nobody answered */
  lost(size: Size, sent: Moment, now: Moment): void {
    this.#answers = 0;
    const before = this.#lost[size];
    const losses = { count: (before?.count ?? 0) + 1, first: before?.first ?? sent };
    this.#lost = { ...this.#lost, [size]: losses };
    const spanMs = this.#hasAnswered ? LOSSES_SPAN_MS : FIRST_LOSSES_SPAN_MS;
    if (losses.count < LOSSES || now.monotonicMs - losses.first.monotonicMs < spanMs) return;
    const kind = size === 'small' ? 'blocked' : 'mtu';
    if (this.#problem?.kind !== kind) this.#problem = { kind, sinceMs: losses.first.wallMs };
  }
}
