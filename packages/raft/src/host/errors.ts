import type { Index, MemberId, MemberInfo } from '../core/types.js';

/** What every error of a node has: a stable code, and a sentence that says what to do. */
export abstract class RaftError extends Error {
  abstract readonly code: string;
}

/**
 * Only the leader can do this. Nothing was changed. Ask `leader`, or try again once there is one.
 */
export class NotLeaderError extends RaftError {
  readonly code = 'RAFT_NOT_LEADER';
  readonly leader: MemberInfo | undefined;

  constructor(leader: MemberInfo | undefined) {
    super(
      leader === undefined
        ? 'this member is not the leader and knows of none; try again'
        : `this member is not the leader; ask ${leader.address}`,
    );
    this.leader = leader;
  }
}

/** The proposal is not applied and never will be. It may be made again. */
export class ProposalDroppedError extends RaftError {
  readonly code = 'RAFT_PROPOSAL_DROPPED';

  constructor(why: string) {
    super(`the proposal was not made (${why}); make it again`);
  }
}

/**
 * Leadership was lost meanwhile: the proposal may or may not be applied. Read before making it
 * again.
 */
export class ProposalUnknownError extends RaftError {
  readonly code = 'RAFT_PROPOSAL_UNKNOWN';

  constructor() {
    super('leadership was lost before the proposal was applied: it may still be; read to find out');
  }
}

/** There was no leader for a while: too few members can reach each other. Nothing was changed. */
export class QuorumLostError extends RaftError {
  readonly code = 'RAFT_QUORUM_LOST';

  constructor(leaderlessMs: number) {
    super(
      `no leader for ${Math.round(leaderlessMs / 1000)} s: bring back enough members for a majority`,
    );
  }
}

/** The node is stopping or stopped. Earlier proposals may or may not be applied. */
export class RaftStoppedError extends RaftError {
  readonly code = 'RAFT_STOPPED';

  constructor() {
    super('this raft member is stopped');
  }
}

export class ProposalTooLargeError extends RaftError {
  readonly code = 'RAFT_PROPOSAL_TOO_LARGE';

  constructor(bytes: number, limitBytes: number) {
    super(`a proposal of ${bytes} bytes exceeds the limit of ${limitBytes}; split it`);
  }
}

/** Too much is under way. Nothing was changed; try again later. */
export class OverloadedError extends RaftError {
  readonly code = 'RAFT_OVERLOADED';

  constructor() {
    super('too many proposals or reads are under way; try again later');
  }
}

/** The cluster did not do something in time. It may still happen. */
export class RaftTimeoutError extends RaftError {
  readonly code = 'RAFT_TIMEOUT';

  /** @param advice what the caller should do */
  constructor(what: string, ms: number, advice = 'try again') {
    super(`${what} took more than ${ms} ms; ${advice}`);
  }
}

/** The id was removed from the cluster. Ids are never used again. */
export class MemberRemovedError extends RaftError {
  readonly code = 'RAFT_MEMBER_REMOVED';

  constructor(id: MemberId) {
    super(`member ${id} was removed for good; join with a new id and an empty log`);
  }
}

export class MemberNotFoundError extends RaftError {
  readonly code = 'RAFT_MEMBER_NOT_FOUND';

  constructor(id: MemberId) {
    super(`member ${id} is not part of the cluster`);
  }
}

/**
 * The member that should take another's place already has a place of its own. Nothing was changed.
 */
export class MemberExistsError extends RaftError {
  readonly code = 'RAFT_MEMBER_EXISTS';

  constructor(id: MemberId, oldId: MemberId) {
    super(
      id === oldId
        ? `member ${id} cannot take its own place: give the new one an id never used before`
        : `member ${id} is already a voter and cannot take the place of ${oldId}: give the new one ` +
            `an id never used before, or remove ${oldId}`,
    );
  }
}

/** After the removal, or on the way to it, the reachable members would not form a majority. */
export class RemovalLosesQuorumError extends RaftError {
  readonly code = 'RAFT_REMOVAL_LOSES_QUORUM';

  /** @param stage whether the majority is missing after the removal, or already until it is done */
  constructor(id: MemberId, reachable: number, needed: number, stage: 'after' | 'until' = 'after') {
    const when = stage === 'after' ? `without member ${id}` : `until member ${id} is removed`;
    super(
      `${when} only ${reachable} reachable members would be left of ${needed} needed; ` +
        'add members or bring some back first',
    );
  }
}

/** The state machine lacks entries that the log has already dropped. The member must be rebuilt. */
export class StateBehindLogError extends RaftError {
  readonly code = 'RAFT_STATE_BEHIND_LOG';

  constructor(applied: Index, base: Index) {
    super(
      `the state ends at entry ${applied} but the log starts after ${base}: data was lost or ` +
        'exchanged; remove this member from the cluster and join again with empty directories',
    );
  }
}

/**
 * A snapshot offered by a peer is not wanted now. A state machine also throws this when its state
 * is unchanged: see StateMachine.restore.
 */
export class SnapshotRefusedError extends RaftError {
  readonly code = 'RAFT_SNAPSHOT_REFUSED';

  constructor(why: string) {
    super(`snapshot refused: ${why}`);
  }
}
