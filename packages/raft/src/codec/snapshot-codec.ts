import { Packr } from 'msgpackr';
import { checkConf } from '../core/conf-change.js';
import { checkMemberInfo } from '../core/member-info.js';
import type { ConfState, MemberInfo, SnapshotMeta } from '../core/types.js';
import { unpackPlain } from './plain-pack.js';

/** The start of a new log: no entries before it, and no members. */
export const NO_SNAPSHOT: SnapshotMeta = {
  index: 0,
  term: 0,
  conf: { voters: [], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false },
  members: [],
  removed: [],
};

/** A snapshot's description as plain arrays: no field names on disk or on the wire. */
export type SnapshotTuple = readonly [
  index: number,
  term: number,
  conf: readonly [
    voters: readonly number[],
    votersOutgoing: readonly number[],
    learners: readonly number[],
    learnersNext: readonly number[],
    autoLeave: boolean,
  ],
  members: readonly (readonly [id: number, address: string, nodeId: string])[],
  removed: readonly number[],
];

/** Bytes or values that do not describe a snapshot. */
export class SnapshotFormatError extends Error {
  readonly code = 'RAFT_SNAPSHOT_FORMAT';
}

const packr = new Packr({ useRecords: false });

export function snapshotToTuple(meta: SnapshotMeta): SnapshotTuple {
  const { conf } = meta;
  return [
    meta.index,
    meta.term,
    [conf.voters, conf.votersOutgoing, conf.learners, conf.learnersNext, conf.autoLeave],
    meta.members.map(({ id, address, nodeId }) => [id, address, nodeId] as const),
    meta.removed,
  ];
}

/** Ignores extra fields, which later versions may append. @throws SnapshotFormatError */
export function snapshotFromTuple(value: unknown): SnapshotMeta {
  const [index, term, conf, members, removed] = list(value, 5);
  const infos = list(members, 0).map(memberFromTuple);
  if (new Set(infos.map(({ id }) => id)).size < infos.length) {
    throw new SnapshotFormatError('a member is described twice');
  }
  return {
    index: integer(index),
    term: integer(term),
    conf: confFromTuple(conf),
    members: infos,
    removed: ids(removed),
  };
}

export function encodeSnapshotMeta(meta: SnapshotMeta): Uint8Array {
  return packr.pack(snapshotToTuple(meta));
}

/** @throws SnapshotFormatError */
export function decodeSnapshotMeta(bytes: Uint8Array): SnapshotMeta {
  let value: unknown;
  try {
    value = unpackPlain(bytes);
  } catch (cause) {
    throw new SnapshotFormatError('snapshot description cannot be read', { cause });
  }
  return snapshotFromTuple(value);
}

function confFromTuple(value: unknown): ConfState {
  const [voters, votersOutgoing, learners, learnersNext, autoLeave] = list(value, 5);
  const conf = {
    voters: ids(voters),
    votersOutgoing: ids(votersOutgoing),
    learners: ids(learners),
    learnersNext: ids(learnersNext),
    autoLeave: autoLeave === true,
  };
  try {
    // Checked here, because at its first use it would count as a fault of this member.
    checkConf(conf);
  } catch (cause) {
    throw new SnapshotFormatError(`the configuration contradicts itself: ${String(cause)}`, {
      cause,
    });
  }
  return conf;
}

function memberFromTuple(value: unknown): MemberInfo {
  const [id, address, nodeId] = list(value, 3);
  if (typeof address !== 'string' || typeof nodeId !== 'string') {
    throw new SnapshotFormatError('a member has no address or no node id');
  }
  const info = { id: memberId(id), address, nodeId };
  const problem = checkMemberInfo(info);
  if (problem !== undefined) throw new SnapshotFormatError(problem);
  return info;
}

function list(value: unknown, minimum: number): readonly unknown[] {
  if (!Array.isArray(value) || value.length < minimum) {
    throw new SnapshotFormatError(`expected a list of at least ${minimum} values`);
  }
  return value;
}

/** Member ids, each once. */
function ids(value: unknown): number[] {
  const found = list(value, 0).map(memberId);
  if (new Set(found).size < found.length) throw new SnapshotFormatError('a member is named twice');
  return found;
}

function memberId(value: unknown): number {
  if (integer(value) === 0) throw new SnapshotFormatError('0 is not a member');
  return value as number;
}

function integer(value: unknown): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) {
    throw new SnapshotFormatError('expected a number from 0 to 2^53-1');
  }
  return value as number;
}
