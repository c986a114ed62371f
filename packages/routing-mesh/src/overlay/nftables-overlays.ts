import { type IpAddress, type Logger, Subnet } from '@swarm/api';
import { Conntrack } from '../balancer/nftables/conntrack.js';
import { nodeAddress } from '../address.js';
import type { CheckedOverlay, CheckedPeer, CheckedTask } from '../checked.js';
import type { CheckedIngress } from '../ingress.js';
import type { TrafficEncryption } from '../encryption/traffic-encryption.js';
import type { Kernel } from '../kernel/kernel.js';
import { peerGatewayV6, peerMac, type TaskId, TUNNEL_DEVICE } from '../layout.js';
import { familyOf, type Family } from '../table/family.js';
import type { FoundLink } from '../links/task-links.js';
import { isIn, LocalNetworks, type LocalPlace } from './local-networks.js';
import { type Entry, MemberIndex } from './member-index.js';
import { MemberRoutes, type Way } from './member-routes.js';
import type { OverlayNetworks, OverlaySlice } from './overlay-networks.js';
import { VipFlows } from './vip-flows.js';
import type { VipSection } from './vip-section.js';
import { Vips } from './vips.js';
import type { Sender, WallSection } from './wall-section.js';

export interface NftablesOverlaysOptions {
  readonly kernel: Kernel;
  readonly logger: Logger;
  /** Sections of the tables. */
  readonly walls: ReadonlyMap<Family, WallSection>;
  readonly vips: ReadonlyMap<Family, VipSection>;
  /** Knows the devices that lead to members of encrypted networks. */
  readonly encryption: Pick<TrafficEncryption, 'deviceTo'>;
}

/** Overlay networks in the kernel: host routes through the tunnel, walls and virtual addresses in the table. */
export class NftablesOverlays implements OverlayNetworks {
  readonly #options: NftablesOverlaysOptions;
  readonly #local: LocalNetworks;
  readonly #index: MemberIndex;
  readonly #vips: Vips;
  readonly #flows: VipFlows;
  readonly #routes: ReadonlyMap<Family, MemberRoutes>;
  /** The task on another node that has each address; the first that claims it. */
  readonly #remote = new Map<IpAddress, Entry>();
  /** Entries that could not have all of their addresses. */
  readonly #waiting = new Set<Entry>();
  #peers: ReadonlyMap<string, CheckedPeer> = new Map();

