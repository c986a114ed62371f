import { isVoter } from '../core/conf-change.js';
import type { Role } from '../core/raft.js';
import type { RaftCore } from '../core/raw-node.js';
import type { Index, MemberId, MemberInfo, Term } from '../core/types.js';
import type { Membership } from './membership.js';

export interface MemberStatus {
  readonly info: MemberInfo;
  readonly role: 'voter' | 'learner';
  /** As the leader knows them; 0 and false on other members. */
  readonly match: Index;
  /** Heard by the leader within the last election timeout. */
  readonly reachable: boolean;
}

export interface RaftStatus {
  readonly id: MemberId;
  readonly role: Role;
  readonly term: Term;
  readonly leader: MemberInfo | undefined;
  readonly commit: Index;
  readonly applied: Index;
  readonly firstIndex: Index;
  readonly lastIndex: Index;
  /** How long a leader may still read without asking a quorum; 0 when it may not. */
  readonly leaseRemainingMs: number;
  readonly members: readonly MemberStatus[];
  readonly removed: readonly MemberId[];
}

/** The members, as announced to the owner of a node. */
export type MembersListener = (members: readonly Pick<MemberStatus, 'info' | 'role'>[]) => void;

export function statusOf(
  core: RaftCore,
  membership: Membership,
  leader: MemberInfo | undefined,
  nowMs: number,
): RaftStatus {
  const { id, role, term, commit, applied, firstIndex, lastIndex } = core.status();
  return {
    id,
    role,
    term,
    leader,
    commit,
    applied,
    firstIndex,
    lastIndex,
    leaseRemainingMs: core.leaseRemainingMs(nowMs),
    removed: membership.current.removed,
    members: rolesOf(membership).map(({ info, role: memberRole }) => {
      const { match, active } = core.memberProgress(info.id);
      return { info, role: memberRole, match, reachable: active };
    }),
  };
}

/** Returns the current members, and whether each votes. */
export function rolesOf(membership: Membership): Pick<MemberStatus, 'info' | 'role'>[] {
  const { members, conf } = membership.current;
  return members.map((info) => ({
    info,
    role: isVoter(conf, info.id) ? ('voter' as const) : ('learner' as const),
  }));
}
