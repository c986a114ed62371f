import { type IpAddress, parseIpAddress } from '@swarm/api';

/** States in `/proc/PID/net/tcp` (include/net/tcp_states.h). */
const ESTABLISHED = 0x01;
const SYN_RECV = 0x03;
const FIN_WAIT1 = 0x04;
const CLOSE_WAIT = 0x08;
const LAST_ACK = 0x09;
const LISTEN = 0x0a;
const CLOSING = 0x0b;
/** A bound UDP socket is in TCP's state CLOSE. */
const UDP_BOUND = 0x07;

/** One line of a socket table. */
export interface SocketLine {
  /** An IPv4-mapped address in the IPv6 table counts as the IPv4 address. */
  readonly localAddress: IpAddress;
  readonly localPort: number;
  readonly state: number;
  /** Bytes sent but not acknowledged; a FIN counts as one. */
  readonly sendQueueBytes: number;
  /** Names the socket, as the kernel prints it. */
  readonly inode: string;
}

/** Parses a socket table. */
export function parseSocketTable(text: string): SocketLine[] {
  const lines: SocketLine[] = [];
  for (const line of text.split('\n').slice(1)) {
    const fields = line.trim().split(/\s+/);
    const [address, port] = fields[1]?.split(':') ?? [];
    const localAddress = decodeAddress(address ?? '');
    if (localAddress === undefined || port === undefined) continue;
    lines.push({
      localAddress,
      localPort: Number.parseInt(port, 16),
      state: Number.parseInt(fields[3]!, 16),
      sendQueueBytes: Number.parseInt(fields[4]!, 16),
      inode: fields[9] ?? '',
    });
  }
  return lines;
}

/** Whether a drain waits for the connection. */
export function isInUse({ state, sendQueueBytes }: SocketLine): boolean {
  if (state === ESTABLISHED || state === SYN_RECV || state === CLOSE_WAIT) return true;
  return (state === FIN_WAIT1 || state === LAST_ACK || state === CLOSING) && sendQueueBytes > 1;
}

/** Whether clients can reach it: TCP listens, or UDP is bound. */
export function isOpen({ state }: SocketLine, protocol: 'tcp' | 'udp'): boolean {
  return state === (protocol === 'tcp' ? LISTEN : UDP_BOUND);
}

/** Whether the start of a table of TCP holds all sockets that listen: the kernel lists them first. */
export function passedListeners(text: string): boolean {
  const end = text.lastIndexOf('\n');
  const last = text
    .slice(text.lastIndexOf('\n', end - 1) + 1, end)
    .trim()
    .split(/\s+/);
  return last[0] !== 'sl' && last.length > 3 && Number.parseInt(last[3]!, 16) !== LISTEN;
}

/** `::ffff:0:0/96` as the kernel prints it. */
const MAPPED_PREFIX = '0000000000000000FFFF0000';

/** Decodes words of four bytes as the kernel prints them: each in the order of a little-endian host. */
function decodeAddress(hex: string): IpAddress | undefined {
  if (hex.length !== 8 && hex.length !== 32) return undefined;
  if (hex.startsWith(MAPPED_PREFIX)) return decodeAddress(hex.slice(MAPPED_PREFIX.length));
  const bytes: string[] = [];
  for (let word = 0; word < hex.length; word += 8) {
    for (const at of [6, 4, 2, 0]) bytes.push(hex.slice(word + at, word + at + 2));
  }
  if (bytes.length === 4) {
    return parseIpAddress(bytes.map((byte) => Number.parseInt(byte, 16)).join('.'));
  }
  return parseIpAddress(bytes.join('').replace(/(.{4})(?!$)/g, '$1:'));
}
