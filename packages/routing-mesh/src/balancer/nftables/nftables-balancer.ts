import {
  type IpAddress,
  isIpv6,
  isPort,
  type Logger,
  NODE_BLOCK_SIZE,
  type PortKey,
  Subnet,
} from '@swarm/api';
import { type Ipv4Address, nodeAddress, parseIpv4, type SubnetText } from '../../address.js';
import { type CheckedPeer, isProtocol } from '../../checked.js';
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
import type { HostPortSection } from './host-port-section.js';
import type { LoopbackListeners } from './loopback-listeners.js';
import { EMPTY_MODEL, type Model, nextModel, sameKeys } from './model.js';
import { removedEndpoints } from './port-changes.js';
import { MAX_ENDPOINTS_PER_PORT } from './slots.js';

/** Why a port is served on the node's addresses alone. */
const ON_LOOPBACK = 'a program of this host has it on 127.0.0.1 or IPv6, and keeps those clients';

export interface NftablesBalancerOptions {
  readonly kernel: Kernel;
  readonly table: MeshTable;
  /** Two sections of that table. */
  readonly ports: DnatSection;
  readonly hostPorts: HostPortSection;
  readonly loopback: LoopbackListeners;
  readonly ingressNetwork: SubnetText;
  readonly logger: Logger;
}

/** Balances in the kernel: DNAT at the node where a client arrives, which keeps the client's address. */
export class NftablesBalancer implements LoadBalancer {
  readonly #options: NftablesBalancerOptions;
  readonly #logger: Logger;
  readonly #conntrack: Conntrack;
  #self: CheckedPeer | undefined;
  #model: Model = EMPTY_MODEL;
  /** As of the last `settle`; undefined: whatever an earlier process held, which is unknown. */
  #settled: Model | undefined = EMPTY_MODEL;

  constructor(options: NftablesBalancerOptions) {
    this.#options = options;
    this.#logger = options.logger;
    this.#conntrack = new Conntrack(options.kernel.run);
  }

  async start(self: CheckedPeer): Promise<void> {
    this.#self = self;
    this.#options.loopback.target = nodeAddress(self.subnet);
  }

  async adopt(
    links: readonly FoundLink[],
  ): Promise<ReadonlyMap<TaskId, readonly HostPort[]> | undefined> {
    let listing: string;
    try {
      const { kernel } = this.#options;
      listing = await kernel.run('nft', words`-j list map ip ${word(TABLE)} host_ports`);
    } catch (error) {
      this.#logger.warn({ err: error }, 'could not read the host ports of an earlier process');
      return undefined;
    }
    const ports = readHostPorts(listing);
    const adopted = new Map<TaskId, readonly HostPort[]>();
    for (const { taskId, addresses } of links) {
      const address = addresses.map(parseIpv4).find((one) => one !== undefined && ports.has(one));
      if (taskId === undefined || address === undefined) continue;
      const own = ports.get(address)!;
      this.#options.hostPorts.adopt(taskId, { address, ports: own });
      adopted.set(taskId, own);
    }
    this.#settled = undefined;
    await this.#followLoopback();
    return adopted;
  }

