import { type IpAddress, isLoopback, type Logger, type PortKey, portKey } from '@swarm/api';
import type { Kernel } from '../kernel/kernel.js';
import { words } from '../kernel/words.js';
import {
  isOpen,
  parseSocketTable,
  passedListeners,
  type SocketLine,
} from '../probe/socket-table.js';
import type { HostPrograms } from './host-programs.js';

export interface ProcProgramsOptions {
  readonly kernel: Pick<Kernel, 'readFile' | 'run'>;
  readonly logger: Logger;
}

/**
 * Finds programs by the host's socket tables. Of TCP it reads only those that listen, which the kernel lists
 * first, so a look does not cost more on a host with many connections. SCTP has no such table.
 *
 * Of UDP, a socket that is bound and not connected counts: nothing tells a server from a client that has
 * taken the port for its questions. Such a client soon gives it back.
 */
export class ProcPrograms implements HostPrograms {
  readonly #options: ProcProgramsOptions;
  /** What the last look at each port found: the socket, and what was said of it. */
  readonly #known = new Map<PortKey, { readonly inode: string; readonly said: string }>();

  constructor(options: ProcProgramsOptions) {
    this.#options = options;
  }

  async find(
    ports: ReadonlySet<PortKey>,
    isHeld: (port: PortKey, address: IpAddress) => boolean,
  ): Promise<ReadonlyMap<PortKey, string>> {
    const found = new Map<PortKey, SocketLine>();
    if (ports.size > 0) {
      for (const protocol of ['tcp', 'udp'] as const) {
        for (const line of await this.#read(protocol)) {
          const key = portKey(protocol, line.localPort);
          if (!isOpen(line, protocol) || !ports.has(key) || found.has(key)) continue;
          if (isLoopback(line.localAddress)) continue;
          if (isHeld(key, line.localAddress)) continue;
          found.set(key, line);
        }
      }
    }
    const isNews = [...found].some(([key, { inode }]) => this.#known.get(key)?.inode !== inode);
    const names = isNews ? await this.#names() : undefined;
    const answer = new Map<PortKey, string>();
    for (const key of ports) {
      const inode = found.get(key)?.inode;
      const before = this.#known.get(key);
      if (inode === undefined) {
        this.#known.delete(key);
        continue;
      }
      const said =
        before?.inode === inode
          ? before.said
          : `${names?.get(key) ?? 'a program of this host'} listens on it`;
      this.#known.set(key, { inode, said });
      answer.set(key, said);
    }
    return answer;
  }

  /** Without IPv6 in the kernel, one of the two tables does not exist. */
  async #read(protocol: 'tcp' | 'udp'): Promise<SocketLine[]> {
    const isEnough = protocol === 'tcp' ? passedListeners : undefined;
    const tables = await Promise.all(
      [protocol, `${protocol}6`].map((name) =>
        this.#options.kernel.readFile(`/proc/net/${name}`, isEnough),
      ),
    );
    return tables.flatMap((text) => parseSocketTable(text ?? ''));
  }

  /** Names of programs by port: `nginx (pid 812)`. Looks at every process, so only for what is new. */
  async #names(): Promise<ReadonlyMap<PortKey, string>> {
    try {
      return readNames(await this.#options.kernel.run('ss', words`-Hltunp`));
    } catch (error) {
      this.#options.logger.debug({ err: error }, 'cannot tell which program has a port');
      return new Map();
    }
  }
}

/** Parses `ss -Hltunp`. */
export function readNames(listing: string): Map<PortKey, string> {
  const names = new Map<PortKey, string>();
  for (const line of listing.split('\n')) {
    const [protocol, , , , local = ''] = line.trim().split(/\s+/);
    if (protocol !== 'tcp' && protocol !== 'udp') continue;
    const key = portKey(protocol, Number(local.slice(local.lastIndexOf(':') + 1)));
    const user = /users:\(\("([^"]{1,64})",pid=(\d+)/.exec(line);
    if (user !== null && !names.has(key)) names.set(key, `${user[1]} (pid ${user[2]})`);
  }
  return names;
}
