/** Opcodes of WebSocket frames (RFC 6455 §5.2). */
export const Opcode = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

const FIN = 0x80;
const MASKED = 0x80;
/** A mask that changes nothing, so that reported frames are readable. RFC 6455 lets a client choose any. */
const MASK = Buffer.alloc(4);
const U64_LENGTH = 127;
const U16_LENGTH = 126;

export interface FrameShape {
  readonly opcode: number;
  readonly payload: Uint8Array;
  /** Default: the last of its message. */
  readonly fin?: boolean;
  /** Bits RSV1 (compressed), RSV2, RSV3 as 4, 2, 1. Default none. */
  readonly reserved?: number;
  /** Default true, as a client must. */
  readonly masked?: boolean;
  /** The length in the head; default the real one. */
  readonly length?: bigint;
}

/** Makes a client's frame, valid or not. */
export function clientFrame(shape: FrameShape): Buffer {
  const { opcode, payload, fin = true, reserved = 0, masked = true } = shape;
  const length = shape.length ?? BigInt(payload.length);
  const first = (fin ? FIN : 0) | ((reserved & 7) << 4) | (opcode & 0x0f);
  const head = [Buffer.from([first]), lengthBytes(length, masked)];
  if (!masked) return Buffer.concat([...head, payload]);
  return Buffer.concat([...head, MASK, payload]);
}

function lengthBytes(length: bigint, masked: boolean): Buffer {
  const bit = masked ? MASKED : 0;
  if (length < BigInt(U16_LENGTH)) return Buffer.from([bit | Number(length)]);
  if (length < 2n ** 16n) {
    const bytes = Buffer.from([bit | U16_LENGTH, 0, 0]);
    bytes.writeUInt16BE(Number(length), 1);
    return bytes;
  }
  const bytes = Buffer.alloc(9, bit | U64_LENGTH);
  bytes.writeBigUInt64BE(length, 1);
  return bytes;
}

export interface ServerFrame {
  readonly opcode: number;
  readonly payload: Buffer;
}

/**
 * Takes the first complete frame of a server from the received bytes.
 * @returns undefined while it is incomplete
 */
export function takeFrame(bytes: Buffer): { frame: ServerFrame; rest: Buffer } | undefined {
  if (bytes.length < 2) return undefined;
  let at = 2;
  let length = bytes[1]! & 0x7f;
  if (length === U16_LENGTH) {
    if (bytes.length < 4) return undefined;
    length = bytes.readUInt16BE(2);
    at = 4;
  } else if (length === U64_LENGTH) {
    if (bytes.length < 10) return undefined;
    length = Number(bytes.readBigUInt64BE(2));
    at = 10;
  }
  if (bytes.length < at + length) return undefined;
  const payload = bytes.subarray(at, at + length);
  return { frame: { opcode: bytes[0]! & 0x0f, payload }, rest: bytes.subarray(at + length) };
}
