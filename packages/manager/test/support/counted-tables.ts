import type { Cluster, Network, Node, PortKey, Revision, Service, Task } from '@swarm/api';
import type { NamedKind } from '../../src/store/kinds.js';
import type { Kind, Objects } from '../../src/store/store.js';
import { Tables } from '../../src/store/tables.js';

/** How many objects readers were handed. */
export interface Visits {
  count: number;
}

/** Tables that count the objects that they hand out, by whichever way. */
export class CountedTables extends Tables {
  readonly #visits: Visits;

  constructor(visits: Visits) {
    super();
    this.#visits = visits;
  }

  override get<K extends Kind>(kind: K, id: string): Objects[K] | undefined {
    return this.#one(super.get(kind, id));
  }

  override list<K extends Kind>(kind: K): Iterable<Objects[K]> {
    return this.#each(super.list(kind));
  }

  override startingWith<K extends Kind>(kind: K, prefix: string): Iterable<Objects[K]> {
    return this.#each(super.startingWith(kind, prefix));
  }

  override byName<K extends NamedKind>(kind: K, name: string): Objects[K] | undefined {
    return this.#one(super.byName(kind, name));
  }

  override tasksByService(serviceId: string): Iterable<Task> {
    return this.#each(super.tasksByService(serviceId));
  }

  override tasksByNode(nodeId: string): Iterable<Task> {
    return this.#each(super.tasksByNode(nodeId));
  }

  override tasksBySlot(serviceId: string, slot: number): Iterable<Task> {
    return this.#each(super.tasksBySlot(serviceId, slot));
  }

  override revisionsByService(serviceId: string): Iterable<Revision> {
    return this.#each(super.revisionsByService(serviceId));
  }

  override managers(): Iterable<Node> {
    return this.#each(super.managers());
  }

  override nodesByName(name: string): Iterable<Node> {
    return this.#each(super.nodesByName(name));
  }

  override nodesByPlace(index: number): Iterable<Node> {
    return this.#each(super.nodesByPlace(index));
  }

  override managersByPort(key: PortKey): Iterable<Node> {
    return this.#each(super.managersByPort(key));
  }

  override nodesByConflict(key: PortKey): Iterable<Node> {
    return this.#each(super.nodesByConflict(key));
  }

  override servicesByPort(key: PortKey): Iterable<Service> {
    return this.#each(super.servicesByPort(key));
  }

  override servicesByNetwork(networkId: string): Iterable<Service> {
    return this.#each(super.servicesByNetwork(networkId));
  }

  override tasksByNetwork(networkId: string): Iterable<Task> {
    return this.#each(super.tasksByNetwork(networkId));
  }

  override ingressNetwork(): Network | undefined {
    return this.#one(super.ingressNetwork());
  }

  override cluster(): Cluster | undefined {
    return this.#one(super.cluster());
  }

  #one<T>(object: T): T {
    if (object !== undefined) this.#visits.count += 1;
    return object;
  }

  *#each<T>(objects: Iterable<T>): Iterable<T> {
    for (const object of objects) yield this.#one(object);
  }
}
