import { ApiError, type Clock, type Logger, SerialQueue } from '@swarm/api';
import type { TaskMesh } from '../agent/task-mesh.js';
import { EngineClient } from '../runtime/docker/engine-client.js';
import { EngineEvents } from '../runtime/docker/engine-events.js';
import { messageOf } from '../runtime/runtime-error.js';
import type { AttachmentManagers } from './attachment-managers.js';
import type { ContainerEntry } from './container-entry.js';
import { ContainerNetworks } from './container-networks.js';
import {
  type ContainerRecord,
  type ContainerWish,
  RECORDS_LIMIT,
  type WantedNetwork,
} from './container-record.js';
import type { ContainersStore } from './containers-store.js';
import { SETTLE_DELAY_MS } from './limits.js';
import { NetworkSandboxes, sandboxName } from './network-sandboxes.js';
import { PlaceComparison } from './place-comparison.js';

export interface AttachableContainersOptions {
  readonly engineSocket: string;
  readonly nodeId: string;
  readonly mesh: TaskMesh;
  readonly managers: AttachmentManagers;
  readonly store: ContainersStore;
  readonly clock: Clock;
  readonly logger: Logger;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  /** Resolves when the mesh can attach, and has kept the places of `taskIds`. */
  readonly meshStarted: () => Promise<void>;
  /** Resolves when the mesh holds a state that names the task, or after a while. */
  readonly meshNames: (taskId: string) => Promise<void>;
}

/**
 * Containers of this node's engine that join networks of the cluster.
 *
 * Each joins the network namespace of a sandbox, a container that only holds it. The sandbox is made, and attached to
 * the mesh, just before the container starts, and goes when the container has ended: so its network is complete before
 * its first instruction, and the engine can restart it by its restart policy without this daemon.
 *
 * Events only say where to look. What is true is read from the engine, and compared with the record on disk: a record
 * with a place whose container has ended gives the place back, whenever and however that happened.
 */
export class AttachableContainers {
  readonly #options: AttachableContainersOptions;
  readonly #engine: EngineClient;
  readonly #sandboxes: NetworkSandboxes;
  readonly #events: EngineEvents;
  /** By container id. */
  readonly #entries = new Map<string, ContainerEntry>();
  /** Records of containers that the engine is being asked to create. */
  readonly #creating = new Set<ContainerRecord>();
  /** Those of which an earlier run did not get the answer. */
  #left: readonly ContainerRecord[] = [];
  readonly #networks: ContainerNetworks;
  readonly #comparison: PlaceComparison;
  #closed = false;

