import {
  type IpAddress,
  isIpv6,
  isPort,
  type Logger,
  meshPortKey,
  parseIpAddress,
  nodeIndexOf,
  type PortKey,
  type PortProtocol,
  Subnet,
} from '@swarm/api';
import { derivedFrom, ingressIpv6, nodeAddress, parseIpv4 } from '../../address.js';
import { type CheckedPeer, isProtocol } from '../../checked.js';
import { type CheckedIngress, DEFAULT_INGRESS } from '../../ingress.js';
import { CommandError } from '../../kernel/command.js';
import type { Kernel } from '../../kernel/kernel.js';
import { word, words } from '../../kernel/words.js';
import { TABLE, type TaskId } from '../../layout.js';
import type { FoundLink } from '../../links/task-links.js';
import type { HostPort } from '../../mesh.js';
import { sameLimits } from '../../client-limits.js';
import type { MeshTable } from '../../table/mesh-table.js';
import { hasGone } from '../gone-peer.js';
import { ipv4Address } from '../listening-address.js';
import type { BalancerSlice, LoadBalancer, LocalTask, PortRefusals } from '../load-balancer.js';
import { Conntrack, type Flow } from './conntrack.js';
import type { HostPorts, HostPortSection } from './host-port-section.js';
import { LimitRefusalsReader } from './limit-refusals.js';
import type { LimitSection } from './limit-section.js';
import type { ListenedPort, LoopbackListeners } from './loopback-listeners.js';
import { Model, type ModelPort, type PortChange } from './model.js';
import { portAccess } from './port-access.js';
import { isServed, openedPorts, removedEndpoints } from './port-changes.js';
import { MAX_ENDPOINTS_PER_PORT } from './slots.js';

/**
 * Why a port is served on the node's addresses alone. Follows “is not served on this node”, so it has to say
 * that this holds for loopback and IPv6 alone.
 */
const ON_LOOPBACK =
  'a program of this host has it on 127.0.0.1 or IPv6; the other addresses of this node are served';

const ON_PROXIED =
  'a program of this host has it on an address, and with the PROXY protocol the daemon needs all of them';

/** What leads clients of published ports, in the table or by it. */
export interface PortSection {
  /** @param ports all of them, after the changes */
  follow(ports: ReadonlyMap<PortKey, ModelPort>, changes: Iterable<PortChange>): void;
}

export interface NftablesBalancerOptions {
  readonly kernel: Kernel;
  readonly table: MeshTable;
  /** Told what the state makes of published ports. */
  readonly ports: PortSection;
  /** Sections of that table. */
  readonly hostPorts: HostPortSection;
  readonly limits: LimitSection;
  readonly loopback: LoopbackListeners;
  /** Whether the table translates IPv6. */
  readonly hasIpv6: boolean;
  /** Of another balancer that an earlier process had. */
  readonly leftovers?: Leftovers | undefined;
  readonly logger: Logger;
}

/** What connections of an earlier process still use. */
export interface Leftovers {
  /** Removes what they no longer use. Does not throw. */
  drain(): Promise<void>;
  close(): void;
}

