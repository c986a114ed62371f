import {
  type Clock,
  type IpAddress,
  type Logger,
  meshPortKey,
  type PortKey,
  type PortProtocol,
  portKey,
  type ProxyProtocol,
} from '@swarm/api';
import type { CheckedEndpoint, CheckedPeer } from '../../checked.js';
import type { ClientLimits } from '../../client-limits.js';
import type { Sockets } from '../../kernel/sockets.js';
import type { TaskId } from '../../layout.js';
import type { HostPort } from '../../mesh.js';
import { hostPortRefusal } from '../../port-guard.js';
import { hasGone } from '../gone-peer.js';
import { dialledAddress } from '../listening-address.js';
import type { BalancerSlice, LoadBalancer, LocalTask, PortRefusals } from '../load-balancer.js';
import { eligible } from '../traffic-policy.js';
import type { ClientLimiter } from './client-limiter.js';
import { ClientLimiters } from './client-limiters.js';
import type { Target } from './target.js';
import { TcpProxy } from './tcp-proxy.js';
import { UdpProxy } from './udp-proxy.js';

const NO_SCTP = 'the userspace mesh does not serve SCTP; nftables, which needs root, does';

/** A port to open, and what for. */
interface Wanted {
  readonly protocol: PortProtocol;
  readonly port: number;
  readonly targets: readonly Target[];
  readonly bindAddresses: readonly string[];
  readonly hasAffinity: boolean;
  readonly limits: ClientLimits | undefined;
  readonly proxyProtocol: ProxyProtocol | undefined;
}

export interface UserspaceBalancerOptions {
  readonly sockets: Sockets;
  readonly bindAddresses: readonly string[];
  readonly udpIdleMs: number;
  readonly logger: Logger;
  readonly clock: Clock;
  /** 0 to 1, as `Math.random`. */
  readonly random: () => number;
}

/**
 * Balances without root: each published port is a proxy in this process, which dials the endpoint's address
 * and port from the state. The task sees this node as its client, not the real one, and connections end with
 * this process.
 */
export class UserspaceBalancer implements LoadBalancer {
  readonly #options: UserspaceBalancerOptions;
  readonly #logger: Logger;
  readonly #proxies = new Map<PortKey, TcpProxy | UdpProxy>();
  /** Where each listens, and how it serves. */
  readonly #bound = new Map<PortKey, string>();
  /** Of published ports, which may get other proxies. */
  readonly #limiters = new ClientLimiters();
  /** Proxies of removed ports that still have connections; kept to end those on close. */
  readonly #draining = new Set<TcpProxy | UdpProxy>();
  /** Ports that could not be opened, and why. */
  #failed: ReadonlyMap<PortKey, string> = new Map();
  readonly #tasks = new Map<string, LocalTask>();
  readonly #hostPorts = new Map<PortKey, { readonly task: LocalTask; readonly port: HostPort }>();
  #slice: BalancerSlice = { peers: new Map(), ports: new Map(), touched: undefined };
  /** Peers as of the last `settle`. */
  #settled: ReadonlyMap<string, CheckedPeer> = new Map();
  #started = false;
  #nodeId = '';

  constructor(options: UserspaceBalancerOptions) {
    this.#options = options;
    this.#logger = options.logger;
  }

  async start(self: Pick<CheckedPeer, 'nodeId'>): Promise<void> {
    this.#nodeId = self.nodeId;
    if (this.#started) return;
    this.#started = true;
    this.#logger.warn(
      {},
      'the routing mesh runs in user space: tasks do not see the addresses of clients',
    );
  }

  /** Proxies end with their process, so there is never anything to take over. */
  async adopt(): Promise<undefined> {
    return undefined;
  }

  async apply(slice: BalancerSlice): Promise<void> {
    this.#slice = slice;
    await this.#follow(slice.touched);
  }

