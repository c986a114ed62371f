import {
  type ConfState,
  type Entry,
  EntryKind,
  type Index,
  type MemberId,
  type Term,
} from '@swarm/raft';
import {
  changeConf,
  type ConfChange,
  decodeConfChange,
  isVoter,
  quorumVote,
  VoteResult,
} from '@swarm/raft/internals';
import type { SimMember } from './member.js';
import type { RaftWorld } from './world.js';

/**
 * The rule that decides whether a cluster must come back after disks were lost. If it need not, it
 * may stay stuck for ever, but it may never lie. It must come back when
 *
 * - in every configuration that is in force, or may come into force by an entry that some intact
 *   member holds, a quorum has its disk; and
 * - some member can be elected. None can when, say, one of four voters was made a learner, then
 *   another lost its disk, and the learner alone holds an uncommitted entry: it may not campaign, and
 *   refuses its vote to a voter that does not know yet that it no longer needs it.
 *
 * While no disk is lost there is no excuse.
 */
export function recoverable(world: RaftWorld): boolean {
  return holds(world, (member) => member.intact);
}

/** Reports whether it must come back even if this member's disk is lost as well. */
export function recoverableWithout(world: RaftWorld, lost: SimMember): boolean {
  return holds(world, (member) => member.intact && member !== lost);
}

function holds(world: RaftWorld, isIntact: (member: SimMember) => boolean): boolean {
  const intact = world.members.filter(isIntact);
  if (intact.length === world.members.length) return true;
  const good = new Map(intact.map((member) => [member.id, member]));
  const hasQuorum = (conf: ConfState) => quorumVote(conf, (id) => good.has(id)) === VoteResult.Won;
  const confs = intact.flatMap(confsOf);
  const electable = intact.some((member) => canWin(member, good));
  return confs.length > 0 && confs.every(hasQuorum) && electable;
}

function canWin(member: SimMember, good: ReadonlyMap<MemberId, SimMember>): boolean {
  const [conf] = confsOf(member);
  if (conf === undefined || !isVoter(conf, member.id)) return false;
  const last = lastOf(member);
  const votes = (id: MemberId) => {
    const voter = good.get(id);
    if (voter === undefined) return false;
    const theirs = lastOf(voter);
    return last.term > theirs.term || (last.term === theirs.term && last.index >= theirs.index);
  };
  return quorumVote(conf, votes) === VoteResult.Won;
}

function lastOf({ durable }: SimMember): { readonly index: Index; readonly term: Term } {
  return { index: durable.lastIndex, term: durable.term(durable.lastIndex) ?? 0 };
}

/** The configuration that a member uses, and those that entries of its log would make of it. */
function confsOf(member: SimMember): ConfState[] {
  const { subject, durable } = member;
  // A member that is down restarts from what it had applied, or earlier; then all its entries
  // follow.
  let { conf, applied } = member.lastConf;
  const entries: Entry[] = [];
  if (subject !== undefined) {
    const { raft } = subject;
    conf = raft.tracker.conf;
    applied = raft.log.applied;
    for (let i = applied + 1; i <= raft.log.lastIndex; i++) entries.push(raft.log.entry(i)!);
  }
  for (const entry of durable.entries) {
    if (entry.index > (entries.at(-1)?.index ?? applied)) entries.push(entry);
  }
  const confs = conf.voters.length > 0 ? [conf] : [];
  for (const entry of entries) {
    if (entry.kind !== EntryKind.ConfChange) continue;
    const next = changed(conf, decodeConfChange(entry.data));
    if (next === undefined) continue;
    conf = next;
    confs.push(conf);
  }
  return confs;
}

function changed(conf: ConfState, change: ConfChange): ConfState | undefined {
  try {
    return changeConf(conf, change);
  } catch {
    // Not allowed here, so it will have no effect.
    return undefined;
  }
}
