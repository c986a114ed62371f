import { getSystemErrorMap } from 'node:util';
import { NetlinkError, type NetlinkProtocol, type NetlinkSocket } from '../kernel/netlink.js';
import { packMessage, readMessages } from '../netlink/message.js';

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const EINTR = 4;
const PROTOCOLS: Readonly<Record<NetlinkProtocol, number>> = { generic: 16, xfrm: 6 };
/** Larger than any datagram of the kernel's; it makes listings of at most 32 KB at a time. */
const RECEIVE_BYTES = 64 * 1024;
/** Datagrams of one answer; a listing has about 100 entries in each. */
const DATAGRAMS_LIMIT = 100_000;
/** The sequence number of a message has 32 bits. */
const SEQUENCE_LIMIT = 2 ** 32;

/**
 * A socket of the C library's, since Node.js has none of this family. Needs no program on the host, and a secret
 * given to the kernel passes through nothing else.
 * @throws NetlinkError when the kernel has no such part; Error when koffi is missing
 */
export async function openNetlink(protocol: NetlinkProtocol): Promise<NetlinkSocket> {
  const { default: koffi } = await import('koffi').catch((error: unknown) => {
    throw new Error('the npm package koffi is missing; install it', { cause: error });
  });
  const libc = koffi.load('libc.so.6');
  const create = libc.func('int socket(int domain, int type, int protocol)');
  const send = libc.func('long send(int fd, const uint8_t *data, size_t length, int flags)');
  const receive = libc.func('long recv(int fd, _Out_ uint8_t *data, size_t length, int flags)');
  const close = libc.func('int close(int fd)');
  const fail = (what: string, errno: number = koffi.errno()): NetlinkError =>
    new NetlinkError(`netlink ${protocol}: ${what}`, errno, meaningOf(errno));

  let handle: number = create(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, PROTOCOLS[protocol]);
  if (handle < 0) throw fail('no socket');
  const buffer = Buffer.alloc(RECEIVE_BYTES);
  let sequence = 0;

  const next = (): Buffer => {
    for (;;) {
      const length = Number(receive(handle, buffer, buffer.length, MSG_DONTWAIT));
      if (length >= 0) return Buffer.from(buffer.subarray(0, length));
      if (koffi.errno() !== EINTR) throw fail('no answer');
    }
  };
  return {
    request(request) {
      if (handle < 0) throw new Error('netlink: closed');
      sequence = (sequence + 1) % SEQUENCE_LIMIT;
      const message = packMessage(request, sequence);
      if (Number(send(handle, message, message.length, 0)) < 0) throw fail('not sent');
      const payloads: Buffer[] = [];
      for (let i = 0; i < DATAGRAMS_LIMIT; i += 1) {
        const reply = readMessages(next(), sequence);
        payloads.push(...reply.payloads);
        if (reply.errno !== 0) throw fail('refused', reply.errno);
        if (reply.isDone) return payloads;
      }
      throw new Error('netlink: an answer without end');
    },
    close() {
      if (handle >= 0) close(handle);
      handle = -1;
    },
  };
}

function meaningOf(errno: number): string {
  const [name, text] = getSystemErrorMap().get(-errno) ?? ['', `error ${errno}`];
  return name === '' ? text : `${text} (${name})`;
}
