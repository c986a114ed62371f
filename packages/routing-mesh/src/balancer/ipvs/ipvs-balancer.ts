import { type IpAddress, isIpv6, type Logger, nodeIndexOf, type PortKey, Subnet } from '@swarm/api';
import { derivedFrom } from '../../address.js';
import type { CheckedPeer } from '../../checked.js';
import { type CheckedIngress, DEFAULT_INGRESS } from '../../ingress.js';
import type { Kernel } from '../../kernel/kernel.js';
import type { TaskId } from '../../layout.js';
import type { FoundLink } from '../../links/task-links.js';
import type { HostPort } from '../../mesh.js';
import type { MeshTable } from '../../table/mesh-table.js';
import type { Balance, Balancing } from '../../trace/packet.js';
import { hasGone } from '../gone-peer.js';
import type { BalancerSlice, LoadBalancer, LocalTask, PortRefusals } from '../load-balancer.js';
import type { NftablesBalancer } from '../nftables/nftables-balancer.js';
import type { IpvsSection } from './ipvs-section.js';
import type { IpvsServices } from './ipvs-services.js';
import { type IpvsSettings, rememberedSettings } from './ipvs-settings.js';
import type { IpvsSocket } from './ipvs-socket.js';
import { isOurMark } from './marks.js';
import type { WantedService } from './service-plan.js';
import { serviceKey } from './wanted-services.js';

export interface IpvsBalancerOptions {
  readonly kernel: Kernel;
  readonly table: MeshTable;
  /** Host ports, listeners on loopback and old UDP flows are the same as with nftables. */
  readonly common: NftablesBalancer;
  readonly section: IpvsSection;
  readonly socket: IpvsSocket;
  readonly services: IpvsServices;
  readonly settings: IpvsSettings;
  readonly logger: Logger;
}

/**
 * Balances published ports by the kernel's IPVS. The packet filter marks a new connection to a published port, IPVS
 * chooses its task by that mark. The client's address is kept, and replies of tasks on other nodes come back through
 * the tunnel, as with nftables.
 */
export class IpvsBalancer implements LoadBalancer {
  readonly #options: IpvsBalancerOptions;
  readonly #logger: Logger;
  #ingress = Subnet.of(DEFAULT_INGRESS.subnet);
  /** Those of the last state. */
  #peers: ReadonlyMap<string, CheckedPeer> = new Map();
  #isGone: (address: IpAddress) => boolean = () => false;
  #isStarted = false;

  constructor(options: IpvsBalancerOptions) {
    this.#options = options;
    this.#logger = options.logger;
  }

  async start(self: CheckedPeer, ingress: CheckedIngress): Promise<void> {
    const { common, section, settings, socket } = this.#options;
    if (!this.#isStarted) {
      section.remember(await settings.read());
      if ((await settings.hold()) && socket.hasOthers()) {
        this.#logger.warn(
          {},
          'this host has IPVS services of others, which share settings with ours: /proc/sys/net/ipv4/vs and the time limits of connections have changed for them too',
        );
      }
      this.#isStarted = true;
    }
    this.#ingress = Subnet.of(ingress.subnet);
    await common.start(self, ingress);
  }

  async adopt(
    links: readonly FoundLink[],
  ): Promise<ReadonlyMap<TaskId, readonly HostPort[]> | undefined> {
    await this.#adoptSettings();
    return this.#options.common.adopt(links);
  }

  /** What the earlier process found; what this one found are the earlier one's own. */
  async #adoptSettings(): Promise<void> {
    const { kernel, table, section } = this.#options;
    try {
      const values = await rememberedSettings(kernel.run, table.earlierFamily);
      if (values.size > 0) section.remember(values);
    } catch (error) {
      this.#logger.warn(
        { err: error },
        'could not read the former settings of IPVS, which an earlier process changed',
      );
    }
  }

  async apply(slice: BalancerSlice): Promise<void> {
    const { common, section, services } = this.#options;
    await common.apply(slice);
    let isNodeGone = false;
    // A slice that names what it touches has the peers of the last one.
    if (slice.touched === undefined) {
      isNodeGone = [...this.#peers.values()].some((peer) => hasGone(peer, slice.peers));
      this.#peers = slice.peers;
      this.#isGone = this.#isOfGoneNode(slice.peers);
    }
    services.follow(section.takePorts(), this.#isGone, isNodeGone);
  }

  #isOfGoneNode(peers: ReadonlyMap<string, CheckedPeer>): (address: IpAddress) => boolean {
    const living = [...peers.values()].filter(({ down }) => !down);
    const indexes = new Set(living.map(({ index }) => index));
    const ingress = this.#ingress;
    return (address) => {
      const own = derivedFrom(address) ?? address;
      if (ingress.offsetOf(own) === undefined) return false;
      const index = nodeIndexOf(ingress, own);
      return index === undefined || !indexes.has(index);
    };
  }

  settle(options?: { readonly isUnsure: boolean }): Promise<void> {
    return this.#options.common.settle(options);
  }

  async repair(): Promise<boolean> {
    const { services, settings } = this.#options;
    const isHeld = !(await settings.hold());
    const isChanged = services.repair() || !isHeld;
    if (isChanged) this.#logger.warn({}, 'somebody changed our IPVS services; restored them');
    return isChanged;
  }

  attach(task: LocalTask): Promise<void> {
    return this.#options.common.attach(task);
  }

  detach(taskIds: readonly TaskId[]): Promise<void> {
    return this.#options.common.detach(taskIds);
  }

  async cut(addresses: readonly IpAddress[]): Promise<void> {
    const { common, services } = this.#options;
    try {
      services.cut(addresses);
    } catch (error) {
      this.#logger.warn({ err: error }, 'could not end the connections of tasks that are gone');
    }
    await common.cut(addresses);
  }

  holds(port: PortKey, address: IpAddress): boolean {
    return this.#options.common.holds(port, address);
  }

  servesIpv6(taskId: TaskId): boolean {
    return this.#options.common.servesIpv6(taskId);
  }

  get unserved(): ReadonlyMap<PortKey, string> {
    return this.#options.common.unserved;
  }

  readonly balancing: Balancing = ({ source, mark }) => {
    if (!isOurMark(mark)) return undefined;
    const service = this.#options.services.wanted.get(
      serviceKey({ version: isIpv6(source) ? 6 : 4, mark }),
    );
    return service === undefined ? undefined : balance(mark, service);
  };

  look(): Promise<readonly PortRefusals[]> {
    return this.#options.common.look();
  }

  retry(): Promise<void> {
    return this.#options.common.retry();
  }

  async close({ keep }: { readonly keep: boolean }): Promise<void> {
    const { common, services, settings, socket, section } = this.#options;
    await common.close();
    try {
      if (!keep) {
        services.clear();
        if (this.#isStarted) await settings.restore(section.before);
      }
    } finally {
      socket.close();
    }
  }
}

/** With `mh` a client always gets the same place; the shares are those of clients then. */
function balance(mark: number, { scheduler, destinations }: WantedService): Balance {
  const places = [...destinations.values()];
  const total = places.reduce((sum, { weight }) => sum + weight, 0);
  return {
    text: `service of mark 0x${mark.toString(16)}, scheduler ${scheduler}`,
    places: places
      .filter(({ weight }) => weight > 0)
      .map(({ address, port, weight }) => ({ address, port, share: weight / total })),
  };
}
