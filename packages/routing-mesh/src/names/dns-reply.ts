import { type IpAddress, isIpv6 } from '@swarm/api/address';
import { addressBytes } from '../address-bytes.js';
import {
  type Failure,
  HEADER_BYTES,
  type QueryHead,
  type Rcode,
  RCODE,
  UDP_LIMIT_BYTES,
} from './dns-query.js';
import { type AnswerRecord, TYPE } from './name-answer.js';

/** Most bytes of a message over TCP (RFC 1035, section 4.2.2). */
export const TCP_LIMIT_BYTES = 65_535;

const QR = 0x8000;
const TC = 0x0200;
const RD = 0x0100;
const RA = 0x0080;
const CD = 0x0010;
const CLASS_IN = 1;
/** Where the question's name is, as a pointer (RFC 1035, section 4.1.4). */
const QUESTION_NAME = 0xc000 | HEADER_BYTES;
/** Pointer, type, class, TTL, length. */
const RECORD_HEAD_BYTES = 12;
const OPT_BYTES = 11;
const TYPE_OPT = 41;
const LABEL_LIMIT_BYTES = 63;
const DOT = 0x2e;
const ZERO = 0x30;

/** How an answer reaches its client. */
export interface ReplyLimit {
  readonly limitBytes: number;
  /** The client can ask again over TCP. */
  readonly mayTruncate: boolean;
}

/** @returns how a client of UDP gets answers */
export function udpLimit({ udpBytes }: QueryHead): ReplyLimit {
  return { limitBytes: udpBytes, mayTruncate: true };
}

export const TCP_LIMIT: ReplyLimit = { limitBytes: TCP_LIMIT_BYTES, mayTruncate: false };

/** Writes an answer: as many records as fit, marked as truncated if the client can ask for more. */
export function writeReply(
  head: QueryHead,
  rcode: Rcode,
  records: readonly AnswerRecord[],
  { limitBytes, mayTruncate }: ReplyLimit,
): Buffer {
  const start = Math.max(HEADER_BYTES, head.questionEnd);
  const optBytes = head.hasEdns ? OPT_BYTES : 0;
  let length = start + optBytes;
  let count = 0;
  for (const record of records) {
    const bytes = RECORD_HEAD_BYTES + dataBytes(record);
    if (length + bytes > limitBytes) break;
    length += bytes;
    count += 1;
  }
  const reply = Buffer.allocUnsafe(length);
  const isCut = count < records.length && mayTruncate;
  reply.writeUInt16BE(head.id, 0);
  reply.writeUInt16BE(QR | RA | (head.flags & (RD | CD)) | (isCut ? TC : 0) | (rcode & 0xf), 2);
  reply.writeUInt16BE(head.questionEnd > 0 ? 1 : 0, 4);
  reply.writeUInt16BE(count, 6);
  reply.writeUInt16BE(0, 8);
  reply.writeUInt16BE(head.hasEdns ? 1 : 0, 10);
  head.message.copy(reply, HEADER_BYTES, HEADER_BYTES, start);
  let at = start;
  for (let each = 0; each < count; each++) at = writeRecord(reply, at, records[each]!);
  if (head.hasEdns) writeOpt(reply, at, rcode);
  return reply;
}

/** An answer without records. */
export function writeRefusal(head: QueryHead, rcode: Failure): Buffer {
  return writeReply(head, rcode, [], TCP_LIMIT);
}

/** An answer that says: ask again over TCP. */
export function writeTruncated(head: QueryHead): Buffer {
  const reply = writeReply(head, RCODE.NOERROR, [], TCP_LIMIT);
  reply.writeUInt16BE(reply.readUInt16BE(2) | TC, 2);
  return reply;
}

/** Whether an answer of another server says that it was cut. */
export function isTruncated(reply: Buffer): boolean {
  return (reply.readUInt16BE(2) & TC) !== 0;
}

function dataBytes(record: AnswerRecord): number {
  if (!('address' in record)) return nameBytes(record.target).length;
  return isIpv6(record.address) ? 16 : 4;
}

/** @returns where the record ends */
function writeRecord(into: Buffer, at: number, record: AnswerRecord): number {
  const length = dataBytes(record);
  const start = at + RECORD_HEAD_BYTES;
  into.writeUInt16BE(QUESTION_NAME, at);
  into.writeUInt16BE(CLASS_IN, at + 4);
  into.writeUInt32BE(record.ttlS, at + 6);
  into.writeUInt16BE(length, at + 10);
  if (!('address' in record)) {
    into.writeUInt16BE(TYPE.PTR, at + 2);
    nameBytes(record.target).copy(into, start);
  } else if (length === 4) {
    into.writeUInt16BE(TYPE.A, at + 2);
    into.writeUInt32BE(ipv4Number(record.address), start);
  } else {
    into.writeUInt16BE(TYPE.AAAA, at + 2);
    into.set(addressBytes(record.address), start);
  }
  return start + length;
}

/** Without a list of parts: this is most of the work of an answer. */
function ipv4Number(address: IpAddress): number {
  let number = 0;
  let part = 0;
  for (let at = 0; at < address.length; at++) {
    const code = address.charCodeAt(at);
    if (code === DOT) {
      number = number * 256 + part;
      part = 0;
    } else part = part * 10 + code - ZERO;
  }
  return number * 256 + part;
}

/** A name as labels. What cannot be one, which no checked name is, is cut. */
function nameBytes(name: string): Buffer {
  const labels = name
    .split('.')
    .filter((label) => label !== '')
    .map((label) => Buffer.from(label, 'latin1').subarray(0, LABEL_LIMIT_BYTES));
  const parts = labels.flatMap((label) => [Buffer.of(label.length), label]);
  return Buffer.concat([...parts, Buffer.of(0)]);
}

function writeOpt(into: Buffer, at: number, rcode: Rcode): void {
  into.fill(0, at, at + OPT_BYTES);
  into.writeUInt16BE(TYPE_OPT, at + 1);
  into.writeUInt16BE(UDP_LIMIT_BYTES, at + 3);
  into[at + 5] = rcode >> 4;
}
