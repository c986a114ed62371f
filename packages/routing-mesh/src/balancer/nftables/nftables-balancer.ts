import {
  type IpAddress,
  isIpv6,
  isPort,
  type Logger,
  parseIpAddress,
  NODE_BLOCK_SIZE,
  type PortKey,
  type PortProtocol,
  Subnet,
} from '@swarm/api';
import {
  derivedFrom,
  ingressIpv6,
  nodeAddress,
  parseIpv4,
  type SubnetText,
} from '../../address.js';
import { type CheckedPeer, isProtocol } from '../../checked.js';
import { CommandError } from '../../kernel/command.js';
import type { Kernel } from '../../kernel/kernel.js';
import { word, words } from '../../kernel/words.js';
import { TABLE, type TaskId } from '../../layout.js';
import type { FoundLink } from '../../links/task-links.js';
import type { HostPort } from '../../mesh.js';
import type { MeshTable } from '../../table/mesh-table.js';
import { hasGone } from '../gone-peer.js';
import { ipv4Address } from '../listening-address.js';
import type { BalancerSlice, LoadBalancer, LocalTask } from '../load-balancer.js';
import { Conntrack, type Flow } from './conntrack.js';
import type { DnatSection } from './dnat-section.js';
import type { HostPorts, HostPortSection } from './host-port-section.js';
import type { LoopbackListeners } from './loopback-listeners.js';
import { EMPTY_MODEL, type Model, nextModel } from './model.js';
import { portAccess } from './port-access.js';
import { isServed, openedPorts, removedEndpoints } from './port-changes.js';
import { MAX_ENDPOINTS_PER_PORT } from './slots.js';

/**
 * Why a port is served on the node's addresses alone. Follows “is not served on this node”, so it has to say
 * that this holds for loopback and IPv6 alone.
 */
const ON_LOOPBACK =
  'a program of this host has it on 127.0.0.1 or IPv6; the other addresses of this node are served';

export interface NftablesBalancerOptions {
  readonly kernel: Kernel;
  readonly table: MeshTable;
  /** Two sections of that table. */
  readonly ports: DnatSection;
  readonly hostPorts: HostPortSection;
  readonly loopback: LoopbackListeners;
  readonly ingressNetwork: SubnetText;
  /** Whether the table translates IPv6. */
  readonly hasIpv6: boolean;
  readonly logger: Logger;
}

/** Balances in the kernel: DNAT at the node where a client arrives, which keeps the client's address. */
export class NftablesBalancer implements LoadBalancer {
  readonly #options: NftablesBalancerOptions;
  readonly #logger: Logger;
  readonly #conntrack: Conntrack;
  #self: CheckedPeer | undefined;
  #model: Model = EMPTY_MODEL;
  /** As of the last `settle`; undefined: any flow may exist, such as those of an earlier process. */
  #settled: Model | undefined = EMPTY_MODEL;
  /** Which published ports loopback serves. */
  #onLoopback: Model = EMPTY_MODEL;
  /** Flows could not be deleted, which has been logged. */
  #isForgetFailing = false;

  constructor(options: NftablesBalancerOptions) {
    this.#options = options;
    this.#logger = options.logger;
    this.#conntrack = new Conntrack(options.kernel.run, { hasIpv6: options.hasIpv6 });
  }

  async start(self: CheckedPeer): Promise<void> {
    this.#self = self;
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
    this.#settled = undefined;
    await this.#followLoopback();
    return adopted;
  }

