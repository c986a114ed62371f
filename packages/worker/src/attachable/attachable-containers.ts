import {
  ApiError,
  type AttachReply,
  type Clock,
  type Logger,
  pause,
  SANDBOX_ROLE,
  ROLE_LABEL,
  SerialQueue,
  type Timer,
} from '@swarm/api';
import type { TaskMesh } from '../agent/task-mesh.js';
import { EngineClient } from '../runtime/docker/engine-client.js';
import { hasStatus } from '../runtime/docker/engine-error.js';
import { EngineEvents } from '../runtime/docker/engine-events.js';
import { netnsOf, SandboxContainers } from '../runtime/docker/sandbox-containers.js';
import { messageOf } from '../runtime/runtime-error.js';
import type { AttachmentManagers } from './attachment-managers.js';
import { attachRequest, meshAttachment, sandboxPlan } from './container-places.js';
import {
  type ContainerRecord,
  type ContainerWish,
  RECORDS_LIMIT,
  type WantedNetwork,
} from './container-record.js';
import type { ContainersStore } from './containers-store.js';
import { type EngineContainer, needsNetwork, startsWithEngine } from './engine-container.js';
import { MESH_WAIT_MS, SETTLE_DELAY_MS } from './limits.js';

/** Begins the name of a container that holds the network of a user's container. */
export const ATTACHED_PREFIX = 'swarm-network-';
/** Names the node that made such a container; its own label, since the runtime takes over what has `swarm.owner`. */
const NODE_LABEL = 'swarm.network.node';

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

/** One container, with the queue of what is done to it. */
interface Entry {
  record: ContainerRecord;
  readonly queue: SerialQueue;
  /** This process has told the mesh of its place. */
  isAttached: boolean;
  /** The managers are being asked for its place. */
  isOpening: boolean;
  timer: Timer | undefined;
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
  readonly #sandboxes: SandboxContainers;
  readonly #events: EngineEvents;
  /** By container id. */
  readonly #entries = new Map<string, Entry>();
  /** Records of containers that the engine is being asked to create. */
  readonly #creating = new Set<ContainerRecord>();
  /** Those of which an earlier run did not get the answer. */
  #left: readonly ContainerRecord[] = [];
  /** The managers may count places that are none. */
  #isUnsure = true;
  #isReconciling = false;
  #closed = false;

