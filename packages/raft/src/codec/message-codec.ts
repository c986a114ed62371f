import { Packr } from 'msgpackr';
import { type Message, MessageType } from '../core/message.js';
import type { Entry, MemberId, SnapshotMeta } from '../core/types.js';
import { readU32, U32_BYTES, writeU32 } from './bytes.js';
import { decodeEntries, framesBytes, writeFrames } from './entry-codec.js';
import { type Plain, unpackPlain } from './plain-pack.js';
import { type SnapshotTuple, snapshotFromTuple, snapshotToTuple } from './snapshot-codec.js';

/**
 * Messages as bytes. A frame holds several:
 *
 *     0  u8   version of the format
 *     1  u32  length of the heads
 *     5       heads: MessagePack, a list of tuples
 *             then the entries' frames of all messages, in their order, as they are on disk
 *
 * A tuple has the fields of all types; `toTuple` says what each means for a type. The position of a
 * field never changes; new fields are appended, and older versions ignore them.
 */
export const WIRE_VERSION = 1;

export type MessageTuple = readonly [
  type: number,
  from: number,
  to: number,
  term: number,
  index: number,
  logTerm: number,
  commit: number,
  flags: number,
  rejectHint: number,
  context: number,
  entryCount: number,
  entryBytes: number,
  snapshot: SnapshotTuple | null,
];

const TUPLE_FIELDS = 13;
const NUMBER_FIELDS = 12;
export const REJECT = 1;
export const FORCE = 2;
const HEADER_BYTES = 1 + U32_BYTES;
const KNOWN_TYPES: ReadonlyMap<number, MessageType> = new Map(
  Object.values(MessageType).map((type) => [type, type]),
);
const NO_ENTRIES: readonly Entry[] = [];

/** A frame that breaks the format: the peer is faulty, or not a peer at all. */
export class MessageFormatError extends Error {
  readonly code = 'RAFT_MESSAGE_FORMAT';
}

/** The frame is of a version that this program does not read. */
export class WireVersionError extends Error {
  readonly code = 'RAFT_WIRE_VERSION';
}

/** The content of a frame. */
export interface DecodedFrame {
  readonly messages: readonly Message[];
  /** Types that only a newer version knows. Their messages are skipped. */
  readonly unknownTypes: readonly number[];
}

const packr = new Packr({ useRecords: false });

/** Approximate size of a message in a frame, in bytes. */
export function messageBytes(message: Message): number {
  return MESSAGE_HEAD_BYTES + framesBytes(entriesOf(message));
}

const MESSAGE_HEAD_BYTES = 64;

function entriesOf(message: Message): readonly Entry[] {
  return message.type === MessageType.Append ? message.entries : NO_ENTRIES;
}

export function encodeFrame(messages: readonly Message[]): Uint8Array {
  let entriesBytes = 0;
  const tuples = messages.map((message) => {
    const bytes = framesBytes(entriesOf(message));
    entriesBytes += bytes;
    return toTuple(message, bytes);
  });
  const heads = packr.pack(tuples);
  const frame = Buffer.allocUnsafe(HEADER_BYTES + heads.length + entriesBytes);
  frame[0] = WIRE_VERSION;
  writeU32(frame, 1, heads.length);
  frame.set(heads, HEADER_BYTES);
  let offset = HEADER_BYTES + heads.length;
  for (const message of messages) offset = writeFrames(entriesOf(message), frame, offset);
  return frame;
}

/**
 * Decodes a frame. Nothing in the result refers to `frame`.
 * @param from the peer at the other end of the connection; messages of others are refused
 * @throws WireVersionError, MessageFormatError
 */
export function decodeFrame(frame: Uint8Array, from: MemberId): DecodedFrame {
  if (frame.length < HEADER_BYTES) throw new MessageFormatError('the frame is cut off');
  if (frame[0] !== WIRE_VERSION) {
    throw new WireVersionError(`frame of version ${frame[0]}, this program reads ${WIRE_VERSION}`);
  }
  const headsEnd = HEADER_BYTES + readU32(frame, 1);
  if (headsEnd > frame.length) throw new MessageFormatError('the heads are cut off');
  const messages: Message[] = [];
  const unknownTypes: number[] = [];
  let offset = headsEnd;
  for (const tuple of readHeads(frame.subarray(HEADER_BYTES, headsEnd))) {
    const end = offset + tuple[11];
    if (end > frame.length) throw new MessageFormatError('the entries are cut off');
    if (tuple[1] !== from) {
      throw new MessageFormatError(`a message of member ${tuple[1]} came from member ${from}`);
    }
    const type = KNOWN_TYPES.get(tuple[0]);
    if (type === undefined) unknownTypes.push(tuple[0]);
    else messages.push(fromTuple(type, tuple, frame.subarray(offset, end)));
    offset = end;
  }
  if (offset !== frame.length) throw new MessageFormatError('bytes follow the last message');
  return { messages, unknownTypes };
}

function readHeads(bytes: Uint8Array): readonly MessageTuple[] {
  let heads: Plain;
  try {
    heads = unpackPlain(bytes);
  } catch (cause) {
    throw new MessageFormatError(`the heads cannot be read: ${(cause as Error).message}`, {
      cause,
    });
  }
  if (!Array.isArray(heads) || !heads.every(isMessageTuple)) {
    throw new MessageFormatError('the heads are not messages');
  }
  return heads;
}

