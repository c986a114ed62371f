import type { IpAddress, Subnet } from '@swarm/api';
import { NameIndex } from './name-index.js';

/** A network whose names the book holds. */
export interface BookNetwork {
  readonly networkId: string;
  /** In lower case. */
  readonly name: string;
  readonly subnets: readonly Subnet[];
}

/** A service on one network. */
export interface BookService {
  readonly serviceId: string;
  /** In lower case. */
  readonly names: readonly string[];
  /** Empty when its names lead to its tasks. */
  readonly vips: readonly IpAddress[];
}

/** A task on one network. */
export interface BookMember {
  readonly taskId: string;
  /** Empty if it belongs to no service. */
  readonly serviceId: string;
  /** In lower case. */
  readonly names: readonly string[];
  readonly addresses: readonly IpAddress[];
  /** Names of its service lead to it. */
  readonly serves: boolean;
  /** Its node is up, and this node has a way to it. */
  readonly isReachable: boolean;
}

/** Characters of its id that a task is found by, as Docker's containers are. */
const SHORT_ID_CHARS = 12;

/** The names of one network. */
export class NetworkNames {
  network: BookNetwork;
  readonly #services = new Map<string, BookService>();
  readonly #members = new Map<string, BookMember>();
  readonly #servicesByName = new NameIndex<BookService>();
  readonly #membersByName = new NameIndex<BookMember>();
  readonly #membersByService = new NameIndex<BookMember>();
  readonly #servicesByAddress = new NameIndex<BookService>();
  readonly #membersByAddress = new NameIndex<BookMember>();

  constructor(network: BookNetwork) {
    this.network = network;
  }

  putService(service: BookService): void {
    this.removeService(service.serviceId);
    this.#services.set(service.serviceId, service);
    for (const name of service.names) this.#servicesByName.add(name, service);
    for (const address of service.vips) this.#servicesByAddress.add(address, service);
  }

  removeService(serviceId: string): void {
    const service = this.#services.get(serviceId);
    if (service === undefined) return;
    this.#services.delete(serviceId);
    for (const name of service.names) this.#servicesByName.remove(name, service);
    for (const address of service.vips) this.#servicesByAddress.remove(address, service);
  }

  putMember(member: BookMember): void {
    this.removeMember(member.taskId);
    this.#members.set(member.taskId, member);
    for (const name of ownNames(member)) this.#membersByName.add(name, member);
    for (const address of member.addresses) this.#membersByAddress.add(address, member);
    if (member.serviceId !== '') this.#membersByService.add(member.serviceId, member);
  }

  removeMember(taskId: string): void {
    const member = this.#members.get(taskId);
    if (member === undefined) return;
    this.#members.delete(taskId);
    for (const name of ownNames(member)) this.#membersByName.remove(name, member);
    for (const address of member.addresses) this.#membersByAddress.remove(address, member);
    this.#membersByService.remove(member.serviceId, member);
  }

  servicesNamed(name: string): Iterable<BookService> {
    return this.#servicesByName.get(name);
  }

  membersNamed(name: string): Iterable<BookMember> {
    return this.#membersByName.get(name);
  }

  membersOf(serviceId: string): Iterable<BookMember> {
    return this.#membersByService.get(serviceId);
  }

  hasMember(taskId: string): boolean {
    return this.#members.has(taskId);
  }

  servicesAt(address: string): Iterable<BookService> {
    return this.#servicesByAddress.get(address);
  }

  membersAt(address: string): Iterable<BookMember> {
    return this.#membersByAddress.get(address);
  }
}

function ownNames({ taskId, names }: BookMember): Iterable<string> {
  return new Set([...names, taskId.slice(0, SHORT_ID_CHARS).toLowerCase()]);
}

/** All names that the tasks of a node may find, by network. */
export class NameBook {
  readonly #networks = new Map<string, NetworkNames>();

  get(networkId: string): NetworkNames | undefined {
    return this.#networks.get(networkId);
  }

  /** Adds a network without names, or changes what is known of it. */
  put(network: BookNetwork): void {
    const known = this.#networks.get(network.networkId);
    if (known === undefined) this.#networks.set(network.networkId, new NetworkNames(network));
    else known.network = network;
  }

  remove(networkId: string): void {
    this.#networks.delete(networkId);
  }

  clear(): void {
    this.#networks.clear();
  }
}