  constructor(options: AttachableContainersOptions) {
    const { engineSocket: socketPath, clock, logger, random, nodeId } = options;
    this.#options = options;
    this.#engine = new EngineClient({ socketPath, clock, random });
    this.#sandboxes = new SandboxContainers({
      engine: this.#engine,
      labels: { [NODE_LABEL]: nodeId },
      clock,
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
    this.#isUnsure = true;
    void this.#reconcile();
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
    const sandbox = ATTACHED_PREFIX + this.#randomName();
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
      await this.#open(entry, containerId);
      try {
        await start();
      } finally {
        await this.#settle(entry, containerId);
      }
    });
  }

  /** Joins a container to one more network, at once if it runs. @throws ApiError */
  async connect(containerId: string, network: WantedNetwork): Promise<void> {
    await this.#change(containerId, (wish) => {
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
    await this.#change(containerId, (wish) => {
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
    this.#sandboxes.close();
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
          await this.#sandboxes.remove(sandbox);
        } catch (error) {
          this.#options.logger.error({ err: error, sandbox }, 'a sandbox was left behind');
        }
      });
    }
    this.#entries.clear();
    await this.#save();
    await this.#engine.close();
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

  #randomName(): string {
    let name = '';
    while (name.length < 16) name += Math.floor(this.#options.random() * 36).toString(36);
    return name;
  }

  /** Only within the entry's queue: makes sandbox and place, unless both stand. */
  async #open(entry: Entry, containerId: string): Promise<void> {
    const standing = entry.record.place !== undefined && (await this.#netns(entry)) !== undefined;
    if (standing && entry.isAttached) return;
    const { managers } = this.#options;
    const { Name } = await this.#inspect(containerId);
    entry.isOpening = true;
    try {
      const request = attachRequest(entry.record.wish, containerId, Name.replace(/^\//, ''));
      const place = await managers.attach(request);
      await this.#attach(entry, containerId, place);
    } catch (error) {
      await this.#free(entry);
      throw error;
    } finally {
      entry.isOpening = false;
    }
  }

  /** Only within the entry's queue: makes a sandbox, and attaches it at this place. */
  async #attach(entry: Entry, containerId: string, place: AttachReply): Promise<void> {
    const { mesh, clock, meshStarted, meshNames } = this.#options;
    entry.record = { ...entry.record, place };
    await this.#save();
    const { sandbox, wish } = entry.record;
    await this.#sandboxes.remove(sandbox);
    const signal = new AbortController().signal;
    const id = await this.#sandboxes.make(sandboxPlan(sandbox, wish, containerId, place), signal);
    const netns = await netnsOf(await this.#sandboxes.look(id, signal));
    const isLate = await Promise.race([
      meshStarted().then(() => false),
      pause(clock, MESH_WAIT_MS).then(() => true),
    ]);
    if (isLate)
      throw new ApiError(
        'TIMEOUT',
        "this node has no place in the routing mesh yet: try again, or see 'swarm info'",
      );
    await meshNames(place.Task.ID);
    await mesh.attach(meshAttachment(place, wish, netns));
    entry.isAttached = true;
  }

  /** Only within the entry's queue: gives back what the container has of the network. */
  async #free(entry: Entry): Promise<void> {
    const { mesh, managers, logger } = this.#options;
    const { place, sandbox, ...rest } = entry.record;
    if (place === undefined) return;
    await mesh.detach(place.Task.ID);
    entry.isAttached = false;
    await this.#sandboxes.remove(sandbox);
    entry.record = { ...rest, sandbox };
    await this.#save();
    try {
      await managers.release([place.Task.ID]);
    } catch (error) {
      this.#isUnsure = true;
      logger.warn({ error: messageOf(error) }, 'a place on a network is given back later');
    }
  }

  /** Only within the entry's queue: brings it in line with what the engine has. */
  async #settle(entry: Entry, containerId: string): Promise<void> {
    if (this.#closed) return;
    const container = await this.#find(containerId);
    if (container === undefined) {
      await this.#free(entry);
      this.#entries.delete(containerId);
      await this.#save();
      return;
    }
    const { place, wish } = entry.record;
    if (place === undefined) return;
    const netns = await this.#netns(entry);
    if (needsNetwork(container)) {
      if (entry.isAttached) return;
      // Without its sandbox, a container that runs holds the namespace itself.
      const path = netns ?? `/proc/${container.State.Pid}/ns/net`;
      await this.#options.mesh.adopt(meshAttachment(place, wish, path));
      entry.isAttached = true;
      return;
    }
    // The sandbox ended with the engine, which could not start the container again without it.
    if (netns === undefined && startsWithEngine(container)) await this.#revive(entry, containerId);
    else await this.#free(entry);
  }

  async #revive(entry: Entry, containerId: string): Promise<void> {
    const { logger } = this.#options;
    try {
      await this.#options.mesh.detach(entry.record.place!.Task.ID);
      await this.#attach(entry, containerId, entry.record.place!);
      await this.#engine.json('POST', `/containers/${containerId}/start`);
      logger.info({ container: containerId }, 'started a container again after its engine');
    } catch (error) {
      logger.error(
        { container: containerId, error: messageOf(error) },
        'could not start a container again after its engine',
      );
      await this.#free(entry);
    }
  }

  /** The namespace of the entry's sandbox; undefined when that does not run. */
  async #netns({ record }: Entry): Promise<string | undefined> {
    try {
      const details = await this.#sandboxes.look(record.sandbox, new AbortController().signal);
      return details.State.Status === 'running' ? await netnsOf(details) : undefined;
    } catch (error) {
      if (hasStatus(error, 404)) return undefined;
      throw error;
    }
  }

  async #find(containerId: string): Promise<EngineContainer | undefined> {
    try {
      return await this.#engine.json<EngineContainer>('GET', `/containers/${containerId}/json`);
    } catch (error) {
      if (hasStatus(error, 404)) return undefined;
      throw error;
    }
  }

  async #inspect(containerId: string): Promise<EngineContainer> {
    const found = await this.#find(containerId);
    if (found === undefined) throw new ApiError('NOT_FOUND', `No such container: ${containerId}`);
    return found;
  }

  async #change(
    containerId: string,
    change: (wish: ContainerWish) => ContainerWish,
  ): Promise<void> {
    const entry = this.#entries.get(containerId);
    if (entry === undefined) throw new ApiError('NOT_FOUND', `No such container: ${containerId}`);
    await entry.queue.run(async () => {
      const before = entry.record;
      const wish = change(before.wish);
      entry.record = { ...before, wish };
      try {
        if (before.place !== undefined) {
          const netns = await this.#netns(entry);
          if (netns === undefined)
            throw new ApiError('FAILED_PRECONDITION', 'the container ends just now: try again');
          const request = attachRequest(wish, containerId, before.place.Task.Name);
          const place = await this.#options.managers.attach(request);
          entry.record = { ...entry.record, place };
          await this.#options.meshNames(place.Task.ID);
          await this.#options.mesh.adopt(meshAttachment(place, wish, netns));
        }
      } catch (error) {
        entry.record = before;
        // Its place may be another now.
        entry.isAttached = false;
        this.#isUnsure = true;
        throw error;
      } finally {
        await this.#save();
      }
    });
  }

  #noteEvent(containerId: string): void {
    const entry = this.#entries.get(containerId);
    if (entry === undefined || entry.timer !== undefined || this.#closed) return;
    entry.timer = this.#options.clock.setTimeout(() => {
      entry.timer = undefined;
      void this.#look(entry, containerId);
    }, SETTLE_DELAY_MS);
  }

  async #look(entry: Entry, containerId: string): Promise<void> {
    if (this.#closed) return;
    try {
      await entry.queue.run(() => this.#settle(entry, containerId));
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
    const filters = JSON.stringify({
      label: [`${ROLE_LABEL}=${SANDBOX_ROLE}`, `${NODE_LABEL}=${this.#options.nodeId}`],
    });
    await this.#nameLeft();
    for (const [containerId, entry] of this.#entries) await this.#look(entry, containerId);
    const found = await this.#engine.json<readonly { Id: string; Names: readonly string[] }[]>(
      'GET',
      '/containers/json',
      { query: { all: 1, filters } },
    );
    for (const { Id, Names } of found) {
      const isUsed = [...this.#entries.values()].some(
        ({ record, isOpening }) =>
          Names.includes(`/${record.sandbox}`) && (isOpening || record.place !== undefined),
      );
      if (!isUsed) await this.#sandboxes.remove(Id);
    }
    if (this.#isUnsure) await this.#reconcile();
  }

  /** Finds the containers whose creation an earlier run did not see the end of; forgets those that never were. */
  async #nameLeft(): Promise<void> {
    if (this.#left.length === 0) return;
    const containers = await this.#engine.json<
      readonly { Id: string; HostConfig?: { NetworkMode?: string } }[]
    >('GET', '/containers/json', { query: { all: 1 } });
    for (const record of this.#left) {
      const found = containers.find(
        ({ HostConfig }) => HostConfig?.NetworkMode === `container:${record.sandbox}`,
      );
      if (found !== undefined) this.#enter(found.Id, { ...record, containerId: found.Id });
    }
    this.#left = [];
    await this.#save();
  }

  /** Gives back places that the managers count and no container has, and gets those again that they lost. */
  async #reconcile(): Promise<void> {
    const { managers, logger } = this.#options;
    if (this.#isReconciling || this.#closed) return;
    this.#isReconciling = true;
    const before = [...this.#entries].filter(([, { record }]) => record.place !== undefined);
    try {
      this.#isUnsure = false;
      const tasks = await managers.list();
      const known = new Set(this.taskIds);
      const isOpening = (containerId: string) => this.#entries.get(containerId)?.isOpening === true;
      const unknown = tasks.filter(
        ({ TaskID, ContainerID }) => !known.has(TaskID) && !isOpening(ContainerID),
      );
      if (unknown.length > 0) await managers.release(unknown.map(({ TaskID }) => TaskID));
      const counted = new Set(tasks.map(({ TaskID }) => TaskID));
      for (const [containerId, entry] of before) {
        const { place } = entry.record;
        if (place !== undefined && !counted.has(place.Task.ID))
          await entry.queue.run(() => this.#replace(entry, containerId, place));
      }
    } catch (error) {
      this.#isUnsure = true;
      logger.debug(
        { error: messageOf(error) },
        'cannot compare places on networks with the managers',
      );
    } finally {
      this.#isReconciling = false;
    }
  }

  /** The managers gave its place up, as after a day without this node: it gets another one. */
  async #replace(entry: Entry, containerId: string, lost: AttachReply): Promise<void> {
    if (entry.record.place !== lost) return;
    const netns = await this.#netns(entry);
    if (netns === undefined) return;
    const { mesh, managers, logger } = this.#options;
    const request = attachRequest(entry.record.wish, containerId, lost.Task.Name);
    const place = await managers.attach(request);
    await mesh.detach(lost.Task.ID);
    entry.isAttached = false;
    entry.record = { ...entry.record, place };
    await this.#save();
    await mesh.attach(meshAttachment(place, entry.record.wish, netns));
    entry.isAttached = true;
    logger.warn({ container: containerId }, 'a container has other addresses: its place was lost');
  }
}
