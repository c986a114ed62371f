import { assert } from './assert.js';
import { checkMemberInfo } from './member-info.js';
import type { ConfState, MemberId, MemberInfo } from './types.js';

export const ConfChangeOp = {
  AddVoter: 1,
  AddLearner: 2,
  Remove: 3,
  /** Changes the address only, never the role: a learner stays a learner. */
  Update: 4,
} as const;
export type ConfChangeOp = (typeof ConfChangeOp)[keyof typeof ConfChangeOp];

export interface MemberChange {
  readonly op: ConfChangeOp;
  readonly id: MemberId;
  /**
   * How to reach the member. Required for every op except Remove; absent when it does not change.
   */
  readonly info?: MemberInfo;
}

/**
 * A membership change: the data of an entry of kind ConfChange. A change to more than one voter
 * goes through a joint configuration, which the leader leaves by itself. An empty list of changes
 * leaves the joint configuration.
 */
export interface ConfChange {
  readonly changes: readonly MemberChange[];
}

export const LEAVE_JOINT: ConfChange = { changes: [] };
export const EMPTY_CONF: ConfState = {
  voters: [],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
};

/** A change that the configuration does not allow. The message says why. */
export class ConfChangeError extends Error {
  readonly code = 'RAFT_CONF_CHANGE';
}

/**
 * A change that only a newer version knows. The member must stop: skipping a change that others
 * make would split the group.
 */
export class UnknownConfChangeError extends Error {
  readonly code = 'RAFT_CONF_CHANGE_UNKNOWN';
}

export function isJoint(conf: ConfState): boolean {
  return conf.votersOutgoing.length > 0;
}

/** Voters of both halves, ascending. */
export function allVoters(conf: ConfState): MemberId[] {
  return sorted(new Set([...conf.voters, ...conf.votersOutgoing]));
}

/** Every member that the leader replicates to, ascending. */
export function allMembers(conf: ConfState): MemberId[] {
  return sorted(new Set([...conf.voters, ...conf.votersOutgoing, ...conf.learners]));
}

/** Reports whether `id` takes part in elections. */
export function isVoter(conf: ConfState, id: MemberId): boolean {
  return conf.voters.includes(id) || conf.votersOutgoing.includes(id);
}

/**
 * Returns the configuration after a change. The same change to the same configuration gives the
 * same result, or the same error, on every member.
 * @throws ConfChangeError
 */
export function changeConf(conf: ConfState, change: ConfChange): ConfState {
  checkConf(conf);
  const next = change.changes.length === 0 ? leaveJoint(conf) : enter(conf, change);
  checkConf(next);
  return next;
}

function enter(conf: ConfState, change: ConfChange): ConfState {
  if (isJoint(conf)) throw new ConfChangeError('leave the joint configuration first');
  // The very first configuration has no quorum that could disagree with it.
  const founding = conf.voters.length === 0 && conf.learners.length === 0;
  const simple = edit(conf, change, 'simple');
  const moved = simple.voters.filter((id) => !conf.voters.includes(id)).length;
  const left = conf.voters.filter((id) => !simple.voters.includes(id)).length;
  if (simple.voters.length === 0) throw new ConfChangeError('the last voter cannot be removed');
  // With one voter more or less, every old majority overlaps every new one (thesis §4.1).
  if (founding || moved + left <= 1) return simple;
  return { ...edit(conf, change, 'joint'), votersOutgoing: conf.voters, autoLeave: true };
}

function edit(conf: ConfState, change: ConfChange, mode: 'simple' | 'joint'): ConfState {
  const voters = new Set(conf.voters);
  const learners = new Set(conf.learners);
  const learnersNext = new Set<MemberId>();
  for (const { op, id } of change.changes) {
    if (!Number.isSafeInteger(id) || id <= 0) throw new ConfChangeError(`no member id: ${id}`);
    if (op === ConfChangeOp.Update) continue;
    voters.delete(id);
    learners.delete(id);
    learnersNext.delete(id);
    if (op === ConfChangeOp.AddVoter) voters.add(id);
    if (op === ConfChangeOp.AddLearner) {
      // A voter of the outgoing half stays a voter until the group leaves the joint configuration.
      if (mode === 'joint' && conf.voters.includes(id)) learnersNext.add(id);
      else learners.add(id);
    }
  }
  return {
    voters: sorted(voters),
    votersOutgoing: [],
    learners: sorted(learners),
    learnersNext: sorted(learnersNext),
    autoLeave: false,
  };
}

function leaveJoint(conf: ConfState): ConfState {
  if (!isJoint(conf)) throw new ConfChangeError('the configuration is not joint');
  return {
    voters: conf.voters,
    votersOutgoing: [],
    learners: sorted(new Set([...conf.learners, ...conf.learnersNext])),
    learnersNext: [],
    autoLeave: false,
  };
}

/** @throws RaftFaultError when the configuration contradicts itself. */
export function checkConf(conf: ConfState): void {
  for (const id of conf.learners) {
    assert(!isVoter(conf, id), 'a learner is a voter too', id);
  }
  for (const id of conf.learnersNext) {
    assert(conf.votersOutgoing.includes(id), 'a future learner is not leaving the voters', id);
    assert(!conf.voters.includes(id), 'a future learner stays a voter', id);
  }
  assert(
    isJoint(conf) || conf.learnersNext.length === 0,
    'future learners outside a joint configuration',
  );
  assert(isJoint(conf) || !conf.autoLeave, 'auto-leave outside a joint configuration');
}

/** Encodes to deterministic bytes: every founding member must forge the same first entry. */
export function encodeConfChange(change: ConfChange): Uint8Array {
  const rows = change.changes.map(({ op, id, info }) =>
    info === undefined ? [op, id] : [op, id, info.address, info.nodeId],
  );
  return new TextEncoder().encode(JSON.stringify(rows));
}

/**
 * @throws ConfChangeError when the bytes are not a change. The entry then has no effect, on every
 * member alike.
 * @throws UnknownConfChangeError when only a newer version knows the change
 */
export function decodeConfChange(data: Uint8Array): ConfChange {
  let rows: unknown;
  try {
    rows = JSON.parse(new TextDecoder().decode(data));
  } catch (cause) {
    throw new ConfChangeError('an entry holds no membership change', { cause });
  }
  if (!Array.isArray(rows)) throw new ConfChangeError('an entry holds no membership change');
  return { changes: rows.map(decodeRow) };
}

function decodeRow(row: unknown): MemberChange {
  const [op, id, address, nodeId] = Array.isArray(row) ? (row as unknown[]) : [];
  if (!Number.isSafeInteger(op) || !Number.isSafeInteger(id) || (id as number) <= 0) {
    throw new ConfChangeError(
      'an entry holds a membership change without an operation or a member',
    );
  }
  const known = Object.values(ConfChangeOp).find((value) => value === op);
  if (known === undefined) {
    throw new UnknownConfChangeError(
      `an entry holds the membership change ${String(op)}, which this version does not know: upgrade it`,
    );
  }
  const member = id as MemberId;
  if (address === undefined && nodeId === undefined) return { op: known, id: member };
  if (typeof address !== 'string' || typeof nodeId !== 'string') {
    throw new ConfChangeError('an entry holds a membership change that describes no member');
  }
  const info = { id: member, address, nodeId };
  const problem = checkMemberInfo(info);
  if (problem !== undefined) throw new ConfChangeError(problem);
  return { op: known, id: member, info };
}

function sorted(ids: Iterable<MemberId>): MemberId[] {
  return [...ids].sort((a, b) => a - b);
}
