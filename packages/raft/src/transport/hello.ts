import { Packr } from 'msgpackr';
import { WIRE_VERSION } from '../codec/message-codec.js';
import type { MemberId } from '../core/types.js';

/** Paths of the two kinds of connection. */
export const RAFT_PATH = '/raft';
export const RAFT_SNAPSHOT_PATH = '/raft/snapshot';

/** The first frame of each connection: who speaks to whom. */
export interface Hello {
  readonly clusterId: string;
  readonly from: MemberId;
  readonly to: MemberId;
}

/** Why a connection was ended; in the private range of RFC 6455 §7.4.2. */
export const CloseCode = {
  /** Frames that can not be read, or speak for somebody else. */
  Malformed: 4000,
  WrongCluster: 4001,
  /** Another member is at this address. */
  WrongMember: 4002,
  /** The announced member is not the one the certificate is for. */
  WrongNode: 4003,
  /** A wire version this program does not speak. */
  WrongVersion: 4004,
  /** A newer connection of the same member took its place. */
  Replaced: 4005,
  /** The member was removed, or this one stops. */
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

export function encodeHello({ clusterId, from, to }: Hello): Uint8Array {
  return packr.pack([WIRE_VERSION, clusterId, from, to]);
}

/** @returns the hello, or why it is none. */
export function decodeHello(bytes: Uint8Array): Hello | Refusal {
  let fields: unknown;
  try {
    fields = packr.unpack(bytes);
  } catch {
    fields = undefined;
  }
  if (!Array.isArray(fields)) return { code: CloseCode.Malformed, reason: 'no hello' };
  const [version, clusterId, from, to] = fields as unknown[];
  if (version !== WIRE_VERSION) {
    return {
      code: CloseCode.WrongVersion,
      reason: `wire version ${String(version)}, this program speaks ${WIRE_VERSION}`,
    };
  }
  if (typeof clusterId !== 'string' || !isMember(from) || !isMember(to)) {
    return { code: CloseCode.Malformed, reason: 'the hello names no cluster or no members' };
  }
  return { clusterId, from, to };
}

function isMember(value: unknown): value is MemberId {
  return Number.isSafeInteger(value) && (value as number) > 0;
}
