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

/** IPv4 loopback only, since the kernel translates the rest; all of IPv6, which it does not translate yet. */
const BIND_ADDRESSES = ['127.0.0.1', '::'];

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
  async follow(
    ports: readonly { readonly protocol: PortProtocol; readonly port: number }[],
  ): Promise<void> {
    const { target } = this;
    if (target === undefined) return;
    const wanted = new Map(ports.map((port) => [portKey(port.protocol, port.port), port]));
    for (const [key, proxy] of this.#proxies) {
      if (wanted.has(key)) continue;
      this.#proxies.delete(key);
      this.#failed.delete(key);
      await proxy.drain();
    }
    for (const [key, { protocol, port }] of wanted) {
      if (protocol === 'sctp' || (this.#proxies.has(key) && !this.#failed.has(key))) continue;
      const proxy = this.#proxies.get(key) ?? this.#create(protocol, port);
      this.#proxies.set(key, proxy);
      try {
        await proxy.update([{ nodeId: '', address: target, port }]);
        this.#failed.delete(key);
      } catch (error) {
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

  #create(protocol: 'tcp' | 'udp', port: number): TcpProxy | UdpProxy {
    const { sockets, clock, random, udpIdleMs } = this.#options;
    const common = { bindAddresses: BIND_ADDRESSES, port, sockets, clock, random };
    return protocol === 'tcp'
      ? new TcpProxy(common)
      : new UdpProxy({ ...common, idleMs: udpIdleMs });
  }
}
