import {
  type Clock,
  type IpAddress,
  type Logger,
  type PortProtocol,
  type PortKey,
  portKey,
} from '@swarm/api';
import type { Sockets } from '../../kernel/sockets.js';
import { TcpProxy } from '../userspace/tcp-proxy.js';
import { UdpProxy } from '../userspace/udp-proxy.js';

/** A port, and where to listen on it. */
export interface ListenedPort {
  readonly protocol: PortProtocol;
  readonly port: number;
  /** Loopback addresses; of IPv6 all, for endpoints that are not reached over it. */
  readonly addresses: readonly string[];
}

export interface LoopbackOptions {
  readonly sockets: Sockets;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  readonly udpIdleMs: number;
}

/**
 * Serves in user space what the packet filter cannot: 127.0.0.1, whose packets never leave loopback, and
 * IPv6. Dials each published port at the node's own address, where the kernel takes over. The listeners also
 * reserve the ports, so that no program of the host takes one unnoticed.
 */
export class LoopbackListeners {
  readonly #options: LoopbackOptions;
  readonly #proxies = new Map<PortKey, TcpProxy | UdpProxy>();
  /** Where each listens. */
  readonly #addresses = new Map<PortKey, string>();
  /** Ports whose failure has been reported. */
  readonly #failed = new Set<PortKey>();
  /** The node's own address on the mesh; no listeners before it is known. */
  target: IpAddress | undefined;

  constructor(options: LoopbackOptions) {
    this.#options = options;
  }

  /** Ports that could not be bound; `follow` tries them again. */
  get failed(): ReadonlySet<PortKey> {
    return this.#failed;
  }

  /** Whether a listener keeps the programs of this host from taking the port. */
  holds(port: PortKey): boolean {
    return this.#proxies.has(port) && !this.#failed.has(port);
  }

  /** Listens on exactly these ports. Reports a port that cannot be bound and tries it again next time. */
  async follow(ports: readonly ListenedPort[]): Promise<void> {
    const { target } = this;
    if (target === undefined) return;
    const wanted = new Map(
      ports
        .filter(({ addresses }) => addresses.length > 0)
        .map((port) => [portKey(port.protocol, port.port), port]),
    );
    for (const [key, proxy] of this.#proxies) {
      if (wanted.get(key)?.addresses.join() === this.#addresses.get(key)) continue;
      this.#proxies.delete(key);
      this.#failed.delete(key);
      await proxy.drain();
    }
    for (const [key, { protocol, port, addresses }] of wanted) {
      if (protocol === 'sctp' || (this.#proxies.has(key) && !this.#failed.has(key))) continue;
      const proxy = this.#proxies.get(key) ?? this.#create(protocol, port, addresses);
      this.#proxies.set(key, proxy);
      this.#addresses.set(key, addresses.join());
      try {
        await proxy.update([{ nodeId: '', address: target, port, name: '', weight: 1 }]);
        this.#failed.delete(key);
      } catch (error) {
        // Another host has the address that the port is published on.
        if ((error as NodeJS.ErrnoException).code === 'EADDRNOTAVAIL') continue;
        if (!this.#failed.has(key)) {
          this.#options.logger.error(
            { err: error, port: key },
            `port ${key} is published by a service but in use by a program of this host: 127.0.0.1 and IPv6 reach that program; stop it or publish another port`,
          );
        }
        this.#failed.add(key);
      }
    }
  }

  async close(): Promise<void> {
    for (const proxy of this.#proxies.values()) await proxy.close();
    this.#proxies.clear();
  }

  #create(
    protocol: 'tcp' | 'udp',
    port: number,
    bindAddresses: readonly string[],
  ): TcpProxy | UdpProxy {
    const { sockets, clock, random, udpIdleMs } = this.#options;
    const common = { bindAddresses, port, sockets, clock, random };
    return protocol === 'tcp'
      ? new TcpProxy(common)
      : new UdpProxy({ ...common, idleMs: udpIdleMs });
  }
}