/** Balances in the kernel: DNAT at the node where a client arrives, which keeps the client's address. */
export class NftablesBalancer implements LoadBalancer {
  readonly #options: NftablesBalancerOptions;
  readonly #logger: Logger;
  readonly #conntrack: Conntrack;
  readonly #refusals: LimitRefusalsReader;
  #self: CheckedPeer | undefined;
  #ingress = Subnet.of(DEFAULT_INGRESS.subnet);
  readonly #model = new Model();
  #peers: ReadonlyMap<string, CheckedPeer> = new Map();
  /** Before the first state nothing says which flows are right. */
  #hasState = false;
  /** Of ports that changed since the last `settle`: what they were then. */
  #unsettled = new Map<PortKey, ModelPort | undefined>();
  #settledPeers: ReadonlyMap<string, CheckedPeer> = new Map();
  /** Any flow may exist, such as those of an earlier process. */
  #isUnsure = false;
  /** Ports that could not be opened are tried again with each whole state. */
  #isRetryDue = false;
  #unserved: {
    readonly failed: ReadonlySet<PortKey> | undefined;
    readonly reasons: ReadonlyMap<PortKey, string>;
  } = { failed: undefined, reasons: new Map() };
  /** Flows could not be deleted, which has been logged. */
  #isForgetFailing = false;

  constructor(options: NftablesBalancerOptions) {
    this.#options = options;
    this.#logger = options.logger;
    this.#conntrack = new Conntrack(options.kernel.run, { hasIpv6: options.hasIpv6 });
    this.#refusals = new LimitRefusalsReader({ ...options, run: options.kernel.run });
  }

  async start(self: CheckedPeer, ingress: CheckedIngress): Promise<void> {
    this.#self = self;
    this.#ingress = Subnet.of(ingress.subnet);
    const own = nodeAddress(self.subnet);
    this.#options.loopback.target = own;
    this.#options.hostPorts.start(own);
  }

  async adopt(
    links: readonly FoundLink[],
  ): Promise<ReadonlyMap<TaskId, readonly HostPort[]> | undefined> {
    let ports: Map<string, HostPort[]>;
    let overV6: Map<string, HostPort[]>;
    try {
      ports = await this.#readHostPorts('host_ports');
      const hasV6 = this.#options.table.earlierFamily === 'inet';
      overV6 = hasV6 ? await this.#readHostPorts('host_ports_v6') : new Map();
    } catch (error) {
      this.#logger.warn({ err: error }, 'could not read the host ports of an earlier process');
      return undefined;
    }
    const adopted = new Map<TaskId, readonly HostPort[]>();
    for (const { taskId, addresses } of links) {
      const address = addresses.map(parseIpv4).find((one) => one !== undefined && ports.has(one));
      if (taskId === undefined || address === undefined) continue;
      const own = ports.get(address)!;
      const addressV6 = overV6.has(ingressIpv6(address)) ? ingressIpv6(address) : undefined;
      this.#options.hostPorts.adopt(taskId, { address, addressV6, ports: own });
      adopted.set(taskId, own);
    }
    this.#isUnsure = true;
    await this.#followLoopback();
    return adopted;
  }

  async #readHostPorts(map: 'host_ports' | 'host_ports_v6'): Promise<Map<string, HostPort[]>> {
    const { kernel, table } = this.#options;
    const where = words`-j list map ${word(table.earlierFamily)} ${word(TABLE)} ${word(map)}`;
    return readHostPorts(await kernel.run('nft', where));
  }

  async apply(slice: BalancerSlice): Promise<void> {
    const changes = this.#model.follow(slice, this.#self!);
    for (const { before, after } of changes) {
      const endpoints = after?.source.endpoints.length ?? 0;
      if (endpoints <= MAX_ENDPOINTS_PER_PORT || before?.source.endpoints.length === endpoints)
        continue;
      this.#logger.warn(
        { port: after!.publishedPort, endpoints },
        `more endpoints than ${MAX_ENDPOINTS_PER_PORT}: this node uses only some of them`,
      );
    }
    this.#peers = slice.peers;
    this.#hasState = true;
    if (slice.touched === undefined) this.#isRetryDue = true;
    for (const { key, before } of changes)
      if (!this.#unsettled.has(key)) this.#unsettled.set(key, before);
    this.#options.ports.follow(this.#model.ports, changes);
    this.#options.limits.follow(changes);
  }

  async settle({ isUnsure } = { isUnsure: false }): Promise<void> {
    this.#isUnsure ||= isUnsure;
    if (!this.#hasState) return;
    const { ports } = this.#model;
    const turns = [...this.#unsettled].map(
      ([key, before]): PortChange => ({ key, before, after: ports.get(key) }),
    );
    const peers = this.#settledPeers;
    this.#unsettled.clear();
    this.#settledPeers = this.#peers;
    const isDone = await this.#forget(() =>
      this.#isUnsure ? this.#forgetUnknown() : this.#forgetChanged(turns, peers),
    );
    // What failed now is found by looking at every flow next time.
    this.#isUnsure = !isDone;
    if (this.#isRetryDue) await this.#options.loopback.retry();
    this.#isRetryDue = false;
    for (const { key, before, after } of turns) {
      if (!servesSame(before, after)) await this.#options.loopback.change(key, this.#listened(key));
    }
  }

  async attach(task: LocalTask): Promise<void> {
    const { hostPorts } = this.#options;
    const ports = task.hostPorts.length === 0 ? undefined : this.#placeOf(task);
    const before = hostPorts.tasks.get(task.taskId);
    hostPorts.delete(task.taskId);
    if (ports !== undefined) hostPorts.set(task.taskId, ports);
    else if (before === undefined) return;
    await this.#patchHostPorts([...(before?.ports ?? []), ...task.hostPorts]);
    await this.#forget(async () => {
      if (before !== undefined) await this.#forgetHostPorts(before);
      await this.#conntrack.forgetPlain(udpPorts(task.hostPorts));
    });
  }

  async detach(taskIds: readonly TaskId[]): Promise<void> {
    const { hostPorts } = this.#options;
    const closed: HostPort[] = [];
    for (const taskId of taskIds) {
      closed.push(...(hostPorts.tasks.get(taskId)?.ports ?? []));
      hostPorts.delete(taskId);
    }
    if (closed.length > 0) await this.#patchHostPorts(closed);
  }

  async cut(addresses: readonly IpAddress[]): Promise<void> {
    const { hasIpv6 } = this.#options;
    const translated = hasIpv6 ? addresses : addresses.filter((address) => !isIpv6(address));
    const isDone = await this.#forget(() => this.#conntrack.forgetAddresses(translated));
    if (!isDone) this.#isUnsure = true;
  }

  holds(port: PortKey, address: IpAddress): boolean {
    return this.#options.loopback.holds(port, address);
  }

  servesIpv6(taskId: TaskId): boolean {
    return this.#options.hostPorts.tasks.get(taskId)?.addressV6 !== undefined;
  }

  get unserved(): ReadonlyMap<PortKey, string> {
    const { failed } = this.#options.loopback;
    if (this.#unserved.failed !== failed) {
      const reasons = new Map([...failed].map((port) => [port, this.#whyUnserved(port)]));
      this.#unserved = { failed, reasons };
    }
    return this.#unserved.reasons;
  }

  #whyUnserved(port: PortKey): string {
    const { proxyProtocol } = this.#model.ports.get(port)?.source.options ?? {};
    return proxyProtocol === undefined ? ON_LOOPBACK : ON_PROXIED;
  }

  async look(): Promise<readonly PortRefusals[]> {
    const { limits, loopback } = this.#options;
    return [...(limits.isWanted ? await this.#refusals.read() : []), ...loopback.look()];
  }

  async retry(): Promise<void> {
    await this.#options.loopback.retry();
  }

  async repair(): Promise<boolean> {
    await this.#options.leftovers?.drain();
    return false;
  }

  close(): Promise<void> {
    this.#options.leftovers?.close();
    return this.#options.loopback.close();
  }

  #placeOf({ taskId, addresses, hostPorts, servesIpv6 }: LocalTask): HostPorts {
    const address = ipv4Address(addresses);
    if (address !== undefined) {
      const addressV6 = servesIpv6 && this.#options.hasIpv6 ? ingressIpv6(address) : undefined;
      return { address, addressV6, ports: hostPorts };
    }
    throw new RangeError(`mesh: task ${taskId} has host ports but no IPv4 address for them`);
  }

  /** @param ports those that came or went */
  async #patchHostPorts(ports: readonly HostPort[]): Promise<void> {
    const { hostPorts, loopback, table } = this.#options;
    const isUnsure = await table.patch(hostPorts);
    for (const key of new Set(ports.map(meshPortKey)))
      await loopback.change(key, this.#listened(key));
    if (isUnsure) await this.settle({ isUnsure });
  }

  /** The task itself goes on, and so would UDP clients of ports that it no longer has. */
  async #forgetHostPorts({ address, addressV6, ports }: HostPorts): Promise<void> {
    for (const { protocol, targetPort } of ports) {
      if (protocol !== 'udp') continue;
      for (const one of addressV6 === undefined ? [address] : [address, addressV6]) {
        await this.#conntrack.forgetFlows({
          protocol: word(protocol),
          address: one,
          port: targetPort,
        });
      }
    }
  }

  /**
   * UDP to removed endpoints must not continue, nor anything to nodes that are gone. UDP to ports that led
   * nowhere must be looked at again.
   */
  async #forgetChanged(
    turns: readonly PortChange[],
    peers: ReadonlyMap<string, CheckedPeer>,
  ): Promise<void> {
    for (const { protocol, address, port } of removedEndpoints(turns)) {
      if (protocol !== 'udp') continue;
      await this.#conntrack.forgetFlows({ protocol: word(protocol), address, port });
    }
    if (peers !== this.#peers && [...peers.values()].some((peer) => hasGone(peer, this.#peers))) {
      await this.#conntrack.forgetMatching(this.#isOfGoneNode());
    }
    await this.#conntrack.forgetPlain(udpPorts(openedPorts(turns)));
  }

  /** Checks all existing flows: it is unknown what they began with. */
  async #forgetUnknown(): Promise<void> {
    const ingress = this.#ingress;
    const { ports: published } = this.#model;
    const isOfGoneNode = this.#isOfGoneNode();
    const known = new Set<string>();
    for (const { protocol, endpoints } of published.values()) {
      for (const { address, addressV6, port } of endpoints) {
        known.add(`${protocol} ${address} ${port}`);
        if (addressV6 !== undefined) known.add(`${protocol} ${addressV6} ${port}`);
      }
    }
    for (const { address, addressV6, ports } of this.#options.hostPorts.tasks.values()) {
      for (const { protocol, targetPort } of ports) {
        known.add(`${protocol} ${address} ${targetPort}`);
        if (addressV6 !== undefined) known.add(`${protocol} ${addressV6} ${targetPort}`);
      }
    }
    await this.#conntrack.forgetMatching(
      (flow) =>
        isOfGoneNode(flow) ||
        (flow.protocol === 'udp' &&
          placeIn(ingress, flow.address) !== undefined &&
          !known.has(`${flow.protocol} ${flow.address} ${flow.port}`)),
    );
    const served = [...published.values()].filter(isServed);
    const own = [...this.#options.hostPorts.tasks.values()].flatMap(({ ports }) => ports);
    await this.#conntrack.forgetPlain(udpPorts([...served, ...own]));
  }

  #isOfGoneNode(): (flow: Flow) => boolean {
    const ingress = this.#ingress;
    const living = [...this.#peers.values()].filter(({ down }) => !down);
    const indexes = new Set(living.map(({ index }) => index));
    return ({ address }) => {
      const own = derivedFrom(address) ?? address;
      if (ingress.offsetOf(own) === undefined) return false;
      const index = nodeIndexOf(ingress, own);
      return index === undefined || !indexes.has(index);
    };
  }

  /**
   * The mesh works without it: UDP then follows when its entries time out, TCP when the client does.
   * @returns whether it worked
   */
  async #forget(job: () => Promise<void>): Promise<boolean> {
    try {
      await job();
      this.#isForgetFailing = false;
      return true;
    } catch (error) {
      if (!this.#isForgetFailing) {
        this.#logger.warn(
          error instanceof CommandError ? { error: error.message } : { err: error },
          'could not delete the connections of tasks that are gone: is the command "conntrack" installed?',
        );
      }
      this.#isForgetFailing = true;
      return false;
    }
  }

  /** Listens for all ports, whatever is listened on. */
  #followLoopback(): Promise<void> {
    const { hostPorts, loopback } = this.#options;
    const keys = new Set<PortKey>(this.#model.ports.keys());
    for (const { ports } of hostPorts.tasks.values())
      for (const port of ports) keys.add(meshPortKey(port));
    const wanted = new Map<PortKey, ListenedPort>();
    for (const key of keys) {
      const port = this.#listened(key);
      if (port !== undefined) wanted.set(key, port);
    }
    return loopback.follow(wanted);
  }

  /** Undefined without tasks behind the port: without a listener the kernel refuses, as the table does elsewhere. */
  #listened(key: PortKey): ListenedPort | undefined {
    const own = this.#options.hostPorts.get(key);
    if (own !== undefined) {
      const { protocol, publishedPort: port, hostIp } = own;
      const { listen } = portAccess(parseIpAddress(hostIp), nodeAddress(this.#self!.subnet));
      return { protocol, port, addresses: listen };
    }
    const published = this.#model.ports.get(key);
    if (!isServed(published)) return undefined;
    const { protocol, publishedPort: port, access, source } = published;
    const { proxyProtocol, limits } = source.options;
    return { protocol, port, addresses: access.listen, proxyProtocol, limits };
  }
}

