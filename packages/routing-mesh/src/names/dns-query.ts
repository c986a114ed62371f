import { decode } from 'dns-packet';

/** Bytes of a message's header (RFC 1035, section 4.1.1). */
export const HEADER_BYTES = 12;
/** Bytes that every client of UDP takes (RFC 1035, section 4.2.1). */
export const PLAIN_UDP_BYTES = 512;
/** Most bytes of an answer over UDP, whatever a client takes. */
export const UDP_LIMIT_BYTES = 4096;
/** Longest question that is read. */
export const QUERY_LIMIT_BYTES = 4096;

export const RCODE = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  /** Extended: the upper bits are in the OPT record (RFC 6891, section 9). */
  BADVERS: 16,
} as const;
export type Rcode = (typeof RCODE)[keyof typeof RCODE];
/** Any but NOERROR. */
export type Failure = Exclude<Rcode, 0>;

const LABEL_LIMIT_BYTES = 63;
const NAME_LIMIT_BYTES = 255;
const CLASS_IN = 1;
/** Zone transfers, of which no answer is one message (RFC 5936, RFC 1995). */
const TRANSFERS: ReadonlySet<number> = new Set([251, 252]);
/** A question may bring an OPT record, and a signature of its own (RFC 8945). */
const ADDITIONALS_LIMIT = 2;

/** What of a question its answer repeats. */
export interface QueryHead {
  readonly id: number;
  /** Flags of the header, as received. */
  readonly flags: number;
  /** The message; its question ends at `questionEnd`, which is 0 if it could not be read. */
  readonly message: Buffer;
  readonly questionEnd: number;
  /** Whether the client speaks EDNS (RFC 6891). */
  readonly hasEdns: boolean;
  /** Most bytes of an answer over UDP. */
  readonly udpBytes: number;
}

/** A question that can be answered. */
export interface DnsQuery extends QueryHead {
  /** In lower case, without the dot at the end. */
  readonly name: string;
  readonly type: number;
}

export type ReadQuery =
  | { readonly kind: 'query'; readonly query: DnsQuery }
  | { readonly kind: 'refused'; readonly head: QueryHead; readonly rcode: Failure }
  /** No question: an answer to it could go back and forth for ever. */
  | { readonly kind: 'ignored' };

const IGNORED: ReadQuery = { kind: 'ignored' };

/** Reads a message of a client, which may send anything. */
export function readQuery(bytes: Uint8Array): ReadQuery {
  if (bytes.length < HEADER_BYTES) return IGNORED;
  const message = Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const flags = message.readUInt16BE(2);
  if ((flags & 0x8000) !== 0) return IGNORED;
  const head = {
    id: message.readUInt16BE(0),
    flags,
    message,
    questionEnd: 0,
    hasEdns: false,
    udpBytes: PLAIN_UDP_BYTES,
  };
  const refuse = (rcode: Failure): ReadQuery => ({ kind: 'refused', head, rcode });
  if ((flags & 0x7800) !== 0) return refuse(RCODE.NOTIMP);
  const additionals = message.readUInt16BE(10);
  const isOne =
    message.length <= QUERY_LIMIT_BYTES &&
    message.readUInt16BE(4) === 1 &&
    message.readUInt16BE(6) === 0 &&
    message.readUInt16BE(8) === 0 &&
    additionals <= ADDITIONALS_LIMIT;
  const nameEnd = isOne ? endOfName(message, HEADER_BYTES) : undefined;
  if (nameEnd === undefined || nameEnd + 4 > message.length) return refuse(RCODE.FORMERR);
  head.questionEnd = nameEnd + 4;
  const edns = additionals === 0 ? undefined : readEdns(message);
  if (edns === 'malformed') return refuse(RCODE.FORMERR);
  if (edns !== undefined) {
    head.hasEdns = true;
    head.udpBytes = edns.udpBytes;
    if (edns.version !== 0) return refuse(RCODE.BADVERS);
  }
  const type = message.readUInt16BE(nameEnd);
  if (message.readUInt16BE(nameEnd + 2) !== CLASS_IN || TRANSFERS.has(type))
    return refuse(RCODE.REFUSED);
  return { kind: 'query', query: { ...head, type, name: nameAt(message, nameEnd) } };
}

/** Where a name without compression ends; undefined if there is none. */
function endOfName(buffer: Buffer, start: number): number | undefined {
  let at = start;
  for (;;) {
    const length = buffer[at];
    if (length === undefined || length > LABEL_LIMIT_BYTES) return undefined;
    at += 1 + length;
    if (at - start > NAME_LIMIT_BYTES) return undefined;
    if (length === 0) return at;
  }
}

function nameAt(message: Buffer, end: number): string {
  let name = '';
  for (let at = HEADER_BYTES; at < end - 1; at += 1 + message[at]!) {
    const label = message.toString('latin1', at + 1, at + 1 + message[at]!);
    name = name === '' ? label : `${name}.${label}`;
  }
  return name.toLowerCase();
}

interface Edns {
  readonly version: number;
  readonly udpBytes: number;
}

/** The client's OPT record; undefined without one. */
function readEdns(buffer: Buffer): Edns | undefined | 'malformed' {
  try {
    const options = (decode(buffer).additionals ?? []).filter((one) => one.type === 'OPT');
    const [option] = options;
    if (option?.type !== 'OPT') return undefined;
    if (options.length > 1) return 'malformed';
    const size = Math.max(PLAIN_UDP_BYTES, option.udpPayloadSize);
    return { version: option.ednsVersion, udpBytes: Math.min(UDP_LIMIT_BYTES, size) };
  } catch {
    return 'malformed';
  }
}
