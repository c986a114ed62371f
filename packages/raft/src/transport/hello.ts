import { Packr } from 'msgpackr';
import { WIRE_VERSION } from '../codec/message-codec.js';
import { unpackPlain } from '../codec/plain-pack.js';
import type { MemberId } from '../core/types.js';

/** Paths of the two kinds of connection. */
export const RAFT_PATH = '/raft';
export const RAFT_SNAPSHOT_PATH = '/raft/snapshot';

/** The first frame of each connection: who speaks to whom. */
export interface Hello {
  readonly clusterId: string;
  readonly from: MemberId;
  readonly to: MemberId;
  /** On a snapshot's connection. Absent from a peer that cannot resume after a break. */
  readonly transfer?: TransferHello;
}

/** The snapshot transfer that a connection is for. */
export interface TransferHello {
  /** Assigned by the sender: a later transfer has a higher number. */
  readonly number: number;
  /** Which connection of the transfer this is, counted from 1. */
  readonly connection: number;
  /** The sender cannot go back before this offset, bytes. */
  readonly held: number;
}

/** Why a connection was ended; in the private range of RFC 6455 §7.4.2. */
export const CloseCode = {
  /** Frames that cannot be read, or claim another sender. */
  Malformed: 4000,
  WrongCluster: 4001,
  /** Another member is at this address. */
  WrongMember: 4002,
  /** The certificate is for another member than the announced one. */
  WrongNode: 4003,
  /** A wire version that this program does not speak. */
  WrongVersion: 4004,
  /** A newer connection of the same member took its place. */
  Replaced: 4005,
  /** The member was removed, or this one is stopping. */
  Gone: 4006,
  /** Nothing was heard for too long. */
  Silent: 4007,
} as const;
export type CloseCode = (typeof CloseCode)[keyof typeof CloseCode];

/** Why a hello is refused. */
export interface Refusal {
  readonly code: CloseCode;
  readonly reason: string;
}

const packr = new Packr({ useRecords: false });

/** Largest hello, bytes; one of ours has about 60. */
export const HELLO_LIMIT_BYTES = 1024;

/** Fields are only ever appended; a reader ignores those it does not know. */
export function encodeHello({ clusterId, from, to, transfer }: Hello): Uint8Array {
  const fields: unknown[] = [WIRE_VERSION, clusterId, from, to];
  if (transfer !== undefined) {
    fields.push([transfer.number, transfer.connection, transfer.held]);
  }
  return packr.pack(fields);
}

/** @returns the hello, or why the bytes are not one */
export function decodeHello(bytes: Uint8Array): Hello | Refusal {
  if (bytes.length > HELLO_LIMIT_BYTES) {
    return { code: CloseCode.Malformed, reason: `a hello of ${bytes.length} bytes` };
  }
  let fields: unknown;
  try {
    fields = unpackPlain(bytes);
  } catch {
    fields = undefined;
  }
  if (!Array.isArray(fields)) return { code: CloseCode.Malformed, reason: 'no hello' };
  const [version, clusterId, from, to, transfer] = fields as unknown[];
  if (version !== WIRE_VERSION) {
    return {
      code: CloseCode.WrongVersion,
      reason: `wire version ${typeof version === 'number' ? version : 'unknown'}, this program speaks ${WIRE_VERSION}`,
    };
  }
  if (typeof clusterId !== 'string' || !isMember(from) || !isMember(to)) {
    return { code: CloseCode.Malformed, reason: 'the hello names no cluster or no members' };
  }
  if (transfer === undefined) return { clusterId, from, to };
  if (!Array.isArray(transfer) || !transfer.slice(0, 3).every(isCount) || transfer.length < 3) {
    return { code: CloseCode.Malformed, reason: 'the hello names no transfer' };
  }
  const [number, connection, held] = transfer as [number, number, number];
  return { clusterId, from, to, transfer: { number, connection, held } };
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isMember(value: unknown): value is MemberId {
  return Number.isSafeInteger(value) && (value as number) > 0;
}
