import { parseIpAddress } from '@swarm/api';
import type { Kernel } from '../kernel/kernel.js';
import type { TaskSockets } from '../mesh.js';
import type { SocketProbe } from './socket-probe.js';
import { isInUse, isOpen, parseSocketTable, type SocketLine } from './socket-table.js';

/** Addresses that stand for all addresses of a namespace. */
const ANY = new Set<string>(['0.0.0.0', '::']);

/** Reads `/proc/PID/net`: one file per protocol, whatever the task's namespace. */
export class ProcProbe implements SocketProbe {
  readonly #kernel: Pick<Kernel, 'readFile'>;

  constructor(kernel: Pick<Kernel, 'readFile'>) {
    this.#kernel = kernel;
  }

  async connections(task: TaskSockets): Promise<number> {
    const ports = new Set(
      task.ports.filter(({ protocol }) => protocol === 'tcp').map(({ port }) => port),
    );
    if (ports.size === 0 && task.isOpen !== true) return 0;
    const own = addressesOf(task);
    const lines = await this.#read(task.pid, ['tcp', 'tcp6']);
    if (task.isOpen === true) {
      for (const line of lines) if (isListener(line, own)) ports.add(line.localPort);
    }
    let count = 0;
    for (const line of lines) {
      if (ports.has(line.localPort) && own.has(line.localAddress) && isInUse(line)) count++;
    }
    return count;
  }

  listens(task: TaskSockets): Promise<boolean> {
    return this.#isOpen(task, (protocol) => [protocol, `${protocol}6`]);
  }

  listensIpv6(task: TaskSockets): Promise<boolean> {
    if (task.ports.every(({ protocol }) => protocol === 'sctp')) return Promise.resolve(false);
    return this.#isOpen(task, (protocol) => [`${protocol}6`]);
  }

  async #isOpen(
    task: TaskSockets,
    tables: (protocol: 'tcp' | 'udp') => readonly string[],
  ): Promise<boolean> {
    const own = addressesOf(task);
    for (const protocol of ['tcp', 'udp'] as const) {
      const wanted = task.ports.filter((port) => port.protocol === protocol);
      if (wanted.length === 0) continue;
      const open = new Set<number>();
      for (const line of await this.#read(task.pid, tables(protocol))) {
        if (isListener(line, own, protocol)) open.add(line.localPort);
      }
      if (!wanted.every(({ port }) => open.has(port))) return false;
    }
    return true;
  }

  /** Empty if the process is gone; without IPv6 in the kernel, one of the two tables does not exist. */
  async #read(pid: number, names: readonly string[]): Promise<SocketLine[]> {
    // It becomes part of a path; an invalid process has no sockets.
    if (!Number.isSafeInteger(pid) || pid < 1) return [];
    const tables = await Promise.all(
      names.map((name) => this.#kernel.readFile(`/proc/${pid}/net/${name}`)),
    );
    return tables.flatMap((text) => parseSocketTable(text ?? ''));
  }
}

/** Whether clients of one of these addresses can reach the socket. */
function isListener(
  line: SocketLine,
  own: ReadonlySet<string>,
  protocol: 'tcp' | 'udp' = 'tcp',
): boolean {
  const { localAddress } = line;
  return (own.has(localAddress) || ANY.has(localAddress)) && isOpen(line, protocol);
}

/** In canonical spelling. */
function addressesOf({ addresses }: TaskSockets): ReadonlySet<string> {
  return new Set(addresses.flatMap((address) => parseIpAddress(address) ?? []));
}
