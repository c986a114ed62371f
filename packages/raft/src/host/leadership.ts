import type { MemberInfo, Term } from '../core/types.js';

/** Who leads, as announced to the owner of a node. */
export interface LeadershipState {
  readonly leader: MemberInfo | undefined;
  /**
   * True when this member leads and has applied everything committed before: its state is the
   * cluster's. Until then the node does not announce its own leadership.
   */
  readonly isLeader: boolean;
  readonly term: Term;
}

export type LeadershipListener = (state: LeadershipState) => void;

/** Announces each change of leadership once. */
export class Leadership {
  current: LeadershipState = { leader: undefined, isLeader: false, term: 0 };
  private readonly listeners = new Set<LeadershipListener>();
  /** When a leader was last known; the start, if never. */
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
