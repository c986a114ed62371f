import type { PortKey } from '@swarm/api';
import type {
  CheckedMember,
  CheckedPort,
  CheckedService,
  CheckedState,
  StateChange,
} from './checked.js';
import type { NetworkId, TaskId } from './layout.js';

/** Values in groups, each by its own key. */
class Groups<G, K, V> {
  readonly #groups = new Map<G, Map<K, V>>();
  readonly #none: ReadonlyMap<K, V> = new Map();

  get(group: G): ReadonlyMap<K, V> {
    return this.#groups.get(group) ?? this.#none;
  }

  put(group: G, key: K, value: V): void {
    const known = this.#groups.get(group);
    if (known === undefined) this.#groups.set(group, new Map([[key, value]]));
    else known.set(key, value);
  }

  delete(group: G, key: K): void {
    const known = this.#groups.get(group);
    known?.delete(key);
    if (known?.size === 0) this.#groups.delete(group);
  }

  clear(): void {
    this.#groups.clear();
  }
}

/** What of a state belongs together, so that nobody has to look through all of it. */
export class StateIndex {
  readonly #membersByService = new Groups<string, TaskId, CheckedMember>();
  readonly #membersByNetwork = new Groups<NetworkId, TaskId, CheckedMember>();
  readonly #servicesByNetwork = new Groups<NetworkId, string, CheckedService>();
  readonly #servicesByName = new Groups<string, string, CheckedService>();
  readonly #portsByService = new Groups<string, PortKey, CheckedPort>();
  readonly #withRules = new Map<string, CheckedService>();

  /** By task. */
  membersOf(serviceId: string): ReadonlyMap<TaskId, CheckedMember> {
    return this.#membersByService.get(serviceId);
  }

  /** By task. */
  membersOn(networkId: NetworkId): ReadonlyMap<TaskId, CheckedMember> {
    return this.#membersByNetwork.get(networkId);
  }

  /** By id. */
  servicesOn(networkId: NetworkId): ReadonlyMap<string, CheckedService> {
    return this.#servicesByNetwork.get(networkId);
  }

  /** By id. */
  servicesNamed(name: string): ReadonlyMap<string, CheckedService> {
    return this.#servicesByName.get(name);
  }

  portsOf(serviceId: string): ReadonlyMap<PortKey, CheckedPort> {
    return this.#portsByService.get(serviceId);
  }

  /** Services that say who may connect, by id. */
  get servicesWithRules(): ReadonlyMap<string, CheckedService> {
    return this.#withRules;
  }

  replace({ ports, services, members }: Omit<CheckedState, 'generation' | 'peers'>): void {
    this.#membersByService.clear();
    this.#membersByNetwork.clear();
    this.#servicesByNetwork.clear();
    this.#servicesByName.clear();
    this.#portsByService.clear();
    this.#withRules.clear();
    for (const [key, port] of ports) this.#putPort(key, port);
    for (const service of services.values()) this.#putService(service);
    for (const member of members.values()) this.#putMember(member);
  }

  /** @param state as it is after the change */
  change(
    { ports, services, members }: Omit<CheckedState, 'generation' | 'peers'>,
    change: StateChange,
  ): void {
    for (const [key, before] of change.ports) {
      if (before !== undefined) this.#portsByService.delete(before.serviceId, key);
      const after = ports.get(key);
      if (after !== undefined) this.#putPort(key, after);
    }
    for (const [id, before] of change.services) {
      if (before !== undefined) this.#dropService(before);
      const after = services.get(id);
      if (after !== undefined) this.#putService(after);
    }
    for (const [id, before] of change.members) {
      if (before !== undefined) this.#dropMember(before);
      const after = members.get(id);
      if (after !== undefined) this.#putMember(after);
    }
  }

  #putPort(key: PortKey, port: CheckedPort): void {
    this.#portsByService.put(port.serviceId, key, port);
  }

  #putService(service: CheckedService): void {
    const { serviceId, name, networks, allow } = service;
    this.#servicesByName.put(name, serviceId, service);
    for (const networkId of networks.keys())
      this.#servicesByNetwork.put(networkId, serviceId, service);
    if (allow !== undefined) this.#withRules.set(serviceId, service);
  }

  #dropService({ serviceId, name, networks }: CheckedService): void {
    this.#servicesByName.delete(name, serviceId);
    for (const networkId of networks.keys()) this.#servicesByNetwork.delete(networkId, serviceId);
    this.#withRules.delete(serviceId);
  }

  #putMember(member: CheckedMember): void {
    const { taskId, serviceId, networks } = member;
    if (serviceId !== '') this.#membersByService.put(serviceId, taskId, member);
    for (const networkId of networks.keys()) this.#membersByNetwork.put(networkId, taskId, member);
  }

  #dropMember({ taskId, serviceId, networks }: CheckedMember): void {
    this.#membersByService.delete(serviceId, taskId);
    for (const networkId of networks.keys()) this.#membersByNetwork.delete(networkId, taskId);
  }
}
