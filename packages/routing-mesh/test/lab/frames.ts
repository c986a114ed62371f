/** Runs inside a namespace of the lab and sends frames as its parent orders over IPC: any address, any flag. */
import koffi from 'koffi';

/** A frame: its destination and source are named, so that neighbours need not be asked. */
export interface Frame {
  readonly device: string;
  readonly toMac: string;
  readonly fromMac: string;
  readonly source: string;
  readonly destination: string;
  readonly protocol: 'tcp' | 'udp';
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** Of TCP: 2 is SYN, 4 RST, 16 ACK. */
  readonly flags: number;
}

const AF_PACKET = 17;
const SOCK_RAW = 3;
const ETHERTYPE_IPV4 = 0x0800;

const libc = koffi.load('libc.so.6');
const socket = libc.func('int socket(int domain, int type, int protocol)');
const sendto = libc.func(
  'long sendto(int fd, const uint8_t *data, size_t size, int flags, const uint8_t *to, uint32_t toSize)',
);
const indexOf = libc.func('unsigned int if_nametoindex(const char *name)');

const fd = socket(AF_PACKET, SOCK_RAW, 0) as number;

function macBytes(mac: string): number[] {
  return mac.split(':').map((each) => Number.parseInt(each, 16));
}

function sum16(bytes: readonly number[]): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}

const pair = (value: number): number[] => [value >> 8, value & 0xff];

function bytesOf(frame: Frame): number[] {
  const source = frame.source.split('.').map(Number);
  const destination = frame.destination.split('.').map(Number);
  const ports = [...pair(frame.sourcePort), ...pair(frame.destinationPort)];
  const isTcp = frame.protocol === 'tcp';
  const segment = isTcp
    ? [
        ...ports,
        0,
        0,
        0,
        1,
        0,
        0,
        0,
        frame.flags & 16 ? 2 : 0,
        0x50,
        frame.flags,
        0xff,
        0xff,
        0,
        0,
        0,
        0,
      ]
    : [...ports, 0, 8, 0, 0];
  const protocol = isTcp ? 6 : 17;
  const pseudo = [...source, ...destination, 0, protocol, ...pair(segment.length)];
  const check = pair(sum16([...pseudo, ...segment]));
  segment.splice(isTcp ? 16 : 6, 2, ...check);
  const head = [
    0x45,
    0,
    ...pair(20 + segment.length),
    0,
    0,
    0,
    0,
    64,
    protocol,
    0,
    0,
    ...source,
    ...destination,
  ];
  head.splice(10, 2, ...pair(sum16(head)));
  return [
    ...macBytes(frame.toMac),
    ...macBytes(frame.fromMac),
    ...pair(ETHERTYPE_IPV4),
    ...head,
    ...segment,
  ];
}

function send(frame: Frame): void {
  const data = Buffer.from(bytesOf(frame));
  const to = Buffer.alloc(20);
  to.writeUInt16LE(AF_PACKET, 0);
  to.writeInt32LE(indexOf(frame.device) as number, 4);
  const sent = sendto(fd, data, data.length, 0, to, to.length) as number;
  if (sent !== data.length) throw new Error(`could not send a frame out of ${frame.device}`);
}

process.on('message', (frame: Frame) => {
  send(frame);
  process.send!('sent');
});
process.send!('ready');
