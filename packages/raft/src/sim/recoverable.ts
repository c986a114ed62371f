import { type ConfChange, changeConf, decodeConfChange } from '../core/conf-change.js';
import { quorumVote, VoteResult } from '../core/quorum.js';
import { type ConfState, type Entry, EntryKind, type MemberId } from '../core/types.js';
import type { SimMember } from './member.js';
import type { World } from './world.js';

/**
 * The rule that decides whether a cluster must come back: in every configuration that is in force or
 * may come into force by an entry that some intact member holds, a quorum has its disk. Without that
 * it may stand still for ever; it may never lie.
 */
export function recoverable(world: World): boolean {
  return holds(world, (member) => member.intact);
}

/** Whether it must come back even if this member's disk is lost as well. */
export function recoverableWithout(world: World, lost: SimMember): boolean {
  return holds(world, (member) => member.intact && member !== lost);
}

function holds(world: World, intact: (member: SimMember) => boolean): boolean {
  const good = new Set<MemberId>();
  for (const member of world.members) if (intact(member)) good.add(member.id);
  const hasQuorum = (conf: ConfState) => quorumVote(conf, (id) => good.has(id)) === VoteResult.Won;
  const confs = world.members.filter(intact).flatMap(confsOf);
  return confs.length > 0 && confs.every(hasQuorum);
}

/** The configuration a member acts by, and those that entries of its log would make of it. */
function confsOf(member: SimMember): ConfState[] {
  const { subject, durable } = member;
  // One that is down starts again from what it had applied, or earlier; then come all its entries.
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
