import {
  ApiError,
  type Clock,
  type Cluster,
  type Network,
  type Node,
  type PortKey,
  type Revision,
  type Service,
  type Task,
  type Timer,
} from '@swarm/api';
import type { ApplyResult } from './apply.js';
import { rejectionError } from './errors.js';
import { type FeatureLevels, levelOf, limitTo } from './feature-levels.js';
import type { NamedKind } from './kinds.js';
import type { MemoryState } from './memory-state.js';
import { KINDS } from './kinds.js';
import { proposalError } from './proposal-error.js';
import { SteadyTime } from './steady-time.js';
import {
  type Kind,
  type Objects,
  type SetAsideObject,
  type Store,
  type StoreChange,
  TRANSACTION_BYTES_LIMIT,
  type Transaction,
} from './store.js';
import { BufferedTransaction } from './transaction.js';

/** Longest wait for a proposal, milliseconds. */
export const PROPOSAL_TIMEOUT_MS = 10_000;

/**
 * Brings one log entry to the members (RaftNode's `propose`). Resolves when the entry is applied here,
 * with what applying it gave.
 */
export type Propose = (
  data: Uint8Array,
) => Promise<{ readonly index: number; readonly result: unknown }>;

export interface ReplicatedStoreOptions {
  /** What the log is applied to, on this member. */
  readonly state: MemoryState;
  readonly propose: Propose;
  readonly clock: Clock;
  /** Default FEATURE_LEVELS. */
  readonly levels?: FeatureLevels;
  /** Default PROPOSAL_TIMEOUT_MS. */
  readonly timeoutMs?: number;
}

/** The store over a log. Reads see the state applied here; writes go through the log. */
export class ReplicatedStore implements Store {
  readonly #state: MemoryState;
  readonly #propose: Propose;
  readonly #clock: Clock;
  readonly #levels: FeatureLevels | undefined;
  readonly #timeoutMs: number;
  readonly #time: SteadyTime;

  constructor(options: ReplicatedStoreOptions) {
    this.#state = options.state;
    this.#propose = options.propose;
    this.#clock = options.clock;
    this.#levels = options.levels;
    this.#timeoutMs = options.timeoutMs ?? PROPOSAL_TIMEOUT_MS;
    this.#time = new SteadyTime(options.clock);
    this.#followAll();
    this.#state.watch((change) => this.#follow(change));
  }

