import { Packr } from 'msgpackr';
import { type Message, MessageType } from '../core/message.js';
import type { MemberId } from '../core/types.js';
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
 * Numbers of a tuple's fields never change; new fields are appended, and ignored by those who do not
 * know them.
 */
export const WIRE_VERSION = 1;

type MessageTuple = readonly [
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
const REJECT = 1;
const FORCE = 2;
const HEADER_BYTES = 1 + U32_BYTES;
const KNOWN_TYPES: ReadonlySet<number> = new Set(Object.values(MessageType));

/** A frame that does not say what a frame should; the peer is broken, or no peer. */
export class MessageFormatError extends Error {
  readonly code = 'RAFT_MESSAGE_FORMAT';
}

/** The frame is of a version this program does not read. */
export class WireVersionError extends Error {
  readonly code = 'RAFT_WIRE_VERSION';
}

/** What a frame holds. */
export interface DecodedFrame {
  readonly messages: readonly Message[];
  /** Types that only a newer program knows; their messages are left out. */
  readonly unknownTypes: readonly number[];
}

const packr = new Packr({ useRecords: false });

/** About how many bytes a message takes in a frame. */
export function messageBytes(message: Message): number {
  return MESSAGE_HEAD_BYTES + framesBytes(message.entries);
}

const MESSAGE_HEAD_BYTES = 64;

export function encodeFrame(messages: readonly Message[]): Uint8Array {
  let entriesBytes = 0;
  const tuples = messages.map((message) => {
    const bytes = framesBytes(message.entries);
    entriesBytes += bytes;
    return toTuple(message, bytes);
  });
  const heads = packr.pack(tuples);
  const frame = Buffer.allocUnsafe(HEADER_BYTES + heads.length + entriesBytes);
  frame[0] = WIRE_VERSION;
  writeU32(frame, 1, heads.length);
  frame.set(heads, HEADER_BYTES);
  let offset = HEADER_BYTES + heads.length;
  for (const { entries } of messages) offset = writeFrames(entries, frame, offset);
  return frame;
}

/**
 * Nothing in the result refers to `frame`.
 * @param from who the connection is from: messages of others are refused.
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
    if (KNOWN_TYPES.has(tuple[0])) messages.push(fromTuple(tuple, frame.subarray(offset, end)));
    else unknownTypes.push(tuple[0]);
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
    throw new MessageFormatError(`the heads can not be read: ${(cause as Error).message}`, {
      cause,
    });
  }
  if (!Array.isArray(heads) || !heads.every(isMessageTuple)) {
    throw new MessageFormatError('the heads are no messages');
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

function toTuple(message: Message, entryBytes: number): MessageTuple {
  return [
    message.type,
    message.from,
    message.to,
    message.term,
    message.index,
    message.logTerm,
    message.commit,
    (message.reject ? REJECT : 0) | (message.force ? FORCE : 0),
    message.rejectHint,
    message.context,
    message.entries.length,
    entryBytes,
    message.snapshot === undefined ? null : snapshotToTuple(message.snapshot),
  ];
}

function fromTuple(tuple: MessageTuple, block: Uint8Array): Message {
  const [type, from, to, term, index, logTerm, commit, flags, rejectHint, context] = tuple;
  const entryCount = tuple[10];
  const snapshot = tuple[12];
  if ((snapshot !== null) !== (type === MessageType.Snapshot)) {
    throw new MessageFormatError(`message of type ${type}: a snapshot is missing or has no place`);
  }
  try {
    return {
      type: type as MessageType,
      from,
      to,
      term,
      index,
      logTerm,
      commit,
      entries: entryCount === 0 && block.length === 0 ? [] : decodeEntries(block, entryCount),
      reject: (flags & REJECT) !== 0,
      rejectHint,
      context,
      force: (flags & FORCE) !== 0,
      ...(snapshot !== null && { snapshot: snapshotFromTuple(snapshot) }),
    };
  } catch (cause) {
    throw new MessageFormatError(`message of type ${type}: ${(cause as Error).message}`, { cause });
  }
}