  async apply(slice: BalancerSlice): Promise<void> {
    for (const { publishedPort, endpoints } of slice.ports) {
      if (endpoints.length <= MAX_ENDPOINTS_PER_PORT) continue;
      this.#logger.warn(
        { port: publishedPort, endpoints: endpoints.length },
        `more endpoints than ${MAX_ENDPOINTS_PER_PORT}: this node uses only some of them`,
      );
    }
    this.#model = nextModel(this.#model, slice, this.#self!.index);
    this.#options.ports.follow(this.#model);
  }

  async settle(): Promise<void> {
    const before = this.#settled;
    const after = this.#model;
    this.#settled = after;
    if (before === undefined) await this.#forgetUnknown(after);
    else await this.#forgetRemoved(before, after);
    const { loopback } = this.#options;
    const isSame = before !== undefined && sameKeys(before.ports, after.ports);
    if (loopback.failed.size > 0 || !isSame) await this.#followLoopback();
  }

  async attach(task: LocalTask): Promise<void> {
    const { hostPorts, table } = this.#options;
    const ports =
      task.hostPorts.length === 0
        ? undefined
        : { address: this.#hostPortAddress(task), ports: task.hostPorts };
    const had = hostPorts.delete(task.taskId);
    if (ports !== undefined) hostPorts.set(task.taskId, ports);
    else if (!had) return;
    await table.patch(hostPorts);
    await this.#followLoopback();
  }

  async detach(taskIds: readonly TaskId[]): Promise<void> {
    const { hostPorts, table } = this.#options;
    let had = false;
    for (const taskId of taskIds) had = hostPorts.delete(taskId) || had;
    if (!had) return;
    await table.patch(hostPorts);
    await this.#followLoopback();
  }

  async cut(addresses: readonly IpAddress[]): Promise<void> {
    // Nothing is translated to IPv6.
    const translated = addresses.filter((address) => !isIpv6(address));
    await this.#forget('a task that is gone', () => this.#conntrack.forgetAddresses(translated));
  }

  holds(port: PortKey): boolean {
    return this.#options.loopback.holds(port);
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

  #hostPortAddress({ taskId, addresses }: LocalTask): Ipv4Address {
    const address = ipv4Address(addresses);
    if (address !== undefined) return address;
    throw new RangeError(`mesh: task ${taskId} has host ports but no IPv4 address for them`);
  }

  /** UDP to removed endpoints must not continue, nor anything to nodes that are gone. */
  async #forgetRemoved(before: Model, after: Model): Promise<void> {
    const flows = removedEndpoints(before, after).filter(({ protocol }) => protocol === 'udp');
    const anyGone = [...before.peers.values()].some((peer) => hasGone(peer, after.peers));
    if (!anyGone && flows.length === 0) return;
    await this.#forget('endpoints that are gone', async () => {
      for (const { protocol, address, port } of flows) {
        await this.#conntrack.forgetFlows({ protocol: word(protocol), address, port });
      }
      if (anyGone) await this.#conntrack.forgetMatching(this.#isOfGoneNode(after));
    });
  }

  /** What an earlier process left is unknown, so check all existing flows against the first state. */
  async #forgetUnknown(after: Model): Promise<void> {
    const ingress = Subnet.of(this.#options.ingressNetwork);
    const isOfGoneNode = this.#isOfGoneNode(after);
    const known = new Set<string>();
    for (const { protocol, endpoints } of after.ports.values()) {
      for (const { address, port } of endpoints) known.add(`${protocol} ${address} ${port}`);
    }
    for (const { address, ports } of this.#options.hostPorts.tasks.values()) {
      for (const { protocol, targetPort } of ports) {
        known.add(`${protocol} ${address} ${targetPort}`);
      }
    }
    await this.#forget('endpoints that are gone', () =>
      this.#conntrack.forgetMatching(
        (flow) =>
          isOfGoneNode(flow) ||
          (flow.protocol === 'udp' &&
            ingress.offsetOf(flow.address) !== undefined &&
            !known.has(`${flow.protocol} ${flow.address} ${flow.port}`)),
      ),
    );
  }

  #isOfGoneNode(model: Model): (flow: Flow) => boolean {
    const ingress = Subnet.of(this.#options.ingressNetwork);
    const living = [...model.peers.values()].filter(({ down }) => !down);
    const indexes = new Set(living.map(({ index }) => index));
    return ({ address }) => {
      const offset = ingress.offsetOf(address);
      return offset !== undefined && !indexes.has(Math.floor(offset / NODE_BLOCK_SIZE));
    };
  }

  /** The mesh works without it: UDP then follows when its entries time out, TCP when the client does. */
  async #forget(what: string, job: () => Promise<void>): Promise<void> {
    try {
      await job();
    } catch (error) {
      this.#logger.warn({ err: error }, `could not delete the connections to ${what}`);
    }
  }

  #followLoopback(): Promise<void> {
    const { hostPorts, loopback } = this.#options;
    const ports = [...this.#model.ports.values()].map(({ protocol, publishedPort }) => ({
      protocol,
      port: publishedPort,
    }));
    for (const { ports: own } of hostPorts.tasks.values()) {
      for (const { protocol, publishedPort } of own) ports.push({ protocol, port: publishedPort });
    }
    return loopback.follow(ports);
  }
}

/** Parses `nft -j list map`: host ports by the task's address. Skips what is not ours. */
function readHostPorts(json: string): Map<string, HostPort[]> {
  type Concat = { concat: [unknown, unknown] };
  const ports = new Map<string, HostPort[]>();
  const { nftables } = JSON.parse(json) as { nftables: { map?: { elem?: [Concat, Concat][] } }[] };
  for (const { map } of nftables) {
    for (const [{ concat: from }, { concat: to }] of map?.elem ?? []) {
      const address = parseIpv4(to[0]);
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
