import { createHash } from 'node:crypto';
import {
  ApiError,
  INGRESS_IPV6_SUBNET,
  type IpAddress,
  isIpv6,
  isLoopback,
  type Logger,
  type Network,
  type NetworkSpec,
  NODE_ADDRESS_OFFSET,
  type Node,
  numberOf,
  parseHostPort,
  Subnet,
  USER_VNI_FIRST,
  VNI_LAST,
  VNI_OPTION,
} from '@swarm/api';
import { SetAside } from '../set-aside.js';
import { nodeNameOf } from '../store/object-keys.js';
import type { Store, StoreChange, StoreEvent, View } from '../store/store.js';
import { refuseForNodes } from './ingress-nodes.js';
import { ingressAllocation, ingressChoices } from './ingress-subnet.js';
import { hostAddress, ingressSubnet } from './node-mesh.js';
import { LowestFree } from './lowest-free.js';
import { type SpaceOwner, type SubnetPool, SubnetSpace } from './subnet-space.js';

/** Prefix length of the IPv6 subnets that are chosen. */
const IPV6_PREFIX_LENGTH = 64;
/** What a proposal fails with whose entry may be applied later. */
const UNCERTAIN: readonly string[] = ['TIMEOUT', 'NO_QUORUM'];
/** Bytes of the cluster's id that make its unique local prefix (RFC 4193). */
const GLOBAL_ID_BYTES = 5;
const INGRESS: SpaceOwner = { kind: 'ingress' };
const FAMILIES = ['v4', 'v6'] as const;
type Family = (typeof FAMILIES)[number];

/** What a network has besides its spec. */
export type NetworkAllocation = Pick<Network, 'Subnets' | 'VNI'>;

/**
 * Knows which subnets, VNIs and addresses of hosts are taken, and gives new networks theirs. It follows the
 * store's events on every manager, so giving costs the same however many networks there are. What it gives
 * counts as taken from then on; see `follow`.
 */
export class NetworkBook {
  readonly #store: Store;
  readonly #aside: SetAside;
  readonly #end: () => void;
  #spaces = emptySpaces();
  /** Networks by VNI: several only where the store already says so. */
  #vnis = new Map<number, Set<string>>();
  #networks = new Map<string, NetworkAllocation>();
  /** Networks that were given what they need and are not in the store yet. */
  readonly #coming = new Set<string>();
  /** Of these, those whose proposal may still be applied. */
  readonly #uncertain = new Set<string>();
  readonly #freeVnis: LowestFree;
  /** Addresses by node, and nodes by address: several nodes may share one. */
  #addresses = new Map<string, readonly IpAddress[]>();
  #nodes = new Map<IpAddress, Set<string>>();

  /** Watches the store until `close`. */
  constructor(store: Store, logger: Logger) {
    this.#store = store;
    this.#aside = new SetAside(logger);
    this.#freeVnis = new LowestFree(USER_VNI_FIRST, VNI_LAST, (vni) => this.#vnis.has(vni));
    this.#end = store.watch((change) => this.#onChange(change));
    this.#rebuild();
  }

  close(): void {
    this.#end();
  }