  async #readHostPorts(map: 'host_ports' | 'host_ports_v6'): Promise<Map<string, HostPort[]>> {
    const { kernel, table } = this.#options;
    const where = words`-j list map ${word(table.earlierFamily)} ${word(TABLE)} ${word(map)}`;
    return readHostPorts(await kernel.run('nft', where));
  }

  async apply(slice: BalancerSlice): Promise<void> {
    for (const { publishedPort, endpoints } of slice.ports) {
      if (endpoints.length <= MAX_ENDPOINTS_PER_PORT) continue;
      this.#logger.warn(
        { port: publishedPort, endpoints: endpoints.length },
        `more endpoints than ${MAX_ENDPOINTS_PER_PORT}: this node uses only some of them`,
      );
    }
    this.#model = nextModel(this.#model, slice, this.#self!);
    this.#options.ports.follow(this.#model);
  }

  async settle({ isUnsure } = { isUnsure: false }): Promise<void> {
    const before = isUnsure ? undefined : this.#settled;
    const after = this.#model;
    if (after === EMPTY_MODEL) {
      // Before the first state nothing says which flows are right.
      this.#settled = before;
      return;
    }
    const isDone = await this.#forget(() =>
      before === undefined ? this.#forgetUnknown(after) : this.#forgetChanged(before, after),
    );
    // What failed now is found by looking at every flow next time.
    this.#settled = isDone ? after : undefined;
    const { loopback } = this.#options;
    if (loopback.failed.size > 0 || !servesSame(this.#onLoopback, after)) {
      await this.#followLoopback();
    }
  }

  async attach(task: LocalTask): Promise<void> {
    const { hostPorts } = this.#options;
    const ports = task.hostPorts.length === 0 ? undefined : this.#placeOf(task);
    const before = hostPorts.tasks.get(task.taskId);
    hostPorts.delete(task.taskId);
    if (ports !== undefined) hostPorts.set(task.taskId, ports);
    else if (before === undefined) return;
    await this.#patchHostPorts();
    await this.#forget(async () => {
      if (before !== undefined) await this.#forgetHostPorts(before);
      await this.#conntrack.forgetPlain(udpPorts(task.hostPorts));
    });
  }

  async detach(taskIds: readonly TaskId[]): Promise<void> {
    const { hostPorts } = this.#options;
    let had = false;
    for (const taskId of taskIds) had = hostPorts.delete(taskId) || had;
    if (had) await this.#patchHostPorts();
  }

  async cut(addresses: readonly IpAddress[]): Promise<void> {
    const { hasIpv6 } = this.#options;
    const translated = hasIpv6 ? addresses : addresses.filter((address) => !isIpv6(address));
    const isDone = await this.#forget(() => this.#conntrack.forgetAddresses(translated));
    if (!isDone) this.#settled = undefined;
  }

  holds(port: PortKey): boolean {
    return this.#options.loopback.holds(port);
  }

  servesIpv6(taskId: TaskId): boolean {
    return this.#options.hostPorts.tasks.get(taskId)?.addressV6 !== undefined;
  }

  get unserved(): ReadonlyMap<PortKey, string> {
    return new Map([...this.#options.loopback.failed].map((port) => [port, ON_LOOPBACK]));
  }

  async retry(): Promise<void> {
    if (this.#options.loopback.failed.size > 0) await this.#followLoopback();
  }

  close(): Promise<void> {
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

  async #patchHostPorts(): Promise<void> {
    const { hostPorts, table } = this.#options;
    const isUnsure = await table.patch(hostPorts);
    await this.#followLoopback();
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
  async #forgetChanged(before: Model, after: Model): Promise<void> {
    for (const { protocol, address, port } of removedEndpoints(before, after)) {
      if (protocol !== 'udp') continue;
      await this.#conntrack.forgetFlows({ protocol: word(protocol), address, port });
    }
    if ([...before.peers.values()].some((peer) => hasGone(peer, after.peers))) {
      await this.#conntrack.forgetMatching(this.#isOfGoneNode(after));
    }
    await this.#conntrack.forgetPlain(udpPorts(openedPorts(before, after)));
  }

  /** Checks all existing flows: it is unknown what they began with. */
  async #forgetUnknown(after: Model): Promise<void> {
    const ingress = Subnet.of(this.#options.ingressNetwork);
    const isOfGoneNode = this.#isOfGoneNode(after);
    const known = new Set<string>();
    for (const { protocol, endpoints } of after.ports.values()) {
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
    const served = [...after.ports.values()].filter(isServed);
    const own = [...this.#options.hostPorts.tasks.values()].flatMap(({ ports }) => ports);
    await this.#conntrack.forgetPlain(udpPorts([...served, ...own]));
  }

  #isOfGoneNode(model: Model): (flow: Flow) => boolean {
    const ingress = Subnet.of(this.#options.ingressNetwork);
    const living = [...model.peers.values()].filter(({ down }) => !down);
    const indexes = new Set(living.map(({ index }) => index));
    return ({ address }) => {
      const offset = placeIn(ingress, address);
      return offset !== undefined && !indexes.has(Math.floor(offset / NODE_BLOCK_SIZE));
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

  #followLoopback(): Promise<void> {
    const { hostPorts, loopback } = this.#options;
    this.#onLoopback = this.#model;
    // Without a listener the kernel refuses, as the table does elsewhere.
    const served = [...this.#model.ports.values()].filter(isServed);
    const ports = served.map(({ protocol, publishedPort, access }) => ({
      protocol,
      port: publishedPort,
      addresses: access.listen,
    }));
    const own = nodeAddress(this.#self!.subnet);
    for (const { ports: published } of hostPorts.tasks.values()) {
      for (const { protocol, publishedPort, hostIp } of published) {
        const { listen } = portAccess(parseIpAddress(hostIp), own);
        ports.push({ protocol, port: publishedPort, addresses: listen });
      }
    }
    return loopback.follow(ports);
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

function servesSame(a: Model, b: Model): boolean {
  if (openedPorts(a, b).length > 0 || openedPorts(b, a).length > 0) return false;
  for (const [key, port] of b.ports) {
    const old = a.ports.get(key);
    if (old !== port && old?.access.listen.join() !== port.access.listen.join()) return false;
  }
  return true;
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
