import { type IpAddress, networkOf, Subnet } from '@swarm/api';
import type { CheckedOverlay } from '../checked.js';
import { DEFAULT_INGRESS } from '../ingress.js';
import { type NetworkId, type TaskId, taskLinkName } from '../layout.js';
import { familyOf, type Family, IPV4, IPV6 } from '../table/family.js';
import type { WalledLink, WallSection } from './wall-section.js';

/** An overlay network with tasks on this node. */
export interface LocalNetwork {
  readonly overlay: CheckedOverlay;
  /** 1 to 65535, of this node alone; what rules call the network. */
  readonly number: number;
  /** Addresses of its tasks here, by task. */
  readonly tasks: Map<TaskId, readonly IpAddress[]>;
}

/** A task's place on an overlay network. */
export interface LocalPlace {
  /** Position of its link among the task's. */
  readonly place: number;
  readonly overlay: CheckedOverlay;
  readonly addresses: readonly IpAddress[];
}

interface LocalLink extends WalledLink {
  readonly family: Family;
}

const NUMBER_LAST = 65_535;

/** The overlay networks of this node's tasks, and the links to them. */
export class LocalNetworks {
  readonly #walls: ReadonlyMap<Family, WallSection>;
  /** No other network of the node overlaps with it. */
  ingress: Subnet = Subnet.of(DEFAULT_INGRESS.subnet);
  readonly #networks = new Map<NetworkId, LocalNetwork>();
  readonly #numbers = new Set<number>();
  readonly #links = new Map<TaskId, readonly LocalLink[]>();
  readonly #holders = new Map<IpAddress, TaskId>();
  #nextNumber = 1;

  constructor(options: { walls: ReadonlyMap<Family, WallSection> }) {
    this.#walls = options.walls;
  }

  get(networkId: NetworkId): LocalNetwork | undefined {
    return this.#networks.get(networkId);
  }

  get isEmpty(): boolean {
    return this.#networks.size === 0;
  }

  /** Subnets of all networks, each once. */
  *subnets(): Generator<Subnet> {
    for (const { overlay } of this.#networks.values()) yield* overlay.subnets;
  }

  /** Whether an address belongs to one of the networks. */
  has(address: IpAddress): boolean {
    for (const subnet of this.subnets()) if (isIn(subnet, address)) return true;
    return false;
  }

  /**
   * Takes in a task, instead of what is known of it.
   * @throws when another network or task has one of its subnets or addresses; the task is then unknown
   */
  attach(taskId: TaskId, places: readonly LocalPlace[]): void {
    const before = this.#links.get(taskId);
    try {
      const links: LocalLink[] = [];
      const joined: NetworkId[] = [];
      for (const { place, overlay, addresses } of places) {
        for (const address of addresses) {
          const other = this.#holders.get(address);
          if (other === undefined || other === taskId) continue;
          throw new Error(
            `mesh: task ${taskId} cannot have ${address} on ${overlay.name}: task ${other} of this node has it`,
          );
        }
        const { number } = this.#join(overlay, taskId, addresses);
        joined.push(overlay.networkId);
        for (const family of [IPV4, IPV6]) {
          const own = addresses.filter((address) => familyOf(address) === family);
          links.push({
            family,
            link: taskLinkName(taskId, place),
            network: number,
            isInternal: overlay.isInternal,
            addresses: own,
          });
        }
      }
      this.#unlink(before ?? []);
      this.#link(taskId, links);
      for (const [networkId, { tasks }] of this.#networks) {
        if (tasks.has(taskId) && !joined.includes(networkId)) this.#leave(networkId, taskId);
      }
    } catch (error) {
      this.detach(taskId);
      throw error;
    }
  }

  detach(taskId: TaskId): void {
    this.#unlink(this.#links.get(taskId) ?? []);
    this.#links.delete(taskId);
    for (const [networkId, { tasks }] of this.#networks) {
      if (tasks.has(taskId)) this.#leave(networkId, taskId);
    }
  }

  #link(taskId: TaskId, links: readonly LocalLink[]): void {
    if (links.length === 0) this.#links.delete(taskId);
    else this.#links.set(taskId, links);
    for (const link of links) {
      this.#walls.get(link.family)!.addLink(link);
      for (const address of link.addresses) this.#holders.set(address, taskId);
    }
  }

  #unlink(links: readonly LocalLink[]): void {
    for (const link of links) {
      this.#walls.get(link.family)!.deleteLink(link);
      for (const address of link.addresses) this.#holders.delete(address);
    }
  }

  #join(overlay: CheckedOverlay, taskId: TaskId, addresses: readonly IpAddress[]): LocalNetwork {
    const known = this.#networks.get(overlay.networkId);
    if (known !== undefined) {
      if (!haveSameSubnets(known.overlay, overlay)) {
        throw new Error(
          `mesh: task ${taskId} names other subnets of ${overlay.name} than other tasks of this node`,
        );
      }
      known.tasks.set(taskId, addresses);
      return known;
    }
    for (const subnet of overlay.subnets) {
      const isTaken =
        overlap(subnet, this.ingress) || [...this.subnets()].some((one) => overlap(one, subnet));
      if (!isTaken) continue;
      throw new Error(
        `mesh: this node cannot carry ${overlay.name}: its subnet ${subnet} overlaps with another network of this node`,
      );
    }
    const number = this.#takeNumber();
    const network = { overlay, number, tasks: new Map([[taskId, addresses]]) };
    this.#networks.set(overlay.networkId, network);
    for (const subnet of overlay.subnets) this.#wallOf(subnet).addNetwork(`${subnet}`, number);
    return network;
  }

  #leave(networkId: NetworkId, taskId: TaskId): void {
    const { overlay, number, tasks } = this.#networks.get(networkId)!;
    tasks.delete(taskId);
    if (tasks.size > 0) return;
    this.#networks.delete(networkId);
    this.#numbers.delete(number);
    for (const subnet of overlay.subnets) this.#wallOf(subnet).deleteNetwork(`${subnet}`);
  }

  #wallOf(subnet: Subnet): WallSection {
    return this.#walls.get(subnet.isIpv6 ? IPV6 : IPV4)!;
  }

  /** Freed numbers rest as long as possible. */
  #takeNumber(): number {
    if (this.#numbers.size === NUMBER_LAST) {
      throw new Error(`mesh: this node cannot carry more than ${NUMBER_LAST} networks`);
    }
    while (this.#numbers.has(this.#nextNumber)) this.#nextNumber = following(this.#nextNumber);
    const number = this.#nextNumber;
    this.#numbers.add(number);
    this.#nextNumber = following(number);
    return number;
  }
}

/** Also right for IPv6 subnets with more addresses than offsets. */
export function isIn(subnet: Subnet, address: IpAddress): boolean {
  return (
    (familyOf(address) === IPV6) === subnet.isIpv6 &&
    networkOf(address, subnet.prefixLength) === `${subnet}`
  );
}

function overlap(a: Subnet, b: Subnet): boolean {
  const [wide, narrow] = a.prefixLength <= b.prefixLength ? [a, b] : [b, a];
  return isIn(wide, narrow.addressAt(0));
}

function haveSameSubnets(a: CheckedOverlay, b: CheckedOverlay): boolean {
  const texts = new Set(a.subnets.map(String));
  return a.subnets.length === b.subnets.length && b.subnets.every((one) => texts.has(`${one}`));
}

function following(number: number): number {
  return number === NUMBER_LAST ? 1 : number + 1;
}