function isMessageTuple(value: unknown): value is MessageTuple {
  if (!Array.isArray(value) || value.length < TUPLE_FIELDS) return false;
  for (let i = 0; i < NUMBER_FIELDS; i++) {
    if (!Number.isSafeInteger(value[i]) || value[i] < 0) return false;
  }
  return value[12] === null || Array.isArray(value[12]);
}

/** Fields that a type does not have are 0. */
function toTuple(message: Message, entryBytes: number): MessageTuple {
  const { type, from, to, term } = message;
  switch (message.type) {
    case MessageType.PreVote:
    case MessageType.Vote: {
      const { lastIndex, lastTerm } = message;
      const flags = message.force ? FORCE : 0;
      return [type, from, to, term, lastIndex, lastTerm, 0, flags, 0, 0, 0, 0, null];
    }
    case MessageType.PreVoteResponse:
    case MessageType.VoteResponse: {
      const { commit, commitTerm } = message;
      const flags = message.granted ? 0 : REJECT;
      return [type, from, to, term, commit, commitTerm, 0, flags, 0, 0, 0, 0, null];
    }
    case MessageType.Append: {
      const { previousIndex: index, previousTerm, commit, entries } = message;
      const { length } = entries;
      return [type, from, to, term, index, previousTerm, commit, 0, 0, 0, length, entryBytes, null];
    }
    case MessageType.AppendResponse: {
      if (!message.rejected) {
        return [type, from, to, term, message.match, 0, 0, 0, 0, 0, 0, 0, null];
      }
      const { previousIndex, hintIndex, hintTerm } = message;
      return [type, from, to, term, previousIndex, hintTerm, 0, REJECT, hintIndex, 0, 0, 0, null];
    }
    case MessageType.Heartbeat: {
      const { match, commit, round } = message;
      return [type, from, to, term, match, 0, commit, 0, 0, round, 0, 0, null];
    }
    case MessageType.HeartbeatResponse: {
      const { promiseMs, round } = message;
      return [type, from, to, term, promiseMs, 0, 0, 0, 0, round, 0, 0, null];
    }
    case MessageType.Snapshot: {
      const { snapshot } = message;
      if (snapshot === undefined) throw new RangeError('a snapshot order has no bytes');
      const { index, term: stateTerm } = snapshot;
      const tuple = snapshotToTuple(snapshot);
      return [type, from, to, term, index, stateTerm, 0, 0, 0, 0, 0, 0, tuple];
    }
    case MessageType.ReadIndex:
      return [type, from, to, term, 0, 0, 0, 0, 0, message.context, 0, 0, null];
    case MessageType.ReadIndexResponse: {
      const { index, context } = message;
      return [type, from, to, term, index, 0, 0, 0, 0, context, 0, 0, null];
    }
    case MessageType.TimeoutNow:
    case MessageType.TransferLeader:
      return [type, from, to, term, 0, 0, 0, 0, 0, 0, 0, 0, null];
  }
}

function fromTuple(type: MessageType, tuple: MessageTuple, block: Uint8Array): Message {
  const entryCount = tuple[10];
  const snapshot = tuple[12];
  if ((snapshot !== null) !== (type === MessageType.Snapshot)) {
    throw new MessageFormatError(`message of type ${type}: a snapshot is missing or not allowed`);
  }
  if ((entryCount > 0 || block.length > 0) && type !== MessageType.Append) {
    throw new MessageFormatError(`message of type ${type}: entries are not allowed`);
  }
  try {
    const entries = entryCount === 0 && block.length === 0 ? [] : decodeEntries(block, entryCount);
    return messageOf(
      type,
      tuple,
      entries,
      snapshot === null ? undefined : snapshotFromTuple(snapshot),
    );
  } catch (cause) {
    throw new MessageFormatError(`message of type ${type}: ${(cause as Error).message}`, { cause });
  }
}

/** Builds a message from its tuple. Ignores fields that its type does not have. */
export function messageOf(
  type: MessageType,
  tuple: MessageTuple,
  entries: readonly Entry[],
  snapshot: SnapshotMeta | undefined,
): Message {
  const [, from, to, term, index, logTerm, commit, flags, rejectHint, context] = tuple;
  const rejected = (flags & REJECT) !== 0;
  switch (type) {
    case MessageType.PreVote:
    case MessageType.Vote: {
      const force = (flags & FORCE) !== 0;
      return { type, from, to, term, lastIndex: index, lastTerm: logTerm, force };
    }
    case MessageType.PreVoteResponse:
    case MessageType.VoteResponse:
      return { type, from, to, term, granted: !rejected, commit: index, commitTerm: logTerm };
    case MessageType.Append:
      return { type, from, to, term, previousIndex: index, previousTerm: logTerm, entries, commit };
    case MessageType.AppendResponse:
      if (!rejected) return { type, from, to, term, rejected, match: index };
      return {
        type,
        from,
        to,
        term,
        rejected,
        previousIndex: index,
        hintIndex: rejectHint,
        hintTerm: logTerm,
      };
    case MessageType.Heartbeat:
      return { type, from, to, term, match: index, commit, round: context };
    case MessageType.HeartbeatResponse:
      return { type, from, to, term, promiseMs: index, round: context };
    case MessageType.Snapshot:
      if (snapshot === undefined) throw new RangeError('the snapshot is missing');
      return { type, from, to, term, snapshot };
    case MessageType.ReadIndex:
      return { type, from, to, term, context };
    case MessageType.ReadIndexResponse:
      return { type, from, to, term, context, index };
    case MessageType.TimeoutNow:
    case MessageType.TransferLeader:
      return { type, from, to, term };
  }
}
