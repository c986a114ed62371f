import { isDeepStrictEqual } from 'node:util';
import {
  type Clock,
  type MeshDelta,
  type MeshPeer,
  type MeshPort,
  meshPortKey,
  type MeshState,
  type Network,
  type Task,
  type Timer,
} from '@swarm/api';
import type { SetAside } from '../set-aside.js';
import type { StoreEvent, View } from '../store/store.js';
import { DRAIN_HOLD_LIMIT_MS, MESH_COALESCE_MS, MESH_HISTORY_LIMIT } from './limits.js';
import { EMPTY_MESH, isEmptyDelta, meshDelta } from './mesh-delta.js';
import { meshPeers, sameToEndpoints, servicePorts } from './mesh-state.js';

/** A former endpoint: the first generation without it, and when that was made (monotonic). */
interface Departure {
  readonly generation: number;
  readonly atMs: number;
}

/**
 * Keeps the mesh state up to date with the store: recomputes only services that an event touches, and makes a
 * new generation when the result differs. After a flush it equals `meshState` of the store.
 */
export class MeshPublisher {
  readonly #view: View;
  readonly #clock: Clock;
  readonly #published: () => void;
  readonly #aside: SetAside;
  readonly #services = new Map<string, readonly MeshPort[]>();
  readonly #endpoints = new Map<string, ReadonlySet<string>>();
  readonly #departures = new Map<string, Departure>();
  readonly #history: MeshState[] = [];
  readonly #dirtyServices = new Set<string>();
  #peers: readonly MeshPeer[] = [];
  #peersDirty = false;
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

  /** The newest state. */
  get state(): MeshState {
    return this.#history.at(-1) ?? EMPTY_MESH;
  }

  /**
   * Computes everything. The generation is the store's index, which is at least that of any earlier leader's
   * generation.
   */
  start(): void {
    for (const service of this.#view.list('service')) this.#dirtyServices.add(service.ID);
    for (const serviceId of this.#services.keys()) this.#dirtyServices.add(serviceId);
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
    if (event.kind === 'task') this.#dirtyServices.add(event.object.ServiceID);
    else if (event.kind === 'service') this.#dirtyServices.add(event.object.ID);
    else if (event.kind === 'node') this.#noteNode(event);
    else if (event.kind === 'network') this.#noteNetwork(event.object);
    else return;
    if (this.#dirtyServices.size === 0 && !this.#peersDirty) return;
    this.#dirtyIndex = index;
    this.#timer ??= this.#clock.setTimeout(() => this.flush(), MESH_COALESCE_MS);
  }

  /** Blocks and attachments belong to the ingress network, which rarely changes. */
  #noteNetwork(network: Network): void {
    if (!network.Spec.Ingress) return;
    this.#peersDirty = true;
    for (const service of this.#view.list('service')) this.#dirtyServices.add(service.ID);
  }

  #noteNode(event: StoreEvent & { kind: 'node' }): void {
    if (event.action === 'update' && sameToEndpoints(event.previous, event.object)) {
      // When a node comes back or goes down, another may win the place that both claim.
      if (event.previous.Status.State !== event.object.Status.State) this.#peersDirty = true;
      return;
    }
    this.#peersDirty = true;
    // The node's tasks are endpoints only while it is up, and their addresses depend on it.
    for (const task of this.#view.tasksByNode(event.object.ID)) {
      this.#dirtyServices.add(task.ServiceID);
    }
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
    return this.#endpoints.get(task.ServiceID)?.has(task.ID) === true;
  }

  /** The first generation without a task that was an endpoint until recently. */
  departure(taskId: string): number | undefined {
    return this.#departures.get(taskId)?.generation;
  }

  /** The delta from the generation `base`; replaces everything when that generation is unknown. */
  deltaFrom(base: number): MeshDelta {
    const known = this.#history.find((state) => state.generation === base);
    return meshDelta(known ?? EMPTY_MESH, this.state);
  }

  #push(generation: number): void {
    const ports = new Map<string, MeshPort>();
    for (const serviceId of [...this.#services.keys()].sort()) {
      for (const port of this.#services.get(serviceId)!) {
        if (!ports.has(meshPortKey(port))) ports.set(meshPortKey(port), port);
      }
    }
    const next = { generation, peers: this.#peers, ports: [...ports.values()] };
    // Only the result counts: two services in conflict may change without any effect.
    if (this.#history.length > 0 && isEmptyDelta(meshDelta(this.state, next))) return;
    this.#history.push(next);
    if (this.#history.length > MESH_HISTORY_LIMIT) this.#history.shift();
  }

  #recompute(): boolean {
    let changed = false;
    this.#forgetDepartures();
    for (const serviceId of this.#dirtyServices) {
      if (this.#recomputeService(serviceId)) changed = true;
    }
    this.#dirtyServices.clear();
    if (this.#peersDirty) {
      const peers = this.#aside.guard(
        'mesh',
        { ID: 'peers' },
        () => meshPeers(this.#view),
        () => this.#peers,
      );
      if (!isDeepStrictEqual(peers, this.#peers)) {
        this.#peers = peers;
        changed = true;
      }
      this.#peersDirty = false;
    }
    return changed;
  }

  #recomputeService(serviceId: string): boolean {
    const service = this.#view.get('service', serviceId);
    const before = this.#services.get(serviceId) ?? [];
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
    if (kept.length === 0) this.#services.delete(serviceId);
    else this.#services.set(serviceId, kept);

    const endpoints = new Set(kept.flatMap((port) => port.endpoints.map(({ taskId }) => taskId)));
    const atMs = this.#clock.monotonicMs();
    for (const taskId of this.#endpoints.get(serviceId) ?? []) {
      if (!endpoints.has(taskId)) {
        // Deletes it first, so that the map stays in order of time.
        this.#departures.delete(taskId);
        this.#departures.set(taskId, { generation: this.#dirtyIndex, atMs });
      }
    }
    if (endpoints.size === 0) this.#endpoints.delete(serviceId);
    else this.#endpoints.set(serviceId, endpoints);
    return true;
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
