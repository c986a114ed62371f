import type { Clock, IpAddress, Logger, PortKey, PortProtocol, ProxyProtocol } from '@swarm/api';
import type { Sockets } from '../../kernel/sockets.js';
import type { ClientLimits } from '../../client-limits.js';
import type { PortRefusals } from '../load-balancer.js';
import { ClientLimiters } from '../userspace/client-limiters.js';
import { TcpProxy } from '../userspace/tcp-proxy.js';
import { UdpProxy } from '../userspace/udp-proxy.js';

/** A port, and where to listen on it. */
export interface ListenedPort {
  readonly protocol: PortProtocol;
  readonly port: number;
  /** Loopback addresses; of IPv6 all, for endpoints that are not reached over it. */
  readonly addresses: readonly string[];
  /** Absent: the task is not told who the client is. */
  readonly proxyProtocol?: ProxyProtocol | undefined;
  /** Of each client; the kernel holds clients of other ports to theirs. */
  readonly limits?: ClientLimits | undefined;
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
  readonly #wanted = new Map<PortKey, ListenedPort>();
  readonly #proxies = new Map<PortKey, TcpProxy | UdpProxy>();
  /** Ports whose failure has been reported. Another set after each change: others see by it that there was one. */
  #failed: ReadonlySet<PortKey> = new Set();
  /** Of ports that are served here alone. */
  readonly #limiters = new ClientLimiters();
  /** The node's own address on the mesh; no listeners before it is known. */
  target: IpAddress | undefined;

  constructor(options: LoopbackOptions) {
    this.#options = options;
  }

  /** Ports that could not be bound. */
  get failed(): ReadonlySet<PortKey> {
    return this.#failed;
  }

  /** Whether a listener keeps the programs of this host from taking the port at the address. */
  holds(port: PortKey, address: IpAddress): boolean {
    const isAt = this.#wanted.get(port)?.addresses.includes(address) === true;
    return isAt && this.#proxies.has(port) && !this.#failed.has(port);
  }

  /** Listens on exactly these ports. Reports a port that cannot be bound. */
  async follow(ports: ReadonlyMap<PortKey, ListenedPort>): Promise<void> {
    // First: another port's listener may be on an address that is wanted now.
    for (const key of [...this.#wanted.keys()]) await this.#close(key, ports.get(key));
    for (const [key, port] of ports) await this.#open(key, port);
  }

  /** Listens on one port, or no longer. */
  async change(key: PortKey, port: ListenedPort | undefined): Promise<void> {
    await this.#close(key, port);
    if (port !== undefined) await this.#open(key, port);
  }

  /** Tries again to bind those that could not be. */
  async retry(): Promise<void> {
    for (const key of [...this.#failed]) await this.#open(key, this.#wanted.get(key)!);
  }

  /** Unless the port is wanted where it is. */
  async #close(key: PortKey, wanted: ListenedPort | undefined): Promise<void> {
    const before = this.#wanted.get(key);
    if (wanted?.proxyProtocol === undefined) this.#limiters.delete(key);
    if (before === undefined || identity(before) === identity(wanted)) return;
    const proxy = this.#proxies.get(key);
    this.#wanted.delete(key);
    this.#proxies.delete(key);
    this.#note(key, false);
    await proxy?.drain();
  }

  async #open(key: PortKey, wanted: ListenedPort): Promise<void> {
    const { protocol, addresses } = wanted;
    const { target } = this;
    if (target === undefined || protocol === 'sctp' || addresses.length === 0) return;
    this.#wanted.set(key, wanted);
    if (wanted.proxyProtocol !== undefined) this.#limiters.of(key).follow(wanted.limits);
    if (this.#proxies.has(key) && !this.#failed.has(key)) return;
    const proxy = this.#proxies.get(key) ?? this.#create(key, protocol, wanted);
    this.#proxies.set(key, proxy);
    try {
      const { port } = wanted;
      await proxy.update([{ nodeId: '', address: target, port, name: '', weight: 1 }]);
      this.#note(key, false);
    } catch (error) {
      // Another host has the address that the port is published on.
      if ((error as NodeJS.ErrnoException).code === 'EADDRNOTAVAIL') return;
      if (!this.#failed.has(key)) {
        this.#options.logger.error(
          { err: error, port: key },
          `port ${key} is published by a service but in use by a program of this host: 127.0.0.1 and IPv6 reach that program; stop it or publish another port`,
        );
      }
      this.#note(key, true);
    }
  }

  #note(key: PortKey, isFailed: boolean): void {
    if (this.#failed.has(key) === isFailed) return;
    const failed = new Set(this.#failed);
    if (isFailed) failed.add(key);
    else failed.delete(key);
    this.#failed = failed;
  }

  /** Clients that limits refused here since the last look. */
  look(): readonly PortRefusals[] {
    return this.#limiters.look();
  }

  async close(): Promise<void> {
    for (const proxy of this.#proxies.values()) await proxy.close();
    this.#proxies.clear();
  }

  #create(
    key: PortKey,
    protocol: 'tcp' | 'udp',
    { port, addresses, proxyProtocol }: ListenedPort,
  ): TcpProxy | UdpProxy {
    const { sockets, clock, random, udpIdleMs } = this.#options;
    const common = { bindAddresses: addresses, port, sockets, clock, random };
    return protocol === 'tcp'
      ? new TcpProxy({
          ...common,
          proxyProtocol,
          ...(proxyProtocol !== undefined && {
            limiter: this.#limiters.of(key),
          }),
        })
      : new UdpProxy({ ...common, idleMs: udpIdleMs });
  }
}

function identity(port: ListenedPort | undefined): string {
  return port === undefined ? '' : `${port.addresses.join()} ${port.proxyProtocol}`;
}
