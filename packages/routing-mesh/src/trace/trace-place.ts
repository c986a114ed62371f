import { type IpAddress, isIpv6, isLoopback, Subnet } from '@swarm/api';
import { nodeAddress } from '../address.js';
import type { CheckedPeer, CheckedPort } from '../checked.js';
import { type LinkName, type TaskId, TUNNEL_DEVICE } from '../layout.js';
import type { TraceHost } from './packet.js';

/** Whatever is not ours, in a packet's way: the host's own routes decide. */
export const OUTSIDE = 'host';

/** A task that can be at one end of a connection. */
export interface TracedTask {
  readonly taskId: string;
  readonly nodeId: string;
}

/** What a node knows of addresses. */
export interface TracePlace {
  readonly self: CheckedPeer;
  readonly peers: ReadonlyMap<string, CheckedPeer>;
  readonly ports: readonly CheckedPort[];
  /** Links of this node's tasks, by address. */
  readonly links: ReadonlyMap<IpAddress, { readonly taskId: TaskId; readonly link: LinkName }>;
  /** Tasks of all nodes on overlay networks, by address. */
  readonly members: ReadonlyMap<IpAddress, TracedTask>;
  /** The host's addresses. */
  readonly local: ReadonlySet<string>;
}

/** The node's ways, as its mesh makes them; all others are the host's. */
export class PlacedHost implements TraceHost {
  readonly #place: TracePlace;
  readonly #own: IpAddress;

  constructor(place: TracePlace) {
    this.#place = place;
    this.#own = nodeAddress(place.self.subnet);
  }

  isLocal(address: IpAddress): boolean {
    const { self, local } = this.#place;
    return (
      address === self.address || address === this.#own || isLoopback(address) || local.has(address)
    );
  }

  route(destination: IpAddress): string | undefined {
    if (this.isLocal(destination)) return 'local';
    const link = this.#place.links.get(destination);
    if (link !== undefined) return link.link;
    const node = this.nodeOf(destination);
    if (node === undefined) return OUTSIDE;
    // Its own block without the task, or a node that this one has no way to.
    if (node === this.#place.self.nodeId || !this.#place.peers.has(node)) return undefined;
    return TUNNEL_DEVICE;
  }

  addressOf(device: string): IpAddress | undefined {
    return device === OUTSIDE ? this.#place.self.address : this.#own;
  }

  /** The node of a task's address. */
  nodeOf(address: IpAddress): string | undefined {
    const member = this.#place.members.get(address);
    if (member !== undefined) return member.nodeId;
    if (isIpv6(address)) return undefined;
    const { self, peers } = this.#place;
    return [self, ...peers.values()].find(
      ({ subnet, userspace }) => !userspace && Subnet.of(subnet).offsetOf(address) !== undefined,
    )?.nodeId;
  }

  /** The task at an address, as far as this node knows it. */
  taskAt(address: IpAddress, port: number): TracedTask | undefined {
    const { links, members, ports, self } = this.#place;
    const link = links.get(address);
    if (link !== undefined) return { taskId: link.taskId, nodeId: self.nodeId };
    return (
      members.get(address) ??
      ports
        .flatMap(({ endpoints }) => endpoints)
        .find((endpoint) => endpoint.address === address && endpoint.port === port)
    );
  }

  /** The link by which a task's packets come in; undefined for an address of no task here. */
  linkOf(address: IpAddress): LinkName | undefined {
    return this.#place.links.get(address)?.link;
  }
}