  constructor(options: NftablesOverlaysOptions) {
    this.#options = options;
    this.#local = new LocalNetworks(options);
    this.#index = new MemberIndex(this.#local);
    this.#vips = new Vips(this.#local);
    const { run } = options.kernel;
    this.#flows = new VipFlows({ conntrack: new Conntrack(run), run, logger: options.logger });
    this.#routes = new Map(
      [...options.walls.keys()].map((family) => [family, new MemberRoutes({ family, run })]),
    );
  }

  async start(self: CheckedPeer, ingress: CheckedIngress): Promise<void> {
    this.#local.ingress = Subnet.of(ingress.subnet);
    this.#index.selfId = self.nodeId;
    this.#vips.selfIndex = self.index;
    for (const routes of this.#routes.values()) await routes.look();
  }

  async apply({ peers, networks, touched }: OverlaySlice): Promise<void> {
    this.#peers = peers;
    const changes = this.#index.follow(networks, touched);
    for (const { before } of changes) if (before !== undefined) this.#release(before);
    for (const entry of [...this.#waiting]) this.#claim(entry);
    for (const { before, after } of changes) {
      if (after !== undefined) this.#claim(after);
      this.#vips.changeMember(before, after);
    }
    for (const { before, after } of this.#vips.follow(networks, touched)) {
      const { address } = (after ?? before)!;
      this.#options.vips.get(familyOf(address))?.change(before, after);
      this.#flows.note(before, after);
    }
    const subnets = [...this.#local.subnets()];
    for (const [family, routes] of this.#routes) {
      routes.wantSubnets(subnets.filter(({ isIpv6 }) => isIpv6 === (family.version === 6)));
      await routes.add();
    }
  }

  async settle({ isUnsure }: { readonly isUnsure: boolean }): Promise<void> {
    for (const routes of this.#routes.values()) await routes.prune();
    // Without networks there is nobody who could use a virtual address.
    if (this.#local.isEmpty) return this.#flows.clear();
    await this.#flows.settle({
      isUnsure,
      isAlive: (nodeId) => this.#peers.get(nodeId)?.down === false,
      isOurs: (address) => this.#local.has(address),
      leads: (address, member) => this.#vips.leads(address, member),
    });
  }

  async adopt(
    links: readonly FoundLink[],
  ): Promise<ReadonlyMap<TaskId, readonly CheckedOverlay[]>> {
    const caught = [...this.#routes.values()]
      .flatMap((routes) => [...routes.caught])
      .flatMap((text) => Subnet.parse(text) ?? []);
    const places = new Map<TaskId, LocalPlace[]>();
    for (const { taskId, networkId, place, traits, addresses } of links) {
      if (taskId === undefined || networkId === undefined || traits === undefined) continue;
      const subnets = caught.filter((subnet) => addresses.some((one) => isIn(subnet, one)));
      if (subnets.length === 0) continue;
      const overlay = { networkId, name: networkId, subnets, ...traits, mtuBytes: undefined };
      const others = places.get(taskId) ?? [];
      places.set(taskId, [...others, { place, overlay, addresses }]);
    }
    const adopted = new Map<TaskId, readonly CheckedOverlay[]>();
    for (const [taskId, own] of places) {
      try {
        this.#local.attach(taskId, own);
      } catch (error) {
        this.#options.logger.warn(
          { taskId, err: error },
          'could not take over the networks of a task',
        );
        continue;
      }
      adopted.set(
        taskId,
        own.map(({ overlay }) => overlay),
      );
    }
    this.#flows.doubt();
    return adopted;
  }

  async attach(task: Pick<CheckedTask, 'taskId' | 'attachments'>): Promise<void> {
    const places = task.attachments.flatMap(({ overlay, addresses }, place) =>
      overlay === undefined ? [] : { place, overlay, addresses },
    );
    this.#local.attach(task.taskId, places);
  }

  async detach(taskIds: readonly TaskId[]): Promise<void> {
    for (const taskId of taskIds) this.#local.detach(taskId);
  }

  async repair(): Promise<boolean> {
    let isRepaired = false;
    for (const routes of this.#routes.values()) {
      if (await routes.repair()) isRepaired = true;
    }
    return isRepaired;
  }

  async close({ keep }: { readonly keep: boolean }): Promise<void> {
    if (keep) return;
    for (const routes of this.#routes.values()) await routes.clear();
  }

  /** Leads to a task on another node, and lets it in. */
  #claim(entry: Entry): void {
    const { addresses, peer, network, isHere } = entry;
    if (peer === undefined || isHere) return;
    this.#waiting.delete(entry);
    for (const address of addresses) {
      const other = this.#remote.get(address);
      if (other === entry) continue;
      if (other !== undefined) {
        this.#waiting.add(entry);
        continue;
      }
      this.#remote.set(address, entry);
      const family = familyOf(address);
      const way = this.#wayTo(peer, network.overlay, family);
      // Nothing leads there, rather than in clear.
      if (way !== undefined) this.#routes.get(family)?.want(address, way);
      this.#options.walls.get(family)?.addSender(senderOf(address, entry));
    }
  }

  #release(entry: Entry): void {
    const { addresses } = entry;
    this.#waiting.delete(entry);
    for (const address of addresses) {
      if (this.#remote.get(address) !== entry) continue;
      this.#remote.delete(address);
      const family = familyOf(address);
      this.#routes.get(family)?.unwant(address);
      this.#options.walls.get(family)?.deleteSender(senderOf(address, entry));
    }
  }

  /** How packets to a member leave: the only place that chooses the device. */
  #wayTo(peer: CheckedPeer, { isEncrypted }: CheckedOverlay, { version }: Family): Way | undefined {
    if (!isEncrypted) {
      // The tunnel has a neighbour entry for it.
      const gateway = version === 4 ? nodeAddress(peer.subnet) : peerGatewayV6(peer.index);
      return { device: TUNNEL_DEVICE, gateway };
    }
    const device = this.#options.encryption.deviceTo(peer);
    return device === undefined ? undefined : { device };
  }
}

/** What packets of a member on another node look like when they come. */
function senderOf(address: IpAddress, { peer, network }: Entry): Sender {
  const common = { address, network: network.number };
  return network.overlay.isEncrypted ? common : { ...common, mac: peerMac(peer!.index) };
}
