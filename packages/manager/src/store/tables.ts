import type { Cluster, Task } from '@swarm/api';
import { isNamed, KINDS, type NamedKind, nameKey, nameOf } from './kinds.js';
import { SortedIds } from './sorted-ids.js';
import type { Kind, Objects, View } from './store.js';

interface Table {
  readonly objects: Map<string, Objects[Kind]>;
  readonly ids: SortedIds;
}

/**
 * The objects in memory with their indexes. Objects are replaced, never changed; reading is
 * synchronous, so what is read between two awaits is consistent.
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
  readonly #tasksByService = new Map<string, SortedIds>();
  readonly #tasksByNode = new Map<string, SortedIds>();
  readonly #tasksBySlot = new Map<string, SortedIds>();

  constructor() {
    const table = (): Table => ({ objects: new Map(), ids: new SortedIds() });
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
    const id = this.#names[kind].get(nameKey(name));
    return id === undefined ? undefined : this.get(kind, id);
  }

  tasksByService(serviceId: string): Iterable<Task> {
    return this.#resolve('task', this.#tasksByService.get(serviceId));
  }

  tasksByNode(nodeId: string): Iterable<Task> {
    return this.#resolve('task', this.#tasksByNode.get(nodeId));
  }

  tasksBySlot(serviceId: string, slot: number): Iterable<Task> {
    return this.#resolve('task', this.#tasksBySlot.get(slotKey(serviceId, slot)));
  }

  cluster(): Cluster | undefined {
    for (const cluster of this.#tables.cluster.objects.values()) return cluster as Cluster;
    return undefined;
  }

  /** The log index that the tables are now of. */
  setIndex(index: number): void {
    this.#index = index;
  }

  /** Adds or replaces. The caller has checked that the name is free. */
  put<K extends Kind>(kind: K, object: Objects[K]): void {
    const table = this.#tables[kind];
    const previous = table.objects.get(object.ID) as Objects[K] | undefined;
    table.objects.set(object.ID, object);
    if (previous === undefined) table.ids.add(object.ID);
    else this.#unindex(kind, previous, object);
    this.#enter(kind, object);
  }

  delete(kind: Kind, id: string): void {
    const table = this.#tables[kind];
    const previous = table.objects.get(id);
    if (previous === undefined) return;
    table.objects.delete(id);
    table.ids.delete(id);
    this.#unindex(kind, previous, undefined);
  }

  #enter<K extends Kind>(kind: K, object: Objects[K]): void {
    if (isNamed(kind)) {
      this.#names[kind].set(nameKey(nameOf(kind, object) as string), object.ID);
    } else if (kind === 'task') {
      const task = object as Task;
      add(this.#tasksByService, task.ServiceID, task.ID);
      add(this.#tasksBySlot, slotKey(task.ServiceID, task.Slot), task.ID);
      if (task.NodeID !== undefined) add(this.#tasksByNode, task.NodeID, task.ID);
    }
  }

  /** Leaves index entries alone that `next` needs again: most updates change none. */
  #unindex<K extends Kind>(kind: K, previous: Objects[K], next: Objects[K] | undefined): void {
    if (isNamed(kind)) {
      const key = nameKey(nameOf(kind, previous) as string);
      // Within one entry another object may have taken the name already.
      if (this.#names[kind].get(key) === previous.ID) this.#names[kind].delete(key);
    } else if (kind === 'task') {
      const old = previous as Task;
      const task = next as Task | undefined;
      if (old.ServiceID !== task?.ServiceID) drop(this.#tasksByService, old.ServiceID, old.ID);
      if (old.ServiceID !== task?.ServiceID || old.Slot !== task.Slot)
        drop(this.#tasksBySlot, slotKey(old.ServiceID, old.Slot), old.ID);
      if (old.NodeID !== undefined && old.NodeID !== task?.NodeID)
        drop(this.#tasksByNode, old.NodeID, old.ID);
    }
  }

  *#resolve<K extends Kind>(kind: K, ids: SortedIds | undefined): Iterable<Objects[K]> {
    if (ids === undefined) return;
    const objects = this.#tables[kind].objects;
    for (const id of ids) {
      const object = objects.get(id);
      if (object !== undefined) yield object as Objects[K];
    }
  }
}

function slotKey(serviceId: string, slot: number): string {
  return `${serviceId}/${slot}`;
}

function add(index: Map<string, SortedIds>, key: string, id: string): void {
  let ids = index.get(key);
  if (ids === undefined) {
    ids = new SortedIds();
    index.set(key, ids);
  }
  ids.add(id);
}

function drop(index: Map<string, SortedIds>, key: string, id: string): void {
  const ids = index.get(key);
  if (ids === undefined) return;
  ids.delete(id);
  if (ids.size === 0) index.delete(key);
}
