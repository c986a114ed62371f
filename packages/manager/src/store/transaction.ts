import {
  ApiError,
  clientVersion,
  type Cluster,
  type Network,
  type Node,
  type PortKey,
  type Revision,
  type Service,
  ShapeError,
  showControls,
  type Task,
} from '@swarm/api';
import type { Body, Change } from './command.js';
import { idTaken, nameTaken, outOfSequence } from './errors.js';
import { isNamed, isSpecKind, type NamedKind, nameKey, nameOf } from './kinds.js';
import { countsAsManager } from './manager-nodes.js';
import {
  attachedKeysOf,
  conflictKeysOf,
  managerPortsOf,
  networkKeysOf,
  nodeNameOf,
  portKeysOf,
} from './object-keys.js';
import { readDraft } from './reading.js';
import {
  type Draft,
  type Kind,
  type Objects,
  type SetAsideObject,
  type SpecKind,
  TRANSACTION_CHANGES_LIMIT,
  type Transaction,
  type View,
} from './store.js';
import { taskParts } from './tables.js';

/** An object as the transaction left it; undefined when it removed it. */
interface Staged {
  readonly action: 'create' | 'update' | 'remove';
  readonly object: Objects[Kind] | undefined;
  /** Version in the base view; 0 for a create. */
  readonly expected: number;
  /** Whether a client wrote the spec, so that the version of this write is the one for clients. */
  readonly isSpecWrite: boolean;
}

/**
 * Changes staged over a base view. Merges several changes of one object into one. Throws at once for
 * mistakes visible already (a stale version, a taken name), so they cost no round trip.
 * Valid only while the base does not change, that is, synchronously.
 */
export class BufferedTransaction implements Transaction {
  readonly #base: View;
  readonly #time: string;
  readonly #staged = new Map<Kind, Map<string, Staged>>();
  readonly #portKeys = new WeakMap<Service, ReadonlySet<PortKey>>();
  #changes = 0;
  #sealed = false;

  /** @param timeMs what CreatedAt and UpdatedAt of the changed objects will be */
  constructor(base: View, timeMs: number) {
    this.#base = base;
    this.#time = new Date(timeMs).toISOString();
  }

  get index(): number {
    return this.#base.index;
  }