  /**
   * Gives a new network its subnets, gateways and VNI.
   * @throws ApiError CONFLICT when what the spec asks for is taken, and by whom; FAILED_PRECONDITION when
   *   nothing is left to choose
   */
  allocate(view: View, id: string, spec: NetworkSpec): NetworkAllocation {
    this.#settle(id);
    if (spec.Ingress) {
      const allocation = this.#ingress(view, spec);
      this.#coming.add(id);
      this.#hold(id, allocation);
      return allocation;
    }
    const Subnets = FAMILIES.flatMap((family) => {
      if (family === 'v6' && !spec.IPv6Enabled) return [];
      const subnet = this.#given(view, spec, family) ?? this.#chosen(view, family);
      return [{ Subnet: subnet.toString(), Gateway: gatewayOf(spec, subnet) }];
    });
    const allocation = { Subnets, VNI: this.#vni(view, spec) };
    this.#coming.add(id);
    this.#hold(id, allocation);
    return allocation;
  }

  /**
   * Follows the proposal that makes the network. What it was given is free again when the store certainly does
   * not get it: an entry that was not confirmed in time may still be applied, but not behind one that came later.
   */
  async follow(id: string, proposal: Promise<unknown>): Promise<void> {
    try {
      await proposal;
      for (const lost of this.#uncertain) this.#settle(lost);
      this.#uncertain.clear();
    } catch (error) {
      const isUncertain = error instanceof ApiError && UNCERTAIN.includes(error.code);
      if (isUncertain) this.#uncertain.add(id);
      else this.#settle(id);
    }
  }

  /** Free again, unless the store has the network by now. */
  #settle(id: string): void {
    if (this.#coming.delete(id)) this.#hold(id, this.#store.get('network', id));
  }

  /** There is no ingress network, so what the last one had is free for the next. */
  #ingress(view: View, spec: NetworkSpec): NetworkAllocation {
    const space = this.#spaces.v4;
    space.hold(INGRESS, []);
    try {
      const subnet = this.#given(view, spec, 'v4') ?? this.#freeForIngress(view);
      refuseForNodes(view, spec, subnet);
      return ingressAllocation(subnet, gatewayOf(spec, subnet));
    } finally {
      this.#holdIngress();
    }
  }

  #freeForIngress(view: View): Subnet {
    let first: Subnet | undefined;
    for (const subnet of ingressChoices(view)) {
      if (this.#spaces.v4.holder(subnet) === undefined) return subnet;
      first ??= subnet;
    }
    const holder = first && this.#spaces.v4.holder(first);
    const why =
      first === undefined || holder === undefined
        ? 'the default address pools have no room for one'
        : `${first} overlaps with ${this.#describe(view, holder.owner, 'v4')}`;
    throw new ApiError(
      'CONFLICT',
      `no subnet is free for an ingress network: ${why}; give it one (--subnet)`,
    );
  }

  /** Holds what nodes have their blocks from, whether or not there is an ingress network. */
  #holdIngress(): void {
    this.#spaces.v4.hold(INGRESS, [ingressSubnet(this.#store)]);
  }