  async transact<T>(build: (transaction: Transaction) => T): Promise<T> {
    const timeMs = this.#time.now();
    const transaction = new BufferedTransaction(this.#state.view, timeMs);
    let value: T;
    try {
      value = build(transaction);
    } finally {
      transaction.seal();
    }
    const cluster = this.#state.view.cluster();
    const level = cluster === undefined ? undefined : levelOf(cluster);
    const changes = limitTo(level, transaction.changes(), this.#levels);
    if (changes.length === 0) return value;
    const data = this.#state.codec.encodeCommand({ timeMs, changes });
    if (data.length > TRANSACTION_BYTES_LIMIT) {
      throw new ApiError(
        'TOO_LARGE',
        `a transaction of ${data.length} bytes is over the limit of ${TRANSACTION_BYTES_LIMIT}: split it or make its objects smaller`,
      );
    }
    const result = (await this.#commit(data)) as ApplyResult;
    if (!result.accepted) throw rejectionError(result.rejection);
    return value;
  }

  timeMs(): number {
    return this.#time.now();
  }

  /** Raises our time to that of applied entries, whose proposers' clocks may be ahead of ours. */
  #follow({ reset, events }: StoreChange): void {
    if (reset) this.#followAll();
    // What one entry changed has one time; what it removed keeps an older one.
    const changed = events.find(({ action }) => action !== 'remove');
    if (changed !== undefined) this.#time.raise(Date.parse(changed.object.UpdatedAt));
  }

  #followAll(): void {
    let newest = '';
    for (const kind of KINDS) {
      // RFC 3339 in UTC with a fixed number of digits: the order of text is that of time.
      for (const { UpdatedAt } of this.list(kind)) if (UpdatedAt > newest) newest = UpdatedAt;
    }
    if (newest !== '') this.#time.raise(Date.parse(newest));
  }

  watch(listener: (change: StoreChange) => void): () => void {
    return this.#state.watch(listener);
  }

  async #commit(data: Uint8Array): Promise<unknown> {
    let timer: Timer | undefined;
    const timedOut = new Promise<never>((_resolve, reject) => {
      timer = this.#clock.setTimeout(() => {
        const seconds = this.#timeoutMs / 1000;
        reject(
          new ApiError(
            'TIMEOUT',
            `the change was not committed within ${seconds} s; it may still be: check before you repeat it`,
          ),
        );
      }, this.#timeoutMs);
    });
    try {
      const { index, result } = await Promise.race([this.#propose(data), timedOut]);
      if (index > this.#state.view.index) throw new Error(`entry ${index} is not applied here`);
      return result;
    } catch (error) {
      throw proposalError(error);
    } finally {
      this.#clock.clearTimeout(timer);
    }
  }

  get index(): number {
    return this.#state.view.index;
  }

  get<K extends Kind>(kind: K, id: string): Objects[K] | undefined {
    return this.#state.view.get(kind, id);
  }

  list<K extends Kind>(kind: K): Iterable<Objects[K]> {
    return this.#state.view.list(kind);
  }

  count(kind: Kind): number {
    return this.#state.view.count(kind);
  }

  byName<K extends NamedKind>(kind: K, name: string): Objects[K] | undefined {
    return this.#state.view.byName(kind, name);
  }

  tasksByService(serviceId: string): Iterable<Task> {
    return this.#state.view.tasksByService(serviceId);
  }

  tasksByNode(nodeId: string): Iterable<Task> {
    return this.#state.view.tasksByNode(nodeId);
  }

  tasksBySlot(serviceId: string, slot: number): Iterable<Task> {
    return this.#state.view.tasksBySlot(serviceId, slot);
  }

  revisionsByService(serviceId: string): Iterable<Revision> {
    return this.#state.view.revisionsByService(serviceId);
  }

  managers(): Iterable<Node> {
    return this.#state.view.managers();
  }

  nodesByName(name: string): Iterable<Node> {
    return this.#state.view.nodesByName(name);
  }

  nodesByPlace(index: number): Iterable<Node> {
    return this.#state.view.nodesByPlace(index);
  }

  managersByPort(key: PortKey): Iterable<Node> {
    return this.#state.view.managersByPort(key);
  }

  nodesByConflict(key: PortKey): Iterable<Node> {
    return this.#state.view.nodesByConflict(key);
  }

  servicesByPort(key: PortKey): Iterable<Service> {
    return this.#state.view.servicesByPort(key);
  }

  servicesByCreationKey(key: string): Iterable<Service> {
    return this.#state.view.servicesByCreationKey(key);
  }

  servicesByNetwork(networkId: string): Iterable<Service> {
    return this.#state.view.servicesByNetwork(networkId);
  }

  tasksByNetwork(networkId: string): Iterable<Task> {
    return this.#state.view.tasksByNetwork(networkId);
  }

  startingWith<K extends Kind>(kind: K, prefix: string): Iterable<Objects[K]> {
    return this.#state.view.startingWith(kind, prefix);
  }

  ingressNetwork(): Network | undefined {
    return this.#state.view.ingressNetwork();
  }

  cluster(): Cluster | undefined {
    return this.#state.view.cluster();
  }

  setAside(kind: Kind, id: string): SetAsideObject | undefined {
    return this.#state.view.setAside(kind, id);
  }

  allSetAside(kind: Kind): Iterable<SetAsideObject> {
    return this.#state.view.allSetAside(kind);
  }
}
