import type { MemberInfo, Term } from '../core/types.js';

/** Who leads, as announced to the owner of a node. */
export interface LeadershipState {
  readonly leader: MemberInfo | undefined;
  /**
   * This member leads and has applied everything that was committed before: its state is the
   * cluster's. Until then its own leadership is not announced.
   */
  readonly isLeader: boolean;
  readonly term: Term;
}

export type LeadershipListener = (state: LeadershipState) => void;

/** Announces changes of leadership, each once. */
export class Leadership {
  current: LeadershipState = { leader: undefined, isLeader: false, term: 0 };
  private readonly listeners = new Set<LeadershipListener>();
  /** When a leader was last known; 0 ms since the start if never. */
  private knownMs: number;

  constructor(nowMs: number) {
    this.knownMs = nowMs;
  }

  /** @returns a function that ends the subscription. */
  listen(listener: LeadershipListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  update(next: LeadershipState, nowMs: number): void {
    const { current } = this;
    if (current.leader !== undefined || next.leader !== undefined) this.knownMs = nowMs;
    const changed =
      next.isLeader !== current.isLeader ||
      next.leader?.id !== current.leader?.id ||
      next.leader?.address !== current.leader?.address ||
      (next.leader !== undefined && next.term !== current.term);
    if (!changed) return;
    this.current = next;
    for (const listener of [...this.listeners]) listener(next);
  }

  /** 0 while a leader is known. */
  leaderlessMs(nowMs: number): number {
    return this.current.leader === undefined ? nowMs - this.knownMs : 0;
  }
}
