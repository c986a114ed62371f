import { addressBytes } from '../address.js';
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
  const room = limitBytes - HEADER_BYTES - head.question.length - (head.hasEdns ? OPT_BYTES : 0);
  const written: Buffer[] = [];
  let bytes = 0;
  for (const record of records) {
    const each = writeRecord(record);
    if (bytes + each.length > room) break;
    written.push(each);
    bytes += each.length;
  }
  const isCut = written.length < records.length;
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(head.id, 0);
  const kept = head.flags & (RD | CD);
  header.writeUInt16BE(QR | RA | kept | (isCut && mayTruncate ? TC : 0) | (rcode & 0xf), 2);
  header.writeUInt16BE(head.question.length > 0 ? 1 : 0, 4);
  header.writeUInt16BE(written.length, 6);
  header.writeUInt16BE(head.hasEdns ? 1 : 0, 10);
  return Buffer.concat([header, head.question, ...written, ...(head.hasEdns ? [opt(rcode)] : [])]);
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

function writeRecord(record: AnswerRecord): Buffer {
  const data =
    'address' in record ? Buffer.from(addressBytes(record.address)) : nameBytes(record.target);
  const bytes = Buffer.allocUnsafe(RECORD_HEAD_BYTES + data.length);
  bytes.writeUInt16BE(QUESTION_NAME, 0);
  const isAddress = 'address' in record;
  bytes.writeUInt16BE(!isAddress ? TYPE.PTR : data.length === 4 ? TYPE.A : TYPE.AAAA, 2);
  bytes.writeUInt16BE(CLASS_IN, 4);
  bytes.writeUInt32BE(record.ttlS, 6);
  bytes.writeUInt16BE(data.length, 10);
  data.copy(bytes, RECORD_HEAD_BYTES);
  return bytes;
}

/** A name as labels. What cannot be one, which no checked name is, is cut. */
function nameBytes(name: string): Buffer {
  const labels = name
    .split('.')
    .filter((label) => label !== '')
    .map((label) => Buffer.from(label, 'latin1').subarray(0, 63));
  const parts = labels.flatMap((label) => [Buffer.of(label.length), label]);
  return Buffer.concat([...parts, Buffer.of(0)]);
}

function opt(rcode: Rcode): Buffer {
  const bytes = Buffer.alloc(OPT_BYTES);
  bytes.writeUInt16BE(TYPE_OPT, 1);
  bytes.writeUInt16BE(UDP_LIMIT_BYTES, 3);
  bytes[5] = rcode >> 4;
  return bytes;
}
