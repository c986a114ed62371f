import { aligned } from './attributes.js';

/** Flags of a request (linux/netlink.h). */
export const NLM_F_REQUEST = 0x1;
export const NLM_F_ACK = 0x4;
export const NLM_F_DUMP = 0x300;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;

const HEADER_BYTES = 16;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
/** Types below are netlink's own. */
const FIRST_TYPE = 0x10;

/** A request to the kernel; the socket gives it its number. */
export interface NetlinkRequest {
  readonly type: number;
  /** Besides NLM_F_REQUEST and, unless it lists, NLM_F_ACK. */
  readonly flags?: number;
  readonly payload: Uint8Array;
}

/** What the kernel sent in answer to one request. */
export interface NetlinkReply {
  /** Payloads, without their headers. */
  readonly payloads: readonly Buffer[];
  /** The answer is whole. */
  readonly isDone: boolean;
  /** A positive error number of the kernel; 0 when it did as asked. */
  readonly errno: number;
}

export function packMessage(
  { type, flags = 0, payload }: NetlinkRequest,
  sequence: number,
): Buffer {
  const isListing = (flags & NLM_F_DUMP) === NLM_F_DUMP;
  const message = Buffer.alloc(aligned(HEADER_BYTES + payload.length));
  message.writeUInt32LE(HEADER_BYTES + payload.length, 0);
  message.writeUInt16LE(type, 4);
  message.writeUInt16LE(flags | NLM_F_REQUEST | (isListing ? 0 : NLM_F_ACK), 6);
  message.writeUInt32LE(sequence, 8);
  message.set(payload, HEADER_BYTES);
  return message;
}

/**
 * Reads one datagram of the kernel's, and skips answers to earlier requests.
 * @throws RangeError when the bytes are not messages
 */
export function readMessages(data: Buffer, sequence: number): NetlinkReply {
  const payloads: Buffer[] = [];
  for (let at = 0; at + HEADER_BYTES <= data.length; ) {
    const length = data.readUInt32LE(at);
    if (length < HEADER_BYTES || at + length > data.length) {
      throw new RangeError(`netlink: a message claims ${length} bytes`);
    }
    const type = data.readUInt16LE(at + 4);
    const payload = data.subarray(at + HEADER_BYTES, at + length);
    if (data.readUInt32LE(at + 8) === sequence) {
      // Both begin with the negative number of the error.
      if (type === NLMSG_ERROR || type === NLMSG_DONE) {
        const errno = payload.length < 4 ? 0 : -payload.readInt32LE(0);
        return { payloads, isDone: true, errno: errno > 0 ? errno : 0 };
      }
      if (type >= FIRST_TYPE) payloads.push(payload);
    }
    at += aligned(length);
  }
  return { payloads, isDone: false, errno: 0 };
}