  async settle(): Promise<void> {
    const before = this.#settled;
    this.#settled = this.#slice.peers;
    for (const peer of before.values()) {
      if (!hasGone(peer, this.#settled)) continue;
      for (const proxy of [...this.#proxies.values(), ...this.#draining]) {
        proxy.resetNode(peer.nodeId);
      }
    }
  }

  async attach(task: LocalTask): Promise<void> {
    const touched = [...this.#forgetTask(task.taskId), ...task.hostPorts.map(meshPortKey)];
    this.#tasks.set(task.taskId, task);
    for (const port of task.hostPorts) this.#hostPorts.set(meshPortKey(port), { task, port });
    await this.#follow(touched);
    for (const key of task.hostPorts.map(meshPortKey)) {
      const why = this.#failed.get(key);
      if (why !== undefined) throw new Error(hostPortRefusal(key, why));
    }
  }

  async detach(taskIds: readonly TaskId[]): Promise<void> {
    await this.#follow(taskIds.flatMap((taskId) => this.#forgetTask(taskId)));
  }

  /** @returns its host ports */
  #forgetTask(taskId: TaskId): readonly PortKey[] {
    const keys = this.#tasks.get(taskId)?.hostPorts.map(meshPortKey) ?? [];
    this.#tasks.delete(taskId);
    for (const key of keys) this.#hostPorts.delete(key);
    return keys;
  }

  /** A task's connections end with its sockets. */
  async cut(_addresses: readonly IpAddress[]): Promise<void> {}

  holds(port: PortKey, _address: IpAddress): boolean {
    return this.#proxies.has(port) && !this.#failed.has(port);
  }

  /** Each host port is a socket of this process on every address of the host. */
  servesIpv6(): boolean {
    return false;
  }

  get unserved(): ReadonlyMap<PortKey, string> {
    return this.#failed;
  }

  async look(): Promise<readonly PortRefusals[]> {
    return this.#limiters.look();
  }

  async retry(): Promise<void> {
    await this.#follow([...this.#failed.keys()]);
  }

  async repair(): Promise<boolean> {
    return false;
  }

  async close(): Promise<void> {
    for (const proxy of [...this.#proxies.values(), ...this.#draining]) await proxy.close();
    this.#proxies.clear();
    this.#draining.clear();
  }

  /** Makes the proxies of these ports, or of all, match the slice and the tasks' host ports. */
  async #follow(touched: Iterable<PortKey> | undefined): Promise<void> {
    for (const proxy of this.#draining) {
      if (proxy.connectionCount === 0) this.#draining.delete(proxy);
    }
    const keys = new Set(touched ?? this.#keys());
    for (const key of keys) {
      const wanted = this.#wanted(key);
      if (wanted === undefined) {
        this.#note(key, undefined);
        this.#limiters.delete(key);
      }
      const proxy = this.#proxies.get(key);
      if (proxy === undefined || identity(wanted) === this.#bound.get(key)) continue;
      this.#proxies.delete(key);
      await proxy.drain();
      if (proxy.connectionCount > 0) this.#draining.add(proxy);
    }
    for (const key of keys) {
      const wanted = this.#wanted(key);
      if (wanted !== undefined) await this.#open(key, wanted);
    }
  }

  *#keys(): Generator<PortKey> {
    yield* this.#failed.keys();
    yield* this.#proxies.keys();
    yield* this.#slice.ports.keys();
    yield* this.#hostPorts.keys();
  }

  async #open(key: PortKey, wanted: Wanted): Promise<void> {
    const { targets, hasAffinity, limits } = wanted;
    const limiter = this.#limiters.of(key);
    limiter.follow(limits);
    const proxy = this.#proxies.get(key) ?? this.#create(wanted, limiter);
    if (proxy === undefined) return;
    this.#proxies.set(key, proxy);
    this.#bound.set(key, identity(wanted));
    try {
      await proxy.update(targets, { hasAffinity });
      this.#note(key, undefined);
    } catch (error) {
      // Other nodes have the address that the port is published on.
      if ((error as NodeJS.ErrnoException).code === 'EADDRNOTAVAIL') return;
      const why = bindProblem(error);
      if (this.#failed.get(key) !== why) {
        this.#logger.error(
          { err: error, port: key },
          `port ${key} cannot be published on this node: ${why}`,
        );
      }
      this.#note(key, why);
    }
  }

  #note(key: PortKey, why: string | undefined): void {
    if (this.#failed.get(key) === why) return;
    const failed = new Map(this.#failed);
    if (why === undefined) failed.delete(key);
    else failed.set(key, why);
    this.#failed = failed;
  }

  /** A host port comes before a published one. */
  #wanted(key: PortKey): Wanted | undefined {
    const own = this.#hostPorts.get(key);
    const address = own === undefined ? undefined : dialledAddress(own.task.addresses);
    if (own !== undefined && address !== undefined) {
      const { protocol, publishedPort, targetPort, hostIp } = own.port;
      return {
        protocol,
        port: publishedPort,
        targets: [{ nodeId: '', address, port: targetPort, name: own.task.taskId, weight: 1 }],
        bindAddresses: this.#bindAddresses(hostIp),
        hasAffinity: false,
        limits: undefined,
        proxyProtocol: undefined,
      };
    }
    const published = this.#slice.ports.get(key);
    if (published === undefined) return undefined;
    const { protocol, publishedPort, endpoints, options } = published;
    const chosen = eligible(endpoints, options.policy, this.#nodeId);
    return {
      protocol,
      port: publishedPort,
      targets: chosen.map((endpoint) => this.#target(endpoint)),
      bindAddresses: this.#bindAddresses(options.hostIp),
      hasAffinity: options.hasAffinity,
      limits: options.limits,
      proxyProtocol: options.proxyProtocol,
    };
  }

  #bindAddresses(hostIp: string | undefined): readonly string[] {
    return hostIp === undefined ? this.#options.bindAddresses : [hostIp];
  }

  /** A task of this node is dialled where its runtime says, if the state names none of its addresses. */
  #target({ taskId, nodeId, address, port, weight }: CheckedEndpoint): Target {
    const own = this.#tasks.get(taskId)?.addresses ?? [];
    const dialled = own.includes(address) ? address : (dialledAddress(own) ?? address);
    return { nodeId, address: dialled, port, name: taskId, weight };
  }

  #create(
    { protocol, port, bindAddresses, proxyProtocol }: Wanted,
    limiter: ClientLimiter,
  ): TcpProxy | UdpProxy | undefined {
    const { sockets, clock, random, udpIdleMs } = this.#options;
    const common = { bindAddresses, port, sockets, clock, random, limiter };
    if (protocol === 'tcp') return new TcpProxy({ ...common, proxyProtocol });
    if (protocol === 'udp') return new UdpProxy({ ...common, idleMs: udpIdleMs });
    const key = portKey(protocol, port);
    if (!this.#failed.has(key)) {
      this.#note(key, NO_SCTP);
      this.#logger.error({ port: key }, 'SCTP is not served by the userspace mesh; use nftables');
    }
    return undefined;
  }
}

function identity(wanted: Wanted | undefined): string {
  return wanted === undefined ? '' : `${wanted.bindAddresses.join()} ${wanted.proxyProtocol}`;
}

/** Why a port could not be opened, as the end of a sentence that says what to do. */
function bindProblem(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'EADDRINUSE') return 'a program of this host listens on it';
  if (code === 'EACCES') {
    return 'the daemon may not open ports below 1024: run it as root, or publish a port above 1023';
  }
  return message;
}
