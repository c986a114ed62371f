import { Packr } from 'msgpackr';
import type { ConfState, MemberInfo, SnapshotMeta } from '../core/types.js';

/** What a new log starts after: nothing, with nobody taking part. */
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

/** Bytes or values that describe no snapshot. */
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

/** Later versions may append fields, which are ignored. @throws SnapshotFormatError */
export function snapshotFromTuple(value: unknown): SnapshotMeta {
  const [index, term, conf, members, removed] = list(value, 5);
  return {
    index: integer(index),
    term: integer(term),
    conf: confFromTuple(conf),
    members: list(members, 0).map(memberFromTuple),
    removed: integers(removed),
  };
}

export function encodeSnapshotMeta(meta: SnapshotMeta): Uint8Array {
  return packr.pack(snapshotToTuple(meta));
}

/** @throws SnapshotFormatError */
export function decodeSnapshotMeta(bytes: Uint8Array): SnapshotMeta {
  let value: unknown;
  try {
    value = packr.unpack(bytes);
  } catch (cause) {
    throw new SnapshotFormatError('snapshot description can not be read', { cause });
  }
  return snapshotFromTuple(value);
}

function confFromTuple(value: unknown): ConfState {
  const [voters, votersOutgoing, learners, learnersNext, autoLeave] = list(value, 5);
  return {
    voters: integers(voters),
    votersOutgoing: integers(votersOutgoing),
    learners: integers(learners),
    learnersNext: integers(learnersNext),
    autoLeave: autoLeave === true,
  };
}

function memberFromTuple(value: unknown): MemberInfo {
  const [id, address, nodeId] = list(value, 3);
  if (typeof address !== 'string' || typeof nodeId !== 'string') {
    throw new SnapshotFormatError('a member has no address or no node id');
  }
  return { id: integer(id), address, nodeId };
}

function list(value: unknown, minimum: number): readonly unknown[] {
  if (!Array.isArray(value) || value.length < minimum) {
    throw new SnapshotFormatError(`expected a list of at least ${minimum} values`);
  }
  return value;
}

function integers(value: unknown): number[] {
  return list(value, 0).map(integer);
}

function integer(value: unknown): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) {
    throw new SnapshotFormatError('expected a number from 0 to 2^53-1');
  }
  return value as number;
}