/** Where an address is in the ingress network, in either family; undefined when it is outside. */
function placeIn(ingress: Subnet, address: IpAddress): number | undefined {
  return ingress.offsetOf(derivedFrom(address) ?? address);
}

function udpPorts(
  ports: readonly { readonly protocol: PortProtocol; readonly publishedPort: number }[],
): ReadonlySet<number> {
  const udp = ports.filter(({ protocol }) => protocol === 'udp');
  return new Set(udp.map(({ publishedPort }) => publishedPort));
}

/** Whether the same listeners serve both. */
function servesSame(before: ModelPort | undefined, after: ModelPort | undefined): boolean {
  if (isServed(before) !== isServed(after)) return false;
  if (before?.access.listen.join() !== after?.access.listen.join()) return false;
  return before === undefined || after === undefined || servesAlike(before, after);
}

function servesAlike({ source: { options: a } }: ModelPort, { source }: ModelPort): boolean {
  const b = source.options;
  return a.proxyProtocol === b.proxyProtocol && sameLimits(a.limits, b.limits);
}

/** Parses `nft -j list map`: host ports by the task's address. Skips what is not ours. */
function readHostPorts(json: string): Map<string, HostPort[]> {
  type Concat = { concat: [unknown, unknown] };
  const ports = new Map<string, HostPort[]>();
  const { nftables } = JSON.parse(json) as { nftables: { map?: { elem?: [Concat, Concat][] } }[] };
  for (const { map } of nftables) {
    for (const [{ concat: from }, { concat: to }] of map?.elem ?? []) {
      const address = parseIpAddress(to[0]);
      const [protocol, publishedPort] = from;
      const [, targetPort] = to;
      if (address === undefined || !isProtocol(protocol)) continue;
      if (!isPort(publishedPort) || !isPort(targetPort)) continue;
      const port = { protocol, publishedPort, targetPort };
      ports.set(address, [...(ports.get(address) ?? []), port]);
    }
  }
  return ports;
}