  #given(view: View, spec: NetworkSpec, family: Family): Subnet | undefined {
    for (const { Subnet: text } of spec.IPAM?.Config ?? []) {
      const subnet = Subnet.parse(text);
      if (subnet === undefined || familyOf(subnet) !== family) continue;
      const holder = this.#spaces[family].holder(subnet);
      if (holder === undefined) return subnet;
      throw new ApiError(
        'CONFLICT',
        `Pool overlaps with other one on this address space: subnet ${subnet} overlaps with ` +
          `${this.#describe(view, holder.owner, family)}; give another subnet, or none`,
      );
    }
    return undefined;
  }

  #chosen(view: View, family: Family): Subnet {
    const pools = poolsOf(view, family);
    const subnet = this.#spaces[family].free(pools);
    if (subnet !== undefined) return subnet;
    const names = pools.map((pool) => pool.subnet).join(', ');
    throw new ApiError(
      'FAILED_PRECONDITION',
      `no subnet /${pools[0]?.prefixLength ?? 0} of the default address pools (${names}) is free: remove networks that ` +
        'are not used ("swarm network prune"), or give the network a subnet of its own',
    );
  }

  #vni(view: View, spec: NetworkSpec): number {
    const asked = spec.DriverOpts[VNI_OPTION];
    if (asked === undefined) {
      const vni = this.#freeVnis.search((each) => this.#vnis.has(each)).next();
      if (vni !== undefined) return vni;
      throw new ApiError('FAILED_PRECONDITION', 'every VNI is taken: remove networks');
    }
    const [other] = this.#vnis.get(Number(asked)) ?? [];
    if (other === undefined) return Number(asked);
    throw new ApiError(
      'CONFLICT',
      `Options["${VNI_OPTION}"]: VNI ${asked} belongs to network ${nameOf(view, other)}; leave the option out`,
    );
  }

  #describe(view: View, owner: SpaceOwner, family: Family): string {
    if (owner.kind === 'ingress') {
      const subnet = family === 'v6' ? INGRESS_IPV6_SUBNET : ingressSubnet(view);
      return view.ingressNetwork() === undefined
        ? `${subnet}, which nodes use until there is another ingress network`
        : `${subnet} of the ingress network`;
    }
    if (owner.kind === 'network') {
      const subnets = this.#networks.get(owner.id)?.Subnets ?? [];
      const own = subnets.find(({ Subnet: text }) => familyOf(Subnet.of(text)) === family);
      return `${own?.Subnet ?? 'that'} of network ${nameOf(view, owner.id)}`;
    }
    const [id = ''] = this.#nodes.get(owner.address) ?? [];
    const node = view.get('node', id);
    return `the address ${owner.address} of node ${(node && nodeNameOf(node)) ?? id}`;
  }

  #onChange({ reset, events }: StoreChange): void {
    if (reset) this.#rebuild();
    else this.#aside.events(events, (event) => this.#onEvent(event));
  }

  #onEvent(event: StoreEvent): void {
    const isGone = event.action === 'remove';
    if (event.kind === 'node') this.#holdNode(event.object.ID, isGone ? undefined : event.object);
    else if (event.kind === 'cluster') this.#holdIngress();
    else if (event.kind === 'network') {
      const { object: network } = event;
      if (network.Spec.Ingress) this.#holdIngress();
      this.#coming.delete(network.ID);
      this.#hold(network.ID, isGone ? undefined : network);
      if (event.action === 'create') this.#pass(network);
    }
  }

  #rebuild(): void {
    const coming = [...this.#coming].map((id) => [id, this.#networks.get(id)] as const);
    this.#spaces = emptySpaces();
    this.#holdIngress();
    this.#vnis = new Map();
    this.#networks = new Map();
    this.#addresses = new Map();
    this.#nodes = new Map();
    this.#freeVnis.reset();
    for (const node of this.#store.list('node'))
      this.#aside.attempt('node', node, () => this.#holdNode(node.ID, node));
    for (const [id, allocation] of coming) this.#hold(id, allocation);
    let newest: Network | undefined;
    for (const network of this.#store.list('network')) {
      this.#aside.attempt('network', network, () => this.#hold(network.ID, network));
      if (!isChosen(network)) continue;
      if (newest === undefined || network.CreatedAt >= newest.CreatedAt) newest = network;
    }
    if (newest !== undefined) this.#pass(newest);
  }

  /** The next network's subnets are searched behind these, on every manager. */
  #pass(network: Network): void {
    if (!isChosen(network)) return;
    for (const subnet of subnetsOf(network)) {
      const family = familyOf(subnet);
      this.#spaces[family].passed(poolsOf(this.#store, family), subnet);
    }
  }

  #hold(id: string, network: NetworkAllocation | Network | undefined): void {
    const owner = { kind: 'network', id } as const;
    // What the ingress network in the store has is held in its own name.
    const isOther = network !== undefined && !('Spec' in network && network.Spec.Ingress);
    const subnets = isOther ? subnetsOf(network) : [];
    for (const family of FAMILIES) {
      const own = subnets.filter((subnet) => familyOf(subnet) === family);
      this.#spaces[family].hold(owner, own);
    }
    const before = this.#networks.get(id)?.VNI;
    if (before !== undefined && before !== network?.VNI) this.#releaseVni(before, id);
    if (network === undefined) this.#networks.delete(id);
    else {
      this.#networks.set(id, network);
      this.#holdersOf(network.VNI).add(id);
    }
  }

  #holdersOf(vni: number): Set<string> {
    let holders = this.#vnis.get(vni);
    if (holders === undefined) {
      holders = new Set();
      this.#vnis.set(vni, holders);
    }
    return holders;
  }

  #releaseVni(vni: number, id: string): void {
    const holders = this.#vnis.get(vni);
    holders?.delete(id);
    if (holders?.size !== 0) return;
    this.#vnis.delete(vni);
    this.#freeVnis.release(vni);
  }

  #holdNode(id: string, node: Node | undefined): void {
    const before = this.#addresses.get(id) ?? [];
    const after = node === undefined ? [] : addressesOf(node);
    for (const address of before) if (!after.includes(address)) this.#dropAddress(address, id);
    for (const address of after) if (!before.includes(address)) this.#addAddress(address, id);
    if (after.length === 0) this.#addresses.delete(id);
    else this.#addresses.set(id, after);
  }

  #addAddress(address: IpAddress, nodeId: string): void {
    const sharing = this.#nodes.get(address);
    if (sharing !== undefined) {
      sharing.add(nodeId);
      return;
    }
    this.#nodes.set(address, new Set([nodeId]));
    const at = numberOf(address);
    this.#spaceOf(address).hold({ kind: 'host', address }, [{ first: at, last: at }]);
  }

  #dropAddress(address: IpAddress, nodeId: string): void {
    const sharing = this.#nodes.get(address);
    sharing?.delete(nodeId);
    if (sharing?.size !== 0) return;
    this.#nodes.delete(address);
    this.#spaceOf(address).hold({ kind: 'host', address }, []);
  }

  #spaceOf(address: IpAddress): SubnetSpace {
    return this.#spaces[isIpv6(address) ? 'v6' : 'v4'];
  }
}

