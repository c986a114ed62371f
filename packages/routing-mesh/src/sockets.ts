import { readFile } from 'node:fs/promises';
import type { TaskSockets } from './mesh.js';

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
  /** Dotted quad; an IPv4-mapped address of the IPv6 table too. Other IPv6 addresses as hex. */
  readonly localAddress: string;
  readonly localPort: number;
  readonly state: number;
  /** Bytes sent and not acknowledged; a FIN counts as one. */
  readonly sendQueueBytes: number;
}

/**
 * Connections of the task, by its address, on its TCP ports, that a drain waits for. Those the task has
 * closed count while bytes of its answer are not acknowledged: they would be lost with its namespace.
 */
export async function countConnections(task: TaskSockets): Promise<number> {
  const ports = new Set(
    task.ports.filter(({ protocol }) => protocol === 'tcp').map(({ port }) => port),
  );
  if (ports.size === 0) return 0;
  const addresses = new Set(task.addresses);
  let count = 0;
  for (const line of await readTables(task.pid, ['tcp', 'tcp6'])) {
    if (ports.has(line.localPort) && addresses.has(line.localAddress) && isInUse(line)) count++;
  }
  return count;
}

/** Whether all TCP ports are listened on and all UDP ports bound, at the task's address or any. */
export async function isListening(task: TaskSockets): Promise<boolean> {
  const open = new Set<string>();
  const addresses = new Set(task.addresses);
  const at = (line: SocketLine): boolean =>
    addresses.has(line.localAddress) ||
    line.localAddress === '0.0.0.0' ||
    line.localAddress === ANY_V6;
  const wanted = task.ports.filter(({ protocol }) => protocol !== 'sctp');
  for (const protocol of new Set(wanted.map((port) => port.protocol))) {
    const state = protocol === 'tcp' ? LISTEN : UDP_BOUND;
    for (const line of await readTables(task.pid, [protocol, `${protocol}6`])) {
      if (line.state === state && at(line)) open.add(`${protocol}/${line.localPort}`);
    }
  }
  return wanted.every(({ protocol, port }) => open.has(`${protocol}/${port}`));
}

/** Reads the text of a socket table. */
export function parseSocketTable(text: string): SocketLine[] {
  const lines: SocketLine[] = [];
  for (const line of text.split('\n').slice(1)) {
    const fields = line.trim().split(/\s+/);
    const [address, port] = fields[1]?.split(':') ?? [];
    if (address === undefined || port === undefined) continue;
    lines.push({
      localAddress: decodeAddress(address),
      localPort: Number.parseInt(port, 16),
      state: Number.parseInt(fields[3]!, 16),
      sendQueueBytes: Number.parseInt(fields[4]!, 16),
    });
  }
  return lines;
}

const ANY_V6 = '0'.repeat(32);
/** `::ffff:0:0/96` as the kernel prints it: four words, each in the order of a little-endian host. */
const MAPPED_PREFIX = '0000000000000000FFFF0000';

function decodeAddress(hex: string): string {
  if (hex.length === 32 && hex.startsWith(MAPPED_PREFIX)) return decodeAddress(hex.slice(24));
  if (hex.length !== 8) return hex;
  return [6, 4, 2, 0].map((at) => Number.parseInt(hex.slice(at, at + 2), 16)).join('.');
}

function isInUse({ state, sendQueueBytes }: SocketLine): boolean {
  if (state === ESTABLISHED || state === SYN_RECV || state === CLOSE_WAIT) return true;
  return (state === FIN_WAIT1 || state === LAST_ACK || state === CLOSING) && sendQueueBytes > 1;
}

async function readTables(pid: number, names: readonly string[]): Promise<SocketLine[]> {
  // It becomes part of a path; a process that is none has no sockets.
  if (!Number.isSafeInteger(pid) || pid < 1) return [];
  const tables = await Promise.all(
    names.map(async (name) => {
      try {
        return await readFile(`/proc/${pid}/net/${name}`, 'utf8');
      } catch {
        return ''; // The process is gone, or the kernel has no IPv6: there are no such sockets.
      }
    }),
  );
  return tables.flatMap(parseSocketTable);
}
