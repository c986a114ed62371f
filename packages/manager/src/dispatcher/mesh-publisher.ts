import { isDeepStrictEqual } from 'node:util';
import {
  type Clock,
  filled,
  type MeshDelta,
  type MeshIngress,
  type MeshMember,
  type MeshPeer,
  meshPortOf,
  type MeshService,
  type MeshState,
  type Network,
  type PortKey,
  type Task,
  type Timer,
} from '@swarm/api';
import { movedManagerPorts } from '../allocator/cluster-ports.js';
import { meshIngress } from '../allocator/node-mesh.js';
import type { SetAside } from '../set-aside.js';
import type { StoreEvent, View } from '../store/store.js';
import { DRAIN_HOLD_LIMIT_MS, MESH_COALESCE_MS, MESH_HISTORY_LIMIT } from './limits.js';
import { EMPTY_MESH, meshDelta, peerChanges } from './mesh-delta.js';
import { MeshItems } from './mesh-items.js';
import { meshMember, meshService } from './mesh-overlays.js';
import { MeshPorts } from './mesh-ports.js';
import { isProbed, meshPeers, sameEncryption, sameToEndpoints } from './mesh-peers.js';
import { servicePorts } from './mesh-state.js';

/** A former endpoint: the first generation without it, and when that was made (monotonic). */
interface Departure {
  readonly generation: number;
  readonly atMs: number;
}

/** A generation, and what is not as it was in the one before. */
interface Generation {
  readonly generation: number;
  readonly ports: ReadonlySet<PortKey>;
  readonly peers: ReadonlySet<string>;
  readonly services: ReadonlySet<string>;
  readonly members: ReadonlySet<string>;
}

/**
 * Keeps the mesh state up to date with the store: recomputes only services that an event touches, and makes a
 * new generation when the result differs. After a flush it equals `meshState` of the store. A generation, and a
 * delta between two that it remembers, cost as much as what changed.
 */
export class MeshPublisher {
  readonly #view: View;
  readonly #clock: Clock;
  readonly #published: () => void;
  readonly #aside: SetAside;
  readonly #ports = new MeshPorts();
  /** On overlay networks. */
  readonly #services = new MeshItems<MeshService>();
  readonly #members = new MeshItems<MeshMember>();
  readonly #endpoints = new Map<string, ReadonlySet<string>>();
  readonly #departures = new Map<string, Departure>();
  readonly #history: Generation[] = [];
  readonly #dirtyServices = new Set<string>();
  readonly #dirtyTasks = new Set<string>();
  #ingress: MeshIngress | undefined;
  #peers: readonly MeshPeer[] = [];
  /** Peers that are not as they were in the newest generation. */
  #changedPeers = new Set<string>();
  #peersDirty = false;
  /** The newest generation has another ingress network. */
  #isIngressChanged = false;
  #dirtyIndex = 0;
  #timer: Timer;

  /**
   * @param published called after each new generation
   * @param aside logs services and peers that cannot be computed; they stay as they were
   */
  constructor(view: View, clock: Clock, aside: SetAside, published: () => void) {
    this.#view = view;
    this.#aside = aside;
    this.#clock = clock;
    this.#published = published;
  }

  /** The newest generation; 0 before there is any. */
  get generation(): number {
    return this.#history.at(-1)?.generation ?? EMPTY_MESH.generation;
  }

