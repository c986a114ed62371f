import type { Cluster, Network, Node, PortKey, Revision, Service, Task } from '@swarm/api';
import { Indexes } from './indexes.js';
import { isNamed, KINDS, type NamedKind, nameKey, nameOf } from './kinds.js';
import { readObject } from './reading.js';
import { SortedIds } from './sorted-ids.js';
import type { Kind, Objects, SetAsideObject, View } from './store.js';

interface Table {
  /** As they may be read. */
  readonly objects: Map<string, Objects[Kind]>;
  readonly ids: SortedIds;
  /** What is stored, where it differs from what may be read; usually empty. */
  readonly flawed: Map<string, Flawed>;
}

/** A stored object that does not have the shape of its kind. */
export interface Flawed {
  readonly stored: Objects[Kind];
  readonly faults: readonly string[];
  /** Whether readers get a mended copy, or nothing. */
  readonly isMended: boolean;
}

/** What readers see of one change; undefined where there was or is nothing that can be read. */
export interface Replaced<K extends Kind = Kind> {
  readonly before: Objects[K] | undefined;
  readonly after: Objects[K] | undefined;
}

/**
 * The objects in memory with their indexes. Objects are replaced, never changed; reading is
 * synchronous, so what is read between two awaits is consistent.
 *
 * If what is stored differs from what may be read, keeps both. Applying a change looks only at what is stored
 * (`stored`, `holderOf`, `hasCluster`); all other readers only at what may be read.
 */
