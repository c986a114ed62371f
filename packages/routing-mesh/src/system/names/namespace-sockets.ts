import { closeSync, fstatSync, openSync } from 'node:fs';
import { getSystemErrorName } from 'node:util';
import { isIpv6, type IpAddress } from '@swarm/api/address';

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const CLONE_NEWNET = 0x4000_0000;
/** `struct sockaddr_in`. */
const SOCKADDR_BYTES = 16;

/** Sockets in other network namespaces, as file descriptors that the caller closes. */
export interface NamespaceSockets {
  /**
   * Sockets bound to a port of an address, for UDP and TCP.
   * @param netns an open file of the namespace
   */
  bind(netns: number, address: IpAddress, port: number): { udp: number; tcp: number };
  /** A socket that can be connected to an address of this family. */
  open(netns: number, kind: 'udp' | 'tcp', peer: IpAddress): number;
}

/**
 * Makes sockets by entering namespaces with this thread, and leaving them before anything else can run. Only for
 * the main thread: what enters a namespace there and does not come back would take the process along.
 * @throws when koffi is missing
 */
export async function openNamespaceSockets(): Promise<NamespaceSockets> {
  const { default: koffi } = await import('koffi');
  const library = koffi.load('libc.so.6');
  const setns = library.func('int setns(int fd, int type)');
  const socket = library.func('int socket(int domain, int type, int protocol)');
  const bindTo = library.func('int bind(int fd, const uint8_t *address, uint32_t length)');
  const home = openSync('/proc/self/ns/net', 'r');

  const check = (what: string, result: number): number => {
    if (result >= 0) return result;
    throw new Error(`${what}: ${getSystemErrorName(-koffi.errno())}`);
  };
  const inside = <T>(netns: number, work: () => T): T => {
    check('cannot enter a network namespace', setns(netns, CLONE_NEWNET));
    try {
      return work();
    } finally {
      // Everything that follows would happen in the task's network.
      if (setns(home, CLONE_NEWNET) !== 0) process.abort();
    }
  };
  const open = (kind: 'udp' | 'tcp', family: number): number => {
    const type = (kind === 'udp' ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
    return check('cannot open a socket', socket(family, type, 0));
  };
  return {
    bind: (netns, address, port) =>
      inside(netns, () => {
        const opened: number[] = [];
        try {
          for (const kind of ['udp', 'tcp'] as const) {
            const fd = open(kind, AF_INET);
            opened.push(fd);
            const bound = bindTo(fd, socketAddress(address, port), SOCKADDR_BYTES);
            check(`cannot have ${address}:${port}/${kind} in a task's namespace`, bound);
          }
          return { udp: opened[0]!, tcp: opened[1]! };
        } catch (error) {
          for (const fd of opened) closeSync(fd);
          throw error;
        }
      }),
    open: (netns, kind, peer) => inside(netns, () => open(kind, isIpv6(peer) ? AF_INET6 : AF_INET)),
  };
}

/** The inode of a namespace, which no other has while a socket or file of it is open. */
export function namespaceId(netns: number): string {
  const { dev, ino } = fstatSync(netns, { bigint: true });
  return `${dev}:${ino}`;
}

function socketAddress(address: IpAddress, port: number): Buffer {
  const bytes = Buffer.alloc(SOCKADDR_BYTES);
  // The family is in the host's byte order; every machine that koffi and Node.js support is little-endian.
  bytes.writeUInt16LE(AF_INET, 0);
  bytes.writeUInt16BE(port, 2);
  for (const [at, part] of address.split('.').entries()) bytes[4 + at] = Number(part);
  return bytes;
}