  /** The whole newest state. */
  get state(): MeshState {
    return {
      ...(this.#ingress && { ingress: this.#ingress }),
      ...{ generation: this.generation, peers: this.#peers, ports: this.#ports.all() },
      ...filled({ services: this.#services.all(), members: this.#members.all() }),
    };
  }

  /**
   * Computes everything. The generation is the store's index, which is at least that of any earlier leader's
   * generation.
   */
  start(): void {
    for (const service of this.#view.list('service')) this.#dirtyServices.add(service.ID);
    for (const serviceId of this.#ports.serviceIds()) this.#dirtyServices.add(serviceId);
    for (const serviceId of this.#services.ids()) this.#dirtyServices.add(serviceId);
    for (const task of this.#view.list('task')) this.#dirtyTasks.add(task.ID);
    for (const taskId of this.#members.ids()) this.#dirtyTasks.add(taskId);
    this.#peersDirty = true;
    this.#dirtyIndex = Math.max(1, this.#view.index);
    this.#recompute();
    this.#push(this.#dirtyIndex);
  }

  stop(): void {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Notes one event of the store; a new generation follows within MESH_COALESCE_MS. */
  note(event: StoreEvent, index: number): void {
    if (event.kind === 'task') this.#noteTask(event.object);
    else if (event.kind === 'service') this.#noteService(event);
    else if (event.kind === 'node') this.#noteNode(event);
    else if (event.kind === 'network') this.#noteNetwork(event.object);
    else return;
    const isDirty = this.#dirtyServices.size + this.#dirtyTasks.size > 0;
    if (!isDirty && !this.#peersDirty) return;
    this.#dirtyIndex = index;
    this.#timer ??= this.#clock.setTimeout(() => this.flush(), MESH_COALESCE_MS);
  }

  #noteTask({ ID, ServiceID }: Task): void {
    this.#dirtyServices.add(ServiceID);
    this.#dirtyTasks.add(ID);
  }

  #noteService(event: StoreEvent & { kind: 'service' }): void {
    const { ID } = event.object;
    this.#dirtyServices.add(ID);
    const before = event.action === 'update' ? event.previous : event.object;
    // Its tasks have their weights by what is the current revision.
    const isWeighted = [before, event.object].some(
      ({ Spec }) => Spec.EndpointSpec?.RevisionWeight !== undefined,
    );
    if (!isWeighted || before.Spec === event.object.Spec) return;
    for (const task of this.#view.tasksByService(ID)) this.#dirtyTasks.add(task.ID);
  }

  /** Blocks and attachments belong to the ingress network, which rarely changes. Others do not while they are used. */
  #noteNetwork(network: Network): void {
    if (!network.Spec.Ingress) return;
    this.#peersDirty = true;
    for (const service of this.#view.list('service')) this.#dirtyServices.add(service.ID);
    for (const task of this.#view.list('task')) this.#dirtyTasks.add(task.ID);
  }

  #noteNode(event: StoreEvent & { kind: 'node' }): void {
    for (const key of movedManagerPorts(event)) {
      for (const { ID } of this.#view.servicesByPort(key)) this.#dirtyServices.add(ID);
    }
    if (event.action === 'update' && sameToEndpoints(event.previous, event.object)) {
      // When a node comes back or goes down, another may win the place that both claim.
      const isOther = event.previous.Status.State !== event.object.Status.State;
      const isNews =
        isProbed(event.previous) !== isProbed(event.object) ||
        !sameEncryption(event.previous, event.object);
      if (isOther || isNews) this.#peersDirty = true;
      return;
    }
    this.#peersDirty = true;
    // The node's tasks are endpoints only while it is up, and their addresses depend on it.
    for (const task of this.#view.tasksByNode(event.object.ID)) this.#noteTask(task);
  }

  /** Makes the new generation at once. */
  flush(): void {
    this.stop();
    if (!this.#recompute()) return;
    this.#push(this.#dirtyIndex);
    this.#published();
  }

  /** Whether the newest generation sends traffic to the task. */
  isEndpoint(task: Task): boolean {
    return (
      this.#endpoints.get(task.ServiceID)?.has(task.ID) === true ||
      this.#members.get(task.ID)?.serves === true
    );
  }

  /** The first generation without a task that was an endpoint until recently. */
  departure(taskId: string): number | undefined {
    return this.#departures.get(taskId)?.generation;
  }

  /** The delta from the generation `base`; replaces everything when that generation is unknown. */
  deltaFrom(base: number): MeshDelta {
    const at = this.#history.findIndex(({ generation }) => generation === base);
    if (at < 0) return meshDelta(EMPTY_MESH, this.state);
    const later = this.#history.slice(at + 1);
    const keys = [...new Set(later.flatMap(({ ports }) => [...ports]))];
    const nodeIds = new Set(later.flatMap(({ peers }) => [...peers]));
    const peers = this.#peers.filter(({ nodeId }) => nodeIds.has(nodeId));
    for (const { nodeId } of peers) nodeIds.delete(nodeId);
    const services = this.#services.split(new Set(later.flatMap((one) => [...one.services])));
    const members = this.#members.split(new Set(later.flatMap((one) => [...one.members])));
    return {
      base,
      generation: this.generation,
      ...(this.#ingress && { ingress: this.#ingress }),
      peers,
      removedPeers: [...nodeIds],
      ports: keys.flatMap((key) => this.#ports.get(key) ?? []),
      removedPorts: keys.filter((key) => this.#ports.get(key) === undefined).map(meshPortOf),
      ...filled({
        services: services.items,
        removedServices: services.gone,
        members: members.items,
        removedMembers: members.gone,
      }),
    };
  }

  #push(generation: number): void {
    const ports = this.#ports.takeChanges();
    const peers = this.#changedPeers;
    const services = this.#services.takeChanges();
    const members = this.#members.takeChanges();
    // Only the result counts: two services in conflict may change without any effect.
    const changes = ports.size + peers.size + services.size + members.size;
    if (this.#history.length > 0 && changes === 0 && !this.#isIngressChanged) return;
    this.#isIngressChanged = false;
    this.#changedPeers = new Set();
    this.#history.push({ generation, ports, peers, services, members });
    if (this.#history.length > MESH_HISTORY_LIMIT) this.#history.shift();
  }

  #recompute(): boolean {
    let changed = false;
    this.#forgetDepartures();
    for (const serviceId of this.#dirtyServices) {
      if (this.#recomputeService(serviceId)) changed = true;
      if (this.#recomputeNames(serviceId)) changed = true;
    }
    this.#dirtyServices.clear();
    for (const taskId of this.#dirtyTasks) if (this.#recomputeMember(taskId)) changed = true;
    this.#dirtyTasks.clear();
    if (this.#peersDirty) {
      const ingress = meshIngress(this.#view);
      if (!isDeepStrictEqual(ingress, this.#ingress)) {
        this.#ingress = ingress;
        this.#isIngressChanged = true;
        changed = true;
      }
      const peers = this.#aside.guard(
        'mesh',
        { ID: 'peers' },
        () => meshPeers(this.#view),
        () => this.#peers,
      );
      const { changed: newer, removed } = peerChanges(this.#peers, peers);
      for (const { nodeId } of [...newer, ...removed]) this.#changedPeers.add(nodeId);
      this.#peers = peers;
      if (newer.length + removed.length > 0) changed = true;
      this.#peersDirty = false;
    }
    return changed;
  }

  #recomputeService(serviceId: string): boolean {
    const service = this.#view.get('service', serviceId);
    const before = this.#ports.of(serviceId);
    const ports =
      service === undefined
        ? []
        : this.#aside.guard(
            'service',
            service,
            () => servicePorts(this.#view, service),
            () => before,
          );
    if (isDeepStrictEqual(before, ports)) return false;
    // Unchanged ports stay the same objects.
    const kept = ports.map((port) => before.find((old) => isDeepStrictEqual(old, port)) ?? port);
    this.#ports.set(serviceId, kept);

    const endpoints = new Set(kept.flatMap((port) => port.endpoints.map(({ taskId }) => taskId)));
    for (const taskId of this.#endpoints.get(serviceId) ?? []) {
      if (!endpoints.has(taskId)) this.#departed(taskId);
    }
    if (endpoints.size === 0) this.#endpoints.delete(serviceId);
    else this.#endpoints.set(serviceId, endpoints);
    return true;
  }

  #recomputeNames(serviceId: string): boolean {
    const service = this.#view.get('service', serviceId);
    const named =
      service &&
      this.#aside.guard(
        'service',
        service,
        () => meshService(this.#view, service),
        () => this.#services.get(serviceId),
      );
    return this.#services.set(serviceId, named);
  }

  #recomputeMember(taskId: string): boolean {
    const task = this.#view.get('task', taskId);
    const before = this.#members.get(taskId);
    const member =
      task &&
      this.#aside.guard(
        'task',
        task,
        () => meshMember(this.#view, task),
        () => before,
      );
    if (before?.serves === true && member?.serves !== true) this.#departed(taskId);
    return this.#members.set(taskId, member);
  }

  /** The next generation sends the task no traffic. */
  #departed(taskId: string): void {
    // Deletes it first, so that the map stays in order of time.
    this.#departures.delete(taskId);
    const atMs = this.#clock.monotonicMs();
    this.#departures.set(taskId, { generation: this.#dirtyIndex, atMs });
  }

  /** Forgets departures older than the longest hold; the oldest come first. */
  #forgetDepartures(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [taskId, departure] of this.#departures) {
      if (nowMs - departure.atMs <= DRAIN_HOLD_LIMIT_MS) return;
      this.#departures.delete(taskId);
    }
  }
}