  constructor(options: AttachableContainersOptions) {
    const { engineSocket: socketPath, clock, logger, random, nodeId } = options;
    this.#options = options;
    this.#engine = new EngineClient({ socketPath, clock, random });
    this.#sandboxes = new NetworkSandboxes({ engine: this.#engine, nodeId, clock });
    const isClosed = () => this.#closed;
    this.#networks = new ContainerNetworks({
      ...options,
      ...{ engine: this.#engine, sandboxes: this.#sandboxes.containers, isClosed },
      save: () => this.#save(),
      forget: async (containerId) => {
        this.#entries.delete(containerId);
        await this.#save();
      },
      doubt: () => this.#comparison.doubt(),
    });
    this.#comparison = new PlaceComparison({
      ...{ managers: options.managers, networks: this.#networks, entries: this.#entries },
      ...{ logger, isClosed },
    });
    this.#events = new EngineEvents({
      ...{ engine: this.#engine, clock, logger, random },
      onEvent: (id) => this.#noteEvent(id),
      onResync: () => this.#resync(),
    });
  }

  /** Tasks whose links must stay when the mesh starts. */
  get taskIds(): readonly string[] {
    return [...this.#entries.values()].flatMap(({ record }) => record.place?.Task.ID ?? []);
  }

  /** Whether there is none. */
  get isEmpty(): boolean {
    return this.#entries.size === 0;
  }

  /** By the container's whole id. */
  get(containerId: string): ContainerRecord | undefined {
    return this.#entries.get(containerId)?.record;
  }

  /** All of them, running or not. */
  list(): readonly ContainerRecord[] {
    return [...this.#entries.values()].map(({ record }) => record);
  }

  /** Reads what an earlier run left. Comes before the mesh starts. */
  async load(): Promise<void> {
    const records = await this.#options.store.load();
    this.#left = records.filter(({ containerId }) => containerId === undefined);
    for (const record of records)
      if (record.containerId !== undefined) this.#enter(record.containerId, record);
  }

  /** Follows the engine from now on. */
  start(): void {
    void this.#options.meshStarted().then(() => {
      if (!this.#closed) this.#events.start();
    });
  }

  /** A session with a manager is established: compares the node's places with what the managers have. */
  connected(): void {
    this.#comparison.doubt();
    void this.#comparison.compare();
  }

  /** @throws ApiError as `AttachmentManagers.find` */
  find(network: string): ReturnType<AttachmentManagers['find']> {
    return this.#options.managers.find(network);
  }

  /**
   * Has a container created that joins a sandbox. The sandbox comes when the container starts.
   * @param create asks the engine, with this network mode; resolves with the container's id
   */
  async create(
    wish: ContainerWish,
    create: (networkMode: string) => Promise<string>,
  ): Promise<void> {
    if (this.#entries.size + this.#creating.size >= RECORDS_LIMIT) {
      throw new ApiError(
        'FAILED_PRECONDITION',
        `this node has ${RECORDS_LIMIT} containers on networks of the cluster: remove some first`,
      );
    }
    const sandbox = sandboxName(this.#options.random);
    const record: ContainerRecord = { sandbox, wish };
    this.#creating.add(record);
    try {
      await this.#save();
      const containerId = await create(`container:${sandbox}`);
      this.#enter(containerId, { ...record, containerId });
    } finally {
      this.#creating.delete(record);
      await this.#save();
    }
  }

  /**
   * Has a container started or restarted, once its network is complete.
   * @param start asks the engine
   * @throws ApiError when it cannot get its network
   */
  async run(containerId: string, start: () => Promise<void>): Promise<void> {
    const entry = this.#entries.get(containerId);
    if (entry === undefined) return start();
    await entry.queue.run(async () => {
      await this.#networks.open(entry, containerId);
      try {
        await start();
      } finally {
        await this.#networks.settle(entry, containerId);
      }
    });
  }

  /** Joins a container to one more network, at once if it runs. @throws ApiError */
  async connect(containerId: string, network: WantedNetwork): Promise<void> {
    await this.#networks.change(this.#known(containerId), containerId, (wish) => {
      if (wish.networks.some(({ id }) => id === network.id))
        throw new ApiError(
          'PERMISSION_DENIED',
          `endpoint with name ${containerId.slice(0, 12)} already exists in network ${network.name}`,
        );
      return { ...wish, networks: [...wish.networks, network] };
    });
  }

  /** Takes a container from a network. @throws ApiError */
  async disconnect(containerId: string, networkId: string): Promise<void> {
    await this.#networks.change(this.#known(containerId), containerId, (wish) => {
      const networks = wish.networks.filter(({ id }) => id !== networkId);
      if (networks.length === wish.networks.length)
        throw new ApiError(
          'NOT_FOUND',
          `container ${containerId.slice(0, 12)} is not connected to network ${networkId}`,
        );
      if (networks.length === 0) {
        throw new ApiError(
          'FAILED_PRECONDITION',
          `container ${containerId.slice(0, 12)} has no other network: stop it instead, or connect it to another one first`,
        );
      }
      return { ...wish, networks };
    });
  }

  /** Lets go of the containers, which run on. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const { timer } of this.#entries.values()) this.#options.clock.clearTimeout(timer);
    await this.#events.close();
    this.#sandboxes.containers.close();
    await this.#engine.close();
    await Promise.all([...this.#entries.values()].map(({ queue }) => queue.idle()));
  }

  /** The node leaves its cluster: its containers lose their networks, and run on. */
  async leave(): Promise<void> {
    this.#closed = true;
    await this.#events.close();
    for (const entry of this.#entries.values()) {
      this.#options.clock.clearTimeout(entry.timer);
      await entry.queue.run(async () => {
        const { place, sandbox } = entry.record;
        if (place === undefined) return;
        try {
          await this.#options.mesh.detach(place.Task.ID);
          await this.#sandboxes.containers.remove(sandbox);
        } catch (error) {
          this.#options.logger.error({ err: error, sandbox }, 'a sandbox was left behind');
        }
      });
    }
    this.#entries.clear();
    await this.#save();
    await this.#engine.close();
  }

  /** @throws ApiError NOT_FOUND */
  #known(containerId: string): ContainerEntry {
    const entry = this.#entries.get(containerId);
    if (entry === undefined) throw new ApiError('NOT_FOUND', `No such container: ${containerId}`);
    return entry;
  }

  #enter(containerId: string, record: ContainerRecord): void {
    this.#entries.set(containerId, {
      record,
      queue: new SerialQueue(),
      isAttached: false,
      isOpening: false,
      timer: undefined,
    });
  }

  #save(): Promise<void> {
    return this.#options.store.save(() => [
      ...this.#left,
      ...this.#creating,
      ...[...this.#entries.values()].map(({ record }) => record),
    ]);
  }

  #noteEvent(containerId: string): void {
    const entry = this.#entries.get(containerId);
    if (entry === undefined || entry.timer !== undefined || this.#closed) return;
    entry.timer = this.#options.clock.setTimeout(() => {
      entry.timer = undefined;
      void this.#look(entry, containerId);
    }, SETTLE_DELAY_MS);
  }

  async #look(entry: ContainerEntry, containerId: string): Promise<void> {
    if (this.#closed) return;
    try {
      await entry.queue.run(() => this.#networks.settle(entry, containerId));
    } catch (error) {
      if (this.#closed) return;
      // The next look at everything tries again.
      this.#options.logger.warn(
        { container: containerId, error: messageOf(error) },
        'could not bring the network of a container up to date, trying again',
      );
    }
  }

  /** Looks at everything: events may have been lost, and a crash may have left something. */
  async #resync(): Promise<void> {
    await this.#nameLeft();
    for (const [containerId, entry] of this.#entries) await this.#look(entry, containerId);
    await this.#sandboxes.removeUnused(() => this.#entries.values());
    if (this.#comparison.isDue) await this.#comparison.compare();
  }

  /** Finds the containers whose creation an earlier run did not see the end of; forgets those that never were. */
  async #nameLeft(): Promise<void> {
    if (this.#left.length === 0) return;
    const found = await this.#sandboxes.users();
    for (const record of this.#left) {
      const containerId = found.get(record.sandbox);
      if (containerId !== undefined) this.#enter(containerId, { ...record, containerId });
    }
    this.#left = [];
    await this.#save();
  }
}