function emptySpaces(): Record<Family, SubnetSpace> {
  const spaces = { v4: new SubnetSpace(), v6: new SubnetSpace() };
  spaces.v6.hold(INGRESS, [Subnet.of(INGRESS_IPV6_SUBNET)]);
  return spaces;
}

/** Whether the network's subnets were chosen from the pools. */
function isChosen({ Spec }: Network): boolean {
  return !Spec.Ingress && (Spec.IPAM?.Config.length ?? 0) === 0;
}

/** The same for every cluster of this id, and most probably different from that of any other. */
function localPrefix(clusterId: string): Subnet {
  const digest = createHash('sha256').update(clusterId).digest('hex');
  const hex = `fd${digest.slice(0, GLOBAL_ID_BYTES * 2)}`;
  return Subnet.of(`${hex.slice(0, 4)}:${hex.slice(4, 8)}:${hex.slice(8, 12)}::/48`);
}

function poolsOf(view: View, family: Family): SubnetPool[] {
  const cluster = view.cluster();
  if (cluster === undefined) return [];
  if (family === 'v6')
    return [{ subnet: localPrefix(cluster.ID), prefixLength: IPV6_PREFIX_LENGTH }];
  const prefixLength = cluster.SubnetSize;
  return cluster.DefaultAddrPool.flatMap((text) => {
    const subnet = Subnet.parse(text);
    return subnet === undefined || subnet.isIpv6 ? [] : [{ subnet, prefixLength }];
  });
}

function gatewayOf(spec: NetworkSpec, subnet: Subnet): string {
  const config = spec.IPAM?.Config.find(({ Subnet: text }) => text === subnet.toString());
  return config?.Gateway ?? subnet.addressAt(NODE_ADDRESS_OFFSET);
}

/** Every address at which other hosts know the node. */
function addressesOf({ Status, Mesh, ManagerAddr }: Node): IpAddress[] {
  const manager = parseHostPort(ManagerAddr)?.host;
  const found = [Status.Addr, Mesh?.Address, manager].flatMap((text) => hostAddress(text) ?? []);
  return [...new Set(found)].filter((address) => !isLoopback(address));
}

function subnetsOf({ Subnets }: Pick<Network, 'Subnets'>): Subnet[] {
  return Subnets.flatMap(({ Subnet: text }) => Subnet.parse(text) ?? []);
}

function familyOf(subnet: Subnet): Family {
  return subnet.isIpv6 ? 'v6' : 'v4';
}

function nameOf(view: View, networkId: string): string {
  const name = view.get('network', networkId)?.Spec.Name;
  return name === undefined ? networkId : `${name} (${networkId})`;
}