export class Tables implements View {
  #index = 0;
  readonly #tables: Readonly<Record<Kind, Table>>;
  readonly #names: Readonly<Record<NamedKind, Map<string, string>>> = {
    service: new Map(),
    network: new Map(),
    secret: new Map(),
    config: new Map(),
  };
  readonly #indexes = new Indexes();

  constructor() {
    const table = (): Table => ({ objects: new Map(), ids: new SortedIds(), flawed: new Map() });
    this.#tables = Object.fromEntries(KINDS.map((kind) => [kind, table()])) as Record<Kind, Table>;
  }

  get index(): number {
    return this.#index;
  }

  get<K extends Kind>(kind: K, id: string): Objects[K] | undefined {
    return this.#tables[kind].objects.get(id) as Objects[K] | undefined;
  }

  list<K extends Kind>(kind: K): Iterable<Objects[K]> {
    return this.#resolve(kind, this.#tables[kind].ids);
  }

  count(kind: Kind): number {
    return this.#tables[kind].objects.size;
  }

  byName<K extends NamedKind>(kind: K, name: string): Objects[K] | undefined {
    const id = this.holderOf(kind, name);
    return id === undefined ? undefined : this.get(kind, id);
  }

  tasksByService(serviceId: string): Iterable<Task> {
    return this.#resolve('task', this.#indexes.tasksByService(serviceId));
  }

  tasksByNode(nodeId: string): Iterable<Task> {
    return this.#resolve('task', this.#indexes.tasksByNode(nodeId));
  }

  tasksBySlot(serviceId: string, slot: number): Iterable<Task> {
    return this.#resolve('task', this.#indexes.tasksBySlot(serviceId, slot));
  }

  revisionsByService(serviceId: string): Iterable<Revision> {
    return this.#resolve('revision', this.#indexes.revisionsByService(serviceId));
  }

  managers(): Iterable<Node> {
    return this.#resolve('node', this.#indexes.managers());
  }

  nodesByName(name: string): Iterable<Node> {
    return this.#resolve('node', this.#indexes.nodesByName(name));
  }

  nodesByPlace(index: number): Iterable<Node> {
    return this.#resolve('node', this.#indexes.nodesByPlace(index));
  }

  managersByPort(key: PortKey): Iterable<Node> {
    return this.#resolve('node', this.#indexes.managersByPort(key));
  }

  nodesByConflict(key: PortKey): Iterable<Node> {
    return this.#resolve('node', this.#indexes.nodesByConflict(key));
  }

  servicesByPort(key: PortKey): Iterable<Service> {
    return this.#resolve('service', this.#indexes.servicesByPort(key));
  }

  servicesByCreationKey(key: string): Iterable<Service> {
    return this.#resolve('service', this.#indexes.servicesByCreationKey(key));
  }

  servicesByNetwork(networkId: string): Iterable<Service> {
    return this.#resolve('service', this.#indexes.servicesByNetwork(networkId));
  }

  tasksByNetwork(networkId: string): Iterable<Task> {
    return this.#resolve('task', this.#indexes.tasksByNetwork(networkId));
  }

  startingWith<K extends Kind>(kind: K, prefix: string): Iterable<Objects[K]> {
    return this.#resolve(kind, this.#tables[kind].ids.startingWith(prefix));
  }

  ingressNetwork(): Network | undefined {
    for (const network of this.#resolve('network', this.#indexes.ingressNetworks())) return network;
    return undefined;
  }

  cluster(): Cluster | undefined {
    for (const cluster of this.#tables.cluster.objects.values()) return cluster as Cluster;
    return undefined;
  }

  setAside(kind: Kind, id: string): SetAsideObject | undefined {
    const { flawed } = this.#tables[kind];
    // Fast path: usually nothing is set aside.
    if (flawed.size === 0) return undefined;
    const flaw = flawed.get(id) ?? flawed.get(isNamed(kind) ? (this.holderOf(kind, id) ?? '') : '');
    return flaw === undefined ? undefined : setAsideOf(kind, flaw);
  }

  *allSetAside(kind: Kind): Iterable<SetAsideObject> {
    for (const flaw of this.#tables[kind].flawed.values()) {
      const object = setAsideOf(kind, flaw);
      if (object !== undefined) yield object;
    }
  }

  /** The object as the log and the database have it. Changes are checked against it. */
  stored(kind: Kind, id: string): Objects[Kind] | undefined {
    const table = this.#tables[kind];
    return table.flawed.get(id)?.stored ?? table.objects.get(id);
  }

  /** Id of the stored object that has the name, one that cannot be read included. */
  holderOf(kind: NamedKind, name: string): string | undefined {
    return this.#names[kind].get(nameKey(name));
  }

  /** Whether any cluster object is stored. */
  hasCluster(): boolean {
    const { objects, flawed } = this.#tables.cluster;
    return objects.size + flawed.size > 0;
  }

  /** All objects of a kind as they are stored, in no order. */
  *allStored(kind: Kind): Iterable<Objects[Kind]> {
    const { objects, flawed } = this.#tables[kind];
    for (const { stored } of flawed.values()) yield stored;
    for (const [id, object] of objects) if (!flawed.has(id)) yield object;
  }

  /** What is wrong with an object; undefined for a good one. */
  flaw(kind: Kind, id: string): Flawed | undefined {
    return this.#tables[kind].flawed.get(id);
  }

  /** Ids of the objects of a kind that have a flaw. */
  flawed(kind: Kind): Iterable<string> {
    return this.#tables[kind].flawed.keys();
  }

  /** The log index that the tables are now of. */
  setIndex(index: number): void {
    this.#index = index;
  }

  /** Adds or replaces. The caller has checked that the name is free. */
  put<K extends Kind>(kind: K, stored: Objects[K]): Replaced<K> {
    const { ID } = stored;
    const table = this.#tables[kind];
    const before = table.objects.get(ID) as Objects[K] | undefined;
    const { object: after, faults } = readObject(
      kind,
      stored,
      before ?? this.#template(kind, stored),
    );
    this.#renameTo(kind, ID, nameOf(kind, stored));
    if (after === stored) table.flawed.delete(ID);
    else table.flawed.set(ID, { stored, faults, isMended: after !== undefined });
    if (after === undefined) {
      table.objects.delete(ID);
      table.ids.delete(ID);
    } else {
      table.objects.set(ID, after);
      if (before === undefined) table.ids.add(ID);
    }
    this.#indexes.replace(kind, before, after);
    return { before, after };
  }

  delete<K extends Kind>(kind: K, id: string): Replaced<K> {
    const table = this.#tables[kind];
    const before = table.objects.get(id) as Objects[K] | undefined;
    this.#renameTo(kind, id, undefined);
    table.objects.delete(id);
    table.ids.delete(id);
    table.flawed.delete(id);
    this.#indexes.replace(kind, before, undefined);
    return { before, after: undefined };
  }

  /** The object whose already read parts a new one may share: for a task, its service. */
  #template(kind: Kind, object: Objects[Kind]): object | undefined {
    if (kind !== 'task') return undefined;
    const service = this.get('service', (object as Task).ServiceID);
    return service === undefined ? undefined : taskParts(service);
  }

  /** Indexes the stored name: whether a name is free must not depend on what can be read here. */
  #renameTo(kind: Kind, id: string, name: string | undefined): void {
    if (!isNamed(kind)) return;
    const names = this.#names[kind];
    const previous = this.stored(kind, id);
    const old = previous === undefined ? undefined : nameOf(kind, previous);
    // Within one entry another object may have taken the name already.
    if (old !== undefined && names.get(nameKey(old)) === id) names.delete(nameKey(old));
    if (name !== undefined) names.set(nameKey(name), id);
  }

  *#resolve<K extends Kind>(kind: K, ids: Iterable<string> | undefined): Iterable<Objects[K]> {
    if (ids === undefined) return;
    const objects = this.#tables[kind].objects;
    for (const id of ids) {
      const object = objects.get(id);
      if (object !== undefined) yield object as Objects[K];
    }
  }
}

function setAsideOf(kind: Kind, { stored, faults, isMended }: Flawed): SetAsideObject | undefined {
  if (isMended) return undefined;
  return { kind, id: stored.ID, version: stored.Version.Index, reason: faults.at(-1)! };
}

/** The parts that a new task of the service has in common with it, each of one shape in both. */
export function taskParts(service: Service): object {
  return {
    Spec: service.Spec.TaskTemplate,
    SpecVersion: service.SpecVersion,
    ServiceLabels: service.Spec.Labels,
  };
}
