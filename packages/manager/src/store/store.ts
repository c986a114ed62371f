import type {
  Cluster,
  Config,
  Meta,
  Network,
  Node,
  PortKey,
  RemovedNode,
  Revision,
  Secret,
  Service,
  Task,
} from '@swarm/api';

/** Everything the cluster remembers, by kind. */
export interface Objects {
  cluster: Cluster;
  node: Node;
  service: Service;
  task: Task;
  network: Network;
  secret: Secret;
  config: Config;
  revision: Revision;
  'removed-node': RemovedNode;
}
export type Kind = keyof Objects;

/** Kinds that both clients and the cluster write. */
export type SpecKind = 'cluster' | 'node' | 'service';

/** An object as it is handed to `create`: the store adds the rest of Meta. */
export type Draft<K extends Kind> = Omit<Objects[K], Exclude<keyof Meta, 'ID'>>;

/**
 * Immutable objects, indexed. Iteration is in order of id. Every object has the shape of its kind, whatever
 * is stored: the view leaves out bad parts that can be spared, and objects that cannot be read (see
 * `readObject`).
 */
export interface View {
  /** Log index this view is of. */
  readonly index: number;
  get<K extends Kind>(kind: K, id: string): Objects[K] | undefined;
  /** All objects of a kind. For a loop's start and for requests that list: a change must not cost this. */
  list<K extends Kind>(kind: K): Iterable<Objects[K]>;
  /** The objects whose ids start with a text. */
  startingWith<K extends Kind>(kind: K, prefix: string): Iterable<Objects[K]>;
  count(kind: Kind): number;
  /** Service, network, secret, config by Spec.Name; names are unique within a kind. */
  byName<K extends 'service' | 'network' | 'secret' | 'config'>(
    kind: K,
    name: string,
  ): Objects[K] | undefined;
  tasksByService(serviceId: string): Iterable<Task>;
  tasksByNode(nodeId: string): Iterable<Task>;
  tasksBySlot(serviceId: string, slot: number): Iterable<Task>;
  revisionsByService(serviceId: string): Iterable<Revision>;
  /** Nodes that count as managers (see `countsAsManager`), in order of id. */
  managers(): Iterable<Node>;
  /** Nodes by Spec.Name or, without one, by hostname. */
  nodesByName(name: string): Iterable<Node>;
  /** Nodes by their index in the mesh; usually one. */
  nodesByPlace(index: number): Iterable<Node>;
  /** Managers that listen on the port, or are reached there. */
  managersByPort(key: PortKey): Iterable<Node>;
  /** Nodes that say that they do not serve the published port. */
  nodesByConflict(key: PortKey): Iterable<Node>;
  /** Services whose spec names the published port, or that were given it. */
  servicesByPort(key: PortKey): Iterable<Service>;
  /** Services that a request with this key made (see `Creation`); usually one. */
  servicesByCreationKey(key: string): Iterable<Service>;
  /** Services whose spec names the network by its id, or that have a virtual address in it. */
  servicesByNetwork(networkId: string): Iterable<Service>;
  /** Tasks that are attached to the network, ended ones too. */
  tasksByNetwork(networkId: string): Iterable<Task>;
  /** The network of ports that are published on every node. There is one; of several, that of the lowest id. */
  ingressNetwork(): Network | undefined;
  /** The one cluster object; absent only before `init` has been applied. */
  cluster(): Cluster | undefined;
  /**
   * An object that is stored but cannot be read, which nothing else here shows. Check this before treating an
   * absent object as removed. Undefined for all others.
   * @param id or the name, where names are unique
   */
  setAside(kind: Kind, id: string): SetAsideObject | undefined;
  /** All objects of a kind that cannot be read, in no order; usually none. */
  allSetAside(kind: Kind): Iterable<SetAsideObject>;
}

/** A stored object that cannot be read (see `readObject`). It stays as it is until it is replaced or removed. */
export interface SetAsideObject {
  readonly kind: Kind;
  readonly id: string;
  readonly version: number;
  /** What is wrong with it: `Spec.Mode: must be an object, not a number`. */
  readonly reason: string;
}

/** A view that sees its own changes. Nothing is visible to others before it is committed. */
export interface Transaction extends View {
  /** Precondition on apply: id and name are free. */
  create<K extends Kind>(kind: K, object: Draft<K>): void;
  /**
   * The cluster's own write. What a client has read of the object stays current: see `ClientVersioned`.
   * Precondition on apply: the stored version is still `object.Version`.
   */
  update<K extends Kind>(kind: K, object: Objects[K]): void;
  /**
   * A client's write of the spec: every other client has to read the object again before it writes.
   * Precondition on apply: as for `update`.
   */
  updateSpec<K extends SpecKind>(kind: K, object: Objects[K]): void;
  /** Precondition on apply: the stored version is still the one this transaction saw. */
  remove(kind: Kind, id: string): void;
}

export type StoreEvent = {
  [K in Kind]:
    | { readonly action: 'create'; readonly kind: K; readonly object: Objects[K] }
    | {
        readonly action: 'update';
        readonly kind: K;
        readonly object: Objects[K];
        readonly previous: Objects[K];
      }
    | { readonly action: 'remove'; readonly kind: K; readonly object: Objects[K] };
}[Kind];

/** What one applied log entry did, or `reset`: a snapshot replaced everything, look at it afresh. */
export interface StoreChange {
  readonly index: number;
  /** Time of the entry, the same on every member, milliseconds since the epoch; 0 for a reset. */
  readonly timeMs: number;
  readonly reset: boolean;
  readonly events: readonly StoreEvent[];
}

/** Most changes and bytes of one transaction (one log entry). */
export const TRANSACTION_CHANGES_LIMIT = 200;
export const TRANSACTION_BYTES_LIMIT = 1536 * 1024;

/** The replicated store, as everything but Raft sees it. Its view members read the state applied here. */
export interface Store extends View {
  /**
   * Runs `build` at once on the applied state, proposes its changes as one log entry, and resolves
   * with what it returned when they are applied here. A build without changes proposes nothing.
   * @throws ApiError OUT_OF_SEQUENCE when an object changed in between, CONFLICT when a name or id is
   *   taken, NO_QUORUM or TIMEOUT when it could not be committed (TIMEOUT: it still may be),
   *   NOT_LEADER-like failures as NO_QUORUM; whatever `build` throws.
   */
  transact<T>(build: (transaction: Transaction) => T): Promise<T>;
  /**
   * Time on the scale of CreatedAt and UpdatedAt, milliseconds since the epoch: the wall clock, except that it
   * never goes back, not even from one leader to the next. Use it for whatever is compared with those.
   */
  timeMs(): number;
  /** Calls the watcher synchronously after each applied entry that changed something. @returns a function that ends it */
  watch(listener: (change: StoreChange) => void): () => void;
}