  create<K extends Kind>(kind: K, draft: Draft<K>): void {
    const id = draft.ID;
    const staged = this.#staged.get(kind)?.get(id);
    if (staged?.action === 'remove')
      throw new Error(`${kind} ${id}: removed by this transaction, an id is never used again`);
    if (this.get(kind, id) !== undefined) throw idTaken(kind, id);
    if (kind === 'cluster' && this.cluster() !== undefined) throw idTaken(kind, id);
    if (this.setAside(kind, id) !== undefined) throw idTaken(kind, id);
    const meta = { Version: { Index: 0 }, CreatedAt: this.#time, UpdatedAt: this.#time };
    const object = { ...this.#read(kind, draft, this.#template(kind, draft)), ...meta };
    this.#checkName(kind, object);
    this.#stage(kind, id, { action: 'create', object, expected: 0, isSpecWrite: true });
  }

  update<K extends Kind>(kind: K, object: Objects[K]): void {
    this.#update(kind, object, false);
  }

  updateSpec<K extends SpecKind>(kind: K, object: Objects[K]): void {
    this.#update(kind, object, true);
  }

  #update<K extends Kind>(kind: K, object: Objects[K], isClients: boolean): void {
    const current = this.get(kind, object.ID);
    if (current === undefined || current.Version.Index !== object.Version.Index)
      throw outOfSequence();
    const staged = this.#staged.get(kind)?.get(object.ID);
    const isSpecWrite = isClients || staged?.isSpecWrite === true;
    const read = versioned(kind, this.#read(kind, object, current), current, isSpecWrite);
    this.#checkName(kind, read);
    this.#stage(kind, object.ID, {
      action: staged?.action === 'create' ? 'create' : 'update',
      object: { ...read, CreatedAt: current.CreatedAt, UpdatedAt: this.#time },
      expected: current.Version.Index,
      isSpecWrite,
    });
  }

  remove(kind: Kind, id: string): void {
    const version = this.get(kind, id)?.Version.Index ?? this.setAside(kind, id)?.version;
    if (version === undefined) throw outOfSequence();
    const staged = this.#staged.get(kind)?.get(id);
    if (staged?.action === 'create') {
      this.#checkOpen();
      this.#staged.get(kind)?.delete(id);
      this.#changes -= 1;
      return;
    }
    this.#stage(kind, id, {
      action: 'remove',
      object: undefined,
      expected: version,
      isSpecWrite: false,
    });
  }

  /** Ends it: a change from now on throws, for instance from a build that awaited. */
  seal(): void {
    this.#sealed = true;
  }

  /** What to propose, in the order in which the objects were first changed within their kind. */
  changes(): Change[] {
    const changes: Change[] = [];
    for (const [kind, staged] of this.#staged) {
      for (const [id, { action, object, expected }] of staged) {
        if (action === 'remove') changes.push({ action, kind, id, expected });
        else if (action === 'create') changes.push({ action, kind, body: bodyOf(object!) });
        else changes.push({ action, kind, body: bodyOf(object!), expected });
      }
    }
    return changes;
  }

  get<K extends Kind>(kind: K, id: string): Objects[K] | undefined {
    const staged = this.#staged.get(kind)?.get(id);
    if (staged !== undefined) return staged.object as Objects[K] | undefined;
    return this.#base.get(kind, id);
  }

  list<K extends Kind>(kind: K): Iterable<Objects[K]> {
    return this.#overlay(kind, this.#base.list(kind), () => true);
  }

  count(kind: Kind): number {
    let count = this.#base.count(kind);
    for (const { action } of this.#staged.get(kind)?.values() ?? []) {
      if (action === 'create') count += 1;
      else if (action === 'remove') count -= 1;
    }
    return count;
  }

  byName<K extends NamedKind>(kind: K, name: string): Objects[K] | undefined {
    const key = nameKey(name);
    const staged = this.#staged.get(kind);
    for (const { object } of staged?.values() ?? []) {
      if (object !== undefined && nameKey(nameOf(kind, object) ?? '') === key)
        return object as Objects[K];
    }
    const found = this.#base.byName(kind, name);
    return found === undefined || staged?.has(found.ID) === true ? undefined : found;
  }

  tasksByService(serviceId: string): Iterable<Task> {
    const base = this.#base.tasksByService(serviceId);
    return this.#overlay('task', base, (task) => task.ServiceID === serviceId);
  }

  tasksByNode(nodeId: string): Iterable<Task> {
    const base = this.#base.tasksByNode(nodeId);
    return this.#overlay('task', base, (task) => task.NodeID === nodeId);
  }

  tasksBySlot(serviceId: string, slot: number): Iterable<Task> {
    const base = this.#base.tasksBySlot(serviceId, slot);
    const matches = (task: Task) => task.ServiceID === serviceId && task.Slot === slot;
    return this.#overlay('task', base, matches);
  }

  revisionsByService(serviceId: string): Iterable<Revision> {
    const base = this.#base.revisionsByService(serviceId);
    return this.#overlay('revision', base, (revision) => revision.ServiceID === serviceId);
  }

  managers(): Iterable<Node> {
    return this.#overlay('node', this.#base.managers(), countsAsManager);
  }

  nodesByName(name: string): Iterable<Node> {
    const base = this.#base.nodesByName(name);
    return this.#overlay('node', base, (node) => nodeNameOf(node) === name);
  }

  nodesByPlace(index: number): Iterable<Node> {
    const base = this.#base.nodesByPlace(index);
    return this.#overlay('node', base, ({ Mesh }) => Mesh?.Index === index);
  }

  managersByPort(key: PortKey): Iterable<Node> {
    const base = this.#base.managersByPort(key);
    return this.#overlay('node', base, (node) => managerPortsOf(node).includes(key));
  }

  nodesByConflict(key: PortKey): Iterable<Node> {
    const base = this.#base.nodesByConflict(key);
    return this.#overlay('node', base, (node) => conflictKeysOf(node).includes(key));
  }

  servicesByPort(key: PortKey): Iterable<Service> {
    const base = this.#base.servicesByPort(key);
    return this.#overlay('service', base, (service) => this.#portsOf(service).has(key));
  }

  /** Kept: a service may have a thousand ports, and each of them is looked for. */
  #portsOf(service: Service): ReadonlySet<PortKey> {
    let keys = this.#portKeys.get(service);
    if (keys === undefined) {
      keys = new Set(portKeysOf(service));
      this.#portKeys.set(service, keys);
    }
    return keys;
  }

  servicesByCreationKey(key: string): Iterable<Service> {
    const base = this.#base.servicesByCreationKey(key);
    return this.#overlay('service', base, ({ Creation }) => Creation?.Key === key);
  }

  servicesByNetwork(networkId: string): Iterable<Service> {
    const base = this.#base.servicesByNetwork(networkId);
    return this.#overlay('service', base, (one) => networkKeysOf(one).includes(networkId));
  }

  tasksByNetwork(networkId: string): Iterable<Task> {
    const base = this.#base.tasksByNetwork(networkId);
    return this.#overlay('task', base, (one) => attachedKeysOf(one).includes(networkId));
  }

  startingWith<K extends Kind>(kind: K, prefix: string): Iterable<Objects[K]> {
    const base = this.#base.startingWith(kind, prefix);
    return this.#overlay(kind, base, ({ ID }) => ID.startsWith(prefix));
  }

  ingressNetwork(): Network | undefined {
    if (!this.#staged.has('network')) return this.#base.ingressNetwork();
    for (const network of this.list('network')) if (network.Spec.Ingress) return network;
    return undefined;
  }

  cluster(): Cluster | undefined {
    for (const cluster of this.list('cluster')) return cluster;
    return undefined;
  }

  setAside(kind: Kind, id: string): SetAsideObject | undefined {
    return this.#staged.get(kind)?.has(id) === true ? undefined : this.#base.setAside(kind, id);
  }

  *allSetAside(kind: Kind): Iterable<SetAsideObject> {
    const staged = this.#staged.get(kind);
    for (const object of this.#base.allSetAside(kind)) {
      if (staged?.has(object.id) !== true) yield object;
    }
  }

  /**
   * What goes into the log: the fields that the kind has, each of its type.
   * @throws ApiError INTERNAL that names the field: callers check their input before they build a transaction
   */
  #read<K extends Kind>(kind: K, object: Draft<K>, known: object | undefined): Objects[K] {
    try {
      return readDraft(kind, object, known);
    } catch (error) {
      if (!(error instanceof ShapeError)) throw error;
      throw new ApiError(
        'INTERNAL',
        `${kind} ${showControls(String(object.ID)).slice(0, 64)} cannot be stored: ${error.message}`,
        { cause: error },
      );
    }
  }

  /** The parts of a new task that its service has, which need not be read again. */
  #template<K extends Kind>(kind: K, draft: Draft<K>): object | undefined {
    if (kind !== 'task') return undefined;
    const service = this.get('service', (draft as Draft<'task'>).ServiceID);
    return service === undefined ? undefined : taskParts(service);
  }

  /** The base with staged objects in its place, in order of id; as staged when the call was made. */
  #overlay<K extends Kind>(
    kind: K,
    base: Iterable<Objects[K]>,
    matches: (object: Objects[K]) => boolean,
  ): Iterable<Objects[K]> {
    const staged = this.#staged.get(kind);
    if (staged === undefined || staged.size === 0) return base;
    const hidden = new Set(staged.keys());
    const extra: Objects[K][] = [];
    for (const { object } of staged.values()) {
      if (object !== undefined && matches(object as Objects[K])) extra.push(object as Objects[K]);
    }
    extra.sort((a, b) => (a.ID < b.ID ? -1 : 1));
    return merge(base, hidden, extra);
  }

  #checkName<K extends Kind>(kind: K, object: Objects[K]): void {
    if (!isNamed(kind)) return;
    const name = nameOf(kind, object);
    if (name === undefined) return;
    const holder = this.byName(kind, name);
    if (holder !== undefined && holder.ID !== object.ID) throw nameTaken(kind, name);
  }

  #checkOpen(): void {
    if (this.#sealed) throw new Error('the transaction is over: build it without awaiting');
  }

  #stage(kind: Kind, id: string, staged: Staged): void {
    this.#checkOpen();
    let ofKind = this.#staged.get(kind);
    if (ofKind === undefined) {
      ofKind = new Map();
      this.#staged.set(kind, ofKind);
    }
    if (!ofKind.has(id)) {
      if (this.#changes >= TRANSACTION_CHANGES_LIMIT) {
        throw new ApiError(
          'TOO_LARGE',
          `a transaction changes at most ${TRANSACTION_CHANGES_LIMIT} objects: split it`,
        );
      }
      this.#changes += 1;
    }
    ofKind.set(id, staged);
  }
}

/** The object with the version for clients that this write leaves. */
function versioned<K extends Kind>(
  kind: K,
  object: Objects[K],
  current: Objects[K],
  isSpecWrite: boolean,
): Objects[K] {
  if (!isSpecKind(kind)) return object;
  const { ClientVersion: _, ...rest } = object as Objects[SpecKind];
  const kept = isSpecWrite ? {} : { ClientVersion: clientVersion(current as Objects[SpecKind]) };
  return { ...rest, ...kept } as Objects[K];
}

function bodyOf(object: Objects[Kind]): Body {
  const { Version: _version, CreatedAt: _created, UpdatedAt: _updated, ...body } = object;
  return body as Body;
}

function* merge<T extends { readonly ID: string }>(
  base: Iterable<T>,
  hidden: ReadonlySet<string>,
  extra: readonly T[],
): Iterable<T> {
  let next = 0;
  for (const object of base) {
    while (next < extra.length && extra[next]!.ID < object.ID) yield extra[next++]!;
    if (!hidden.has(object.ID)) yield object;
  }
  while (next < extra.length) yield extra[next++]!;
}
