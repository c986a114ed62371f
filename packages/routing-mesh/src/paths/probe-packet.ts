/**
 * What probes say. 24 bytes: `SWPR`, version, kind, two bytes of zero, index of the sender, index of the
 * receiver, and an id of 12 bytes that the answer repeats. A request of full size is padded with zeros.
 */
export interface ProbePacket {
  readonly kind: ProbeKind;
  /** Node.Mesh.Index of the sender and of the receiver. */
  readonly from: number;
  readonly to: number;
  /** Hexadecimal, 24 digits. */
  readonly id: string;
}

export type ProbeKind = 'small' | 'full' | 'answer';

export const PROBE_PACKET_BYTES = 24;
/** IPv4 header 20, UDP header 8. */
const HEADERS_BYTES = 28;

const MAGIC = 'SWPR';
const VERSION = 1;
const KINDS: readonly ProbeKind[] = ['small', 'full', 'answer'];

/** @param mtuBytes of the tunnel: a packet of full size has this many bytes with its headers */
export function packProbe({ kind, from, to, id }: ProbePacket, mtuBytes: number): Uint8Array {
  const length =
    kind === 'full' ? Math.max(PROBE_PACKET_BYTES, mtuBytes - HEADERS_BYTES) : PROBE_PACKET_BYTES;
  const bytes = Buffer.alloc(length);
  bytes.write(MAGIC, 0, 'latin1');
  bytes.writeUInt8(VERSION, 4);
  bytes.writeUInt8(KINDS.indexOf(kind), 5);
  bytes.writeUInt16BE(from, 8);
  bytes.writeUInt16BE(to, 10);
  bytes.write(id, 12, 12, 'hex');
  return bytes;
}

/** Undefined for what is not a probe of this version. */
export function readProbe(data: Uint8Array): ProbePacket | undefined {
  if (data.byteLength < PROBE_PACKET_BYTES) return undefined;
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  if (bytes.toString('latin1', 0, 4) !== MAGIC || bytes.readUInt8(4) !== VERSION) return undefined;
  const kind = KINDS[bytes.readUInt8(5)];
  if (kind === undefined) return undefined;
  return {
    kind,
    from: bytes.readUInt16BE(8),
    to: bytes.readUInt16BE(10),
    id: bytes.toString('hex', 12, PROBE_PACKET_BYTES),
  };
}

/** An id that nobody guesses who does not see the packet. */
export function probeId(random: () => number): string {
  let id = '';
  while (id.length < 24)
    id += Math.floor(random() * 2 ** 32)
      .toString(16)
      .padStart(8, '0');
  return id;
}
