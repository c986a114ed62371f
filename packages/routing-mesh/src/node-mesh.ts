import assert from 'node:assert/strict';
import {
  type Clock,
  type IpAddress,
  isIpv6,
  isLoopback,
  type Logger,
  type MeshEncryption,
  type MeshPeer,
  meshPortKey,
  meshPortOf,
  type MeshState,
  type MeshTrace,
  type MeshTraceQuery,
  type NodePaths,
  parseIpAddress,
  type PortConflict,
  type PortKey,
  SerialQueue,
  Subnet,
  type Timer,
} from '@swarm/api';
import { ingressIpv6, parseIpv4, type SubnetText } from './address.js';
import { AddressClaims, overlayAddresses } from './address-claims.js';
import { readAttachment } from './attachment.js';
import type { LocalTask } from './balancer/load-balancer.js';
import { BadPart } from './bad-part.js';
import {
  type CheckedAttachment,
  type CheckedOverlay,
  type CheckedPeer,
  type CheckedState,
  type CheckedTask,
  readPeer,
  samePeer,
} from './checked.js';
import type { TunnelKeyPair } from './encryption/keys.js';
import { HostPortClaims } from './host-port-claims.js';
import { gatewayPlace } from './links/gateway.js';
import { type NetworkId, parseTaskId, type TaskId } from './layout.js';
import type {
  HostPort,
  Mesh,
  MeshBackendName,
  TaskAttachment,
  TaskRefusals,
  TaskSockets,
} from './mesh.js';
import type { MeshParts } from './mesh-parts.js';
import { LatestQueue } from './latest-queue.js';
import { avoid } from './paths/avoid.js';
import { type NetworkView, viewNetworks } from './overlay/network-view.js';
import { hostPortRefusal, PortGuard, sameReasons } from './port-guard.js';
import { StateReader } from './state-reader.js';
import {
  membersByAddress,
  type TaskLinksByAddress,
  linksByAddress,
} from './trace/known-addresses.js';
import { traceMesh } from './trace/trace-mesh.js';

export interface NodeMeshOptions {
  readonly parts: MeshParts;
  readonly ingressNetwork: SubnetText;
  /** Tasks get an address of IPv6 for each of IPv4 that they have on the ingress network. Default false. */
  readonly hasIpv6?: boolean;
  /** How often to check whether somebody changed our state in the kernel; absent: never. */
  readonly checkIntervalMs?: number;
  readonly logger: Logger;
  readonly clock: Clock;
  /** See MeshOptions. */
  readonly ownPorts?: (() => Iterable<PortKey>) | undefined;
}

/** How soon a port goes back to a program that takes it, or to the mesh once it is free. */
const PORT_CHECK_MS = 3000;
/** How often refused clients are counted and reported. */
const REFUSALS_LOOK_MS = 10_000;

/**
 * One node's mesh, composed of its parts. This class only decides the order: which part is called when, and
 * that calls to parts do not overlap.
 *
 * To hold a state: routes to new peers, then what uses them, all in one transaction, then removal of the
 * routes to peers that are gone, then of connections that must not continue.
 */
export class NodeMesh implements Mesh {
  readonly backend: MeshBackendName;
  readonly #options: NodeMeshOptions;
  readonly #parts: MeshParts;
  readonly #logger: Logger;
  readonly #reader: StateReader;
  readonly #states: LatestQueue<MeshState>;
  /** All changes of parts, except those of a single task's links. */
  readonly #changes = new SerialQueue();
  readonly #tasks = new Map<TaskId, LocalTask>();
  readonly #claims = new HostPortClaims();
  readonly #addresses = new AddressClaims();
  /** Tasks of this node on overlay networks, with these. */
  readonly #overlays = new Map<TaskId, readonly CheckedOverlay[]>();
  /** Links of tasks of this node, by address. */
  readonly #taskLinks = new Map<TaskId, TaskLinksByAddress>();
  #self: CheckedPeer | undefined;
  /** Peers that this node has ways to, by the newest state. */
  #reached: ReadonlyMap<string, CheckedPeer> = new Map();
  /** The newest state, as checked. */
  #state: CheckedState | undefined;
  #generation = 0;
  /** Until the first state arrives, the kernel holds an earlier process's. */
  #isTakenOver = false;
  #timer: Timer | undefined;
  #portTimer: Timer | undefined;
  #guardTimer: Timer | undefined;
  readonly #refusalListeners = new Set<(refusals: TaskRefusals) => void>();
  readonly #guard: PortGuard;
  /** What the last state was held without. */
  #withheld: ReadonlyMap<PortKey, string> = new Map();
  /** Host ports of tasks that are not led to them. */
  #trimmed: ReadonlySet<PortKey> = new Set();
  #unserved: ReadonlyMap<PortKey, string> = new Map();
  readonly #listeners = new Set<() => void>();
  #closed = false;
  /** Nothing can be written any more. */
  #isOver = false;

  constructor(options: NodeMeshOptions) {
    this.#options = options;
    this.#parts = options.parts;
    this.#logger = options.logger;
    this.backend = options.parts.backend;
    const { ingressNetwork, logger } = options;
    this.#reader = new StateReader({ ingress: Subnet.of(ingressNetwork), logger });
    this.#states = new LatestQueue((state) => this.#apply(state));
    this.#guard = new PortGuard({
      programs: options.parts.programs,
      ownPorts: options.ownPorts ?? (() => []),
      isHeld: (port) => this.#parts.balancer.holds(port),
    });
    this.#parts.paths.watch(() => this.#followPaths());
  }

  get generation(): number {
    return this.#generation;
  }

  get paths(): NodePaths | undefined {
    const { isAnswering, problems, isCutOff, firewalls } = this.#parts.paths;
    if (!isAnswering) return undefined;
    const Problems = [...problems].map(([NodeID, { kind, sinceMs }]) => ({
      NodeID,
      Kind: kind,
      Since: new Date(sinceMs).toISOString(),
    }));
    return {
      Problems,
      ...(isCutOff ? { CutOff: true } : {}),
      ...(firewalls.length > 0 ? { Firewalls: firewalls } : {}),
    };
  }

  async start(place: MeshPeer): Promise<void> {
    const self = readSelf(place, this.#options.ingressNetwork);
    await this.#changes.run(async () => {
      this.#refuseIfClosed();
      const before = this.#self;
      if (samePeer(self, before)) return;
      this.#self = self;
      try {
        await this.#startParts(self);
      } catch (error) {
        this.#self = before;
        throw error;
      }
    });
    if (this.#timer === undefined) this.#scheduleCheck();
    if (this.#portTimer === undefined) this.#schedulePortCheck();
    if (this.#guardTimer === undefined) this.#scheduleGuardLook();
  }

  async #startParts(self: CheckedPeer): Promise<void> {
    const { tunnel, encryption, paths, links, balancer, overlay, transaction } = this.#parts;
    await tunnel.start(self);
    await encryption.start(self, tunnel.mtuBytes);
    await paths.start(self, tunnel.mtuBytes);
    links.start(self);
    await balancer.start(self);
    await overlay.start(self);
    if ((await transaction.start(self)) && (await this.#takeOver())) return;
    if (this.#state !== undefined) await tunnel.reach(this.#state.peers);
    await transaction.commit();
  }

  /** @returns false if it is unknown what the earlier process had */
  async #takeOver(): Promise<boolean> {
    const { links, balancer, overlay } = this.#parts;
    const found = await links.list();
    const hostPorts = await balancer.adopt(found);
    if (hostPorts === undefined) return false;
    for (const { taskId, addresses } of found) {
      if (taskId === undefined) continue;
      const ports = hostPorts.get(taskId) ?? [];
      const others = this.#tasks.get(taskId)?.addresses ?? [];
      this.#tasks.set(taskId, {
        taskId,
        addresses: [...others, ...addresses],
        hostPorts: ports,
        servesIpv6: balancer.servesIpv6(taskId),
      });
      this.#claims.claim(taskId, ports);
    }
    for (const [taskId, overlays] of await overlay.adopt(found))
      this.#overlays.set(taskId, overlays);
    await this.#trimHostPorts(await this.#guard.check(this.#ports()));
    this.#isTakenOver = true;
    this.#logger.info({ tasks: this.#tasks.size }, 'took over the table of an earlier process');
    return true;
  }

  async apply(state: MeshState): Promise<void> {
    assert(this.#self !== undefined, 'start comes before apply');
    this.#refuseIfClosed();
    await this.#states.push(state);
  }

  /** Only within the queue of states. */
  async #apply(state: MeshState): Promise<void> {
    if (state.generation < this.#generation) return;
    await this.#changes.run(async () => {
      const self = this.#self!;
      this.#state = this.#reader.read(state, self, isLoopback(self.address));
      await this.#hold(this.#state);
    });
  }

  /** Only within `#changes`: makes every part hold its slice of the state. */
  async #hold(state: CheckedState): Promise<void> {
    const { tunnel, encryption, paths, balancer, overlay, names, transaction } = this.#parts;
    const refused = await tunnel.reach(state.peers);
    const { peers, ports } = avoid(without(state, refused), this.#unreached());
    const networks = this.#views(state, peers);
    this.#reached = peers;
    const withheld = await this.#guard.check(this.#ports());
    this.#withheld = withheld;
    const served = ports.filter((port) => !withheld.has(meshPortKey(port)));
    await balancer.apply({ peers, ports: served });
    await encryption.reach({ peers, networks });
    await overlay.apply({ peers, networks });
    this.#parts.guard.apply({ ...state, tasks: this.#tasks });
    this.#isTakenOver = false;
    let isUnsure: boolean;
    try {
      isUnsure = await transaction.commit();
    } catch (error) {
      this.#generation = 0;
      throw error;
    }
    // What names lead to is in the kernel.
    await names.apply({ networks });
    this.#generation = state.generation;
    paths.follow(peers);
    await tunnel.prune(peers);
    await overlay.settle({ isUnsure });
    await balancer.settle({ isUnsure });
    await this.#trimHostPorts(withheld);
    this.#report(withheld);
  }

  /** The overlay networks of this node's tasks. */
  #views(
    state: Pick<CheckedState, 'services' | 'members'>,
    peers: ReadonlyMap<string, CheckedPeer>,
  ): readonly NetworkView[] {
    const overlays = new Map<NetworkId, CheckedOverlay>();
    for (const overlay of [...this.#overlays.values()].flat())
      overlays.set(overlay.networkId, overlay);
    const { members } = avoid({ ports: [], ...state }, this.#unreached());
    return viewNetworks(overlays.values(), { ...state, members }, peers);
  }

  /** Only within `#changes`: after a task came or went. */
  async #followNetworks(): Promise<void> {
    // The first state follows at once, and brings them.
    if (this.#isTakenOver) return;
    const { encryption, overlay, names, transaction } = this.#parts;
    const peers = this.#reached;
    const networks = this.#views(this.#state ?? NOTHING, peers);
    await encryption.reach({ peers, networks });
    await overlay.apply({ peers, networks });
    this.#parts.guard.apply({ ...(this.#state ?? NOTHING), tasks: this.#tasks });
    const isUnsure = await transaction.commit();
    await names.apply({ networks });
    await overlay.settle({ isUnsure });
    if (isUnsure) await this.#parts.balancer.settle({ isUnsure });
  }

  /** Nodes to which the tunnel does not carry packets, or not those of full size. */
  #unreached(): ReadonlySet<string> {
    return new Set(this.#parts.paths.problems.keys());
  }

  /** Leads clients past nodes that became unreachable, and to those that are reached again. */
  #followPaths(): void {
    const hold = async () => {
      if (this.#closed || this.#state === undefined || this.#isTakenOver) return;
      await this.#hold(this.#state);
    };
    this.#changes.run(hold).catch((error: unknown) => {
      this.#logger.error({ err: error }, 'could not follow a change of the paths to other nodes');
    });
  }

  /** All ports that lead to tasks: of the state, and those of this node's tasks. */
  #ports(): Set<PortKey> {
    const ports = new Set((this.#state?.ports ?? []).map(meshPortKey));
    for (const { hostPorts } of this.#tasks.values()) {
      for (const port of hostPorts) ports.add(meshPortKey(port));
    }
    return ports;
  }

  /** Only within `#changes`: leads host ports to their tasks, except those to leave alone. */
  async #trimHostPorts(withheld: ReadonlyMap<PortKey, string>): Promise<void> {
    const before = this.#trimmed;
    const trimmed = new Set<PortKey>();
    for (const task of this.#tasks.values()) {
      const keys = task.hostPorts.map(meshPortKey);
      for (const key of keys) if (withheld.has(key)) trimmed.add(key);
      if (keys.every((key) => before.has(key) === withheld.has(key))) continue;
      const hostPorts = task.hostPorts.filter((port) => !withheld.has(meshPortKey(port)));
      try {
        await this.#parts.balancer.attach({ ...task, hostPorts });
      } catch (error) {
        // One task's ports must not keep a state from being held.
        this.#logger.error({ err: error, taskId: task.taskId }, 'could not change host ports');
      }
    }
    this.#trimmed = trimmed;
  }

  /** Tells listeners what is not served, if that is news. */
  #report(withheld: ReadonlyMap<PortKey, string>): void {
    const unserved = new Map([...this.#parts.balancer.unserved, ...withheld]);
    const before = this.#unserved;
    if (sameReasons(before, unserved)) return;
    this.#unserved = unserved;
    for (const [port, reason] of unserved) {
      if (before.get(port) !== reason)
        this.#logger.warn({ port, reason }, 'a published port is not served on this node');
    }
    for (const port of before.keys()) {
      if (!unserved.has(port)) this.#logger.info({ port }, 'a published port is served again');
    }
    for (const listener of this.#listeners) listener();
  }

  get conflicts(): readonly PortConflict[] {
    return [...this.#unserved].map(([key, Reason]) => {
      const { protocol, publishedPort } = meshPortOf(key);
      return { Protocol: protocol, PublishedPort: publishedPort, Reason };
    });
  }

  async trace(query: MeshTraceQuery, local: ReadonlySet<string>): Promise<MeshTrace> {
    const self = this.#self;
    if (self === undefined) throw new RangeError('the mesh of this node has not started yet');
    const state = this.#state;
    return this.#changes.run(async () => ({
      ...{ NodeID: self.nodeId, Backend: this.backend, Generation: this.#generation },
      ...traceMesh(
        query,
        {
          ...{ self, local, peers: this.#reached, ports: state?.ports ?? [] },
          links: new Map([...this.#taskLinks.values()].flatMap((links) => [...links])),
          members: membersByAddress(state?.members.values() ?? []),
        },
        await this.#parts.transaction.describe(),
      ),
    }));
  }

  watchPaths(listener: () => void): () => void {
    return this.#parts.paths.watch(listener);
  }

  get encryption(): MeshEncryption | undefined {
    return this.#parts.encryption.offer;
  }

  watchEncryption(listener: () => void): () => void {
    return this.#parts.encryption.watch(listener);
  }

  async changeKeys(keys: TunnelKeyPair): Promise<void> {
    const { encryption } = this.#parts;
    await this.#changes.run(async () => {
      if (this.#closed) return;
      await encryption.changeKeys(keys);
      // The new keys are for the same nodes.
      if (this.#state !== undefined) await this.#hold(this.#state);
    });
  }

  get ipv6Addresses(): readonly string[] {
    return this.#parts.tunnel.ipv6Addresses;
  }

  watchConflicts(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async attach(task: TaskAttachment): Promise<void> {
    await this.#attach(this.#withIpv6(readAttachment(task)), { isAdopted: false });
  }

  async adopt(task: TaskAttachment): Promise<void> {
    await this.#attach(this.#withIpv6(readAttachment(task)), { isAdopted: true });
  }

  #withIpv6(task: CheckedTask): CheckedTask {
    if (!this.#options.hasIpv6) return task;
    const attachments = task.attachments.map((one): CheckedAttachment => {
      if (one.overlay !== undefined) return one;
      const derived = one.addresses.flatMap(derivedAddress);
      const [first, ...more] = new Set([...one.addresses, ...derived]);
      return { ...one, addresses: [first!, ...more] };
    });
    return { ...task, attachments };
  }

  async #attach(task: CheckedTask, { isAdopted }: { isAdopted: boolean }): Promise<void> {
    assert(this.#self !== undefined, 'start comes before attach');
    const { taskId, netns, attachments, hostPorts } = task;
    const { tunnel, encryption, links, balancer, names, overlay } = this.#parts;
    const before = this.#tasks.get(taskId);
    const addresses = addressesOf(task);
    const addressesBefore = this.#addresses.of(taskId);
    // From here on its addresses and host ports are its own, even against a task attached meanwhile.
    this.#addresses.claim(taskId, overlayAddresses(task));
    try {
      this.#claims.claim(taskId, hostPorts);
    } catch (error) {
      this.#addresses.claim(taskId, addressesBefore);
      throw error;
    }
    // What it listens on is looked at again, by `servesIpv6`, except after a restart of the daemon.
    const servesIpv6 = isAdopted && before?.servesIpv6 === true;
    const local = { taskId, addresses, hostPorts, servesIpv6 };
    this.#tasks.set(taskId, local);
    try {
      this.#refuseIfClosed();
      encryption.check(task);
      const mtuBytes = tunnel.mtuBytes;
      const linked = attachments.map((one) => withinMtu(one, encryption.mtuBytes));
      const wishes = { taskId, netns, attachments: linked, mtuBytes };
      if (!isAdopted || !(await links.isAttached(wishes))) await links.attach(wishes);
      await this.#changes.run(async () => {
        this.#refuseIfClosed();
        await overlay.attach(task);
        const overlays = attachments.flatMap((one) => one.overlay ?? []);
        if (overlays.length > 0) {
          this.#overlays.set(taskId, overlays);
          const { names: own, nameservers } = task;
          await names.attach({ taskId, netns, attachments, names: own, nameservers });
          await this.#followNetworks();
        }
        await this.#refuseTakenPorts(hostPorts);
        await balancer.attach(local);
        this.#taskLinks.set(taskId, linksByAddress(taskId, attachments));
      });
    } catch (error) {
      if (before === undefined) await this.#closePorts([taskId]);
      await this.#leaveNetworks([taskId]);
      await links.detach(taskId);
      if (before === undefined) this.#tasks.delete(taskId);
      else this.#tasks.set(taskId, before);
      this.#claims.claim(taskId, before?.hostPorts ?? []);
      this.#addresses.claim(taskId, addressesBefore);
      throw error;
    }
  }

  /** Only within `#changes`. @throws when one of these host ports is not free for a task */
  async #refuseTakenPorts(hostPorts: readonly HostPort[]): Promise<void> {
    if (hostPorts.length === 0) return;
    const ports = this.#ports();
    await this.#guard.look(ports);
    const withheld = await this.#guard.check(ports);
    for (const key of hostPorts.map(meshPortKey)) {
      const why = withheld.get(key);
      if (why !== undefined) throw new Error(hostPortRefusal(key, why));
    }
  }

  async detach(id: string): Promise<void> {
    const taskId = parseTaskId(id);
    // Nothing can have been attached under such an id.
    if (taskId === undefined) return;
    const { links, balancer } = this.#parts;
    const task = this.#forget(taskId);
    await this.#closePorts([taskId]);
    await this.#leaveNetworks([taskId]);
    await links.detach(taskId);
    if (task !== undefined) await balancer.cut(task.addresses);
  }

  async retain(taskIds: ReadonlySet<string>): Promise<void> {
    const { links, balancer } = this.#parts;
    const found = await links.list();
    const isGone = (taskId: TaskId | undefined): taskId is TaskId =>
      taskId !== undefined && !taskIds.has(taskId);
    const gone = new Set(
      [...this.#tasks.keys(), ...found.map(({ taskId }) => taskId)].filter(isGone),
    );
    const addresses = new Set(found.flatMap((link) => (isGone(link.taskId) ? link.addresses : [])));
    for (const taskId of gone) {
      for (const address of this.#forget(taskId)?.addresses ?? []) addresses.add(address);
    }
    await this.#closePorts([...gone]);
    await this.#leaveNetworks([...gone]);
    await this.#changes.run(async () => {
      if (!this.#isOver) await this.#parts.names.retain(taskIds);
    });
    await links.retain(taskIds);
    await balancer.cut([...addresses]);
  }

  connections(task: TaskSockets): Promise<number> {
    return this.#parts.probe.connections(this.#inBothFamilies(task));
  }

  listens(task: TaskSockets): Promise<boolean> {
    return this.#parts.probe.listens(this.#inBothFamilies(task));
  }

  async servesIpv6(task: TaskSockets): Promise<boolean> {
    if (!this.#options.hasIpv6) return false;
    const addresses = task.addresses.flatMap((address) => parseIpAddress(address) ?? []);
    const derived = addresses.flatMap(derivedAddress);
    if (derived.length === 0) return false;
    const serves = await this.#parts.probe.listensIpv6({ ...task, addresses: derived });
    await this.#changes.run(async () => {
      const local = this.#tasks.get(task.taskId as TaskId);
      if (this.#closed || local === undefined || local.servesIpv6 === serves) return;
      const changed = { ...local, servesIpv6: serves };
      this.#tasks.set(local.taskId, changed);
      if (local.hostPorts.length === 0) return;
      const hostPorts = local.hostPorts.filter((port) => !this.#trimmed.has(meshPortKey(port)));
      await this.#parts.balancer.attach({ ...changed, hostPorts });
    });
    return serves;
  }

  #inBothFamilies(task: TaskSockets): TaskSockets {
    if (!this.#options.hasIpv6) return task;
    const derived = task.addresses.flatMap((text) => {
      const address = parseIpAddress(text);
      return address === undefined ? [] : derivedAddress(address);
    });
    return { ...task, addresses: [...task.addresses, ...derived] };
  }

  async close({ keep }: { readonly keep: boolean }): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#options.clock.clearTimeout(this.#timer);
    this.#options.clock.clearTimeout(this.#portTimer);
    this.#parts.paths.close();
    this.#options.clock.clearTimeout(this.#guardTimer);
    await this.#states.idle();
    const { tunnel, encryption, links, balancer, names, overlay, transaction } = this.#parts;
    await this.#changes.run(async () => {
      this.#isOver = true;
      await balancer.close();
      await names.close({ keep });
      await overlay.close({ keep });
      await encryption.close({ keep });
      if (!keep) await links.retain(new Set());
      await transaction.close({ keep });
      if (!keep) await tunnel.close();
    });
  }

  /**
   * A task may go after the mesh: its ports went with the table, or stay in it for the next process, which
   * removes what belongs to no task.
   */
  #closePorts(taskIds: readonly TaskId[]): Promise<void> {
    return this.#changes.run(async () => {
      if (!this.#isOver) await this.#parts.balancer.detach(taskIds);
    });
  }

  /** Tasks that are going leave their overlay networks. */
  #leaveNetworks(taskIds: readonly TaskId[]): Promise<void> {
    return this.#changes.run(async () => {
      const left = taskIds.filter((taskId) => this.#overlays.delete(taskId));
      if (this.#isOver) return;
      await this.#parts.names.detach(taskIds);
      await this.#parts.overlay.detach(taskIds);
      if (left.length > 0) await this.#followNetworks();
    });
  }

  /** @throws when nothing can be written any more: the table may be gone, or another process's */
  #refuseIfClosed(): void {
    if (this.#closed) throw new Error('mesh: closed');
  }

  #forget(taskId: TaskId): LocalTask | undefined {
    const task = this.#tasks.get(taskId);
    this.#tasks.delete(taskId);
    this.#taskLinks.delete(taskId);
    this.#claims.release(taskId);
    this.#addresses.release(taskId);
    return task;
  }

  #scheduleCheck(): void {
    const { checkIntervalMs, clock } = this.#options;
    if (this.#closed || checkIntervalMs === undefined) return;
    this.#timer = clock.setTimeout(() => {
      this.#changes
        .run(() => this.#check())
        .catch((error) => this.#logger.error({ err: error }, 'could not repair the table'))
        .finally(() => this.#scheduleCheck());
    }, checkIntervalMs);
  }

  #schedulePortCheck(): void {
    if (this.#closed) return;
    this.#portTimer = this.#options.clock.setTimeout(() => {
      this.#changes
        .run(() => this.#checkPorts())
        .catch((error) => this.#logger.error({ err: error }, 'could not look for taken ports'))
        .finally(() => this.#schedulePortCheck());
    }, PORT_CHECK_MS);
  }

  watchRefusals(listener: (refusals: TaskRefusals) => void): () => void {
    this.#refusalListeners.add(listener);
    return () => this.#refusalListeners.delete(listener);
  }

  #scheduleGuardLook(): void {
    if (this.#closed) return;
    this.#guardTimer = this.#options.clock.setTimeout(() => {
      this.#changes
        .run(() => this.#lookForRefusals())
        .catch((error) => this.#logger.error({ err: error }, 'could not look for refused clients'))
        .finally(() => this.#scheduleGuardLook());
    }, REFUSALS_LOOK_MS);
  }

  /** Only within `#changes`. */
  async #lookForRefusals(): Promise<void> {
    if (this.#closed || this.#isTakenOver) return;
    for (const refusals of await this.#parts.guard.look()) {
      for (const listener of this.#refusalListeners) listener(refusals);
    }
  }

  /** Only within `#changes`: gives ports back to programs that took them, and takes those that are free. */
  async #checkPorts(): Promise<void> {
    if (this.#closed) return;
    const { balancer } = this.#parts;
    const ports = this.#ports();
    await this.#guard.look(ports);
    const withheld = await this.#guard.check(ports);
    if (this.#state !== undefined && !sameReasons(withheld, this.#withheld)) {
      await this.#hold(this.#state);
      return;
    }
    if (balancer.unserved.size > 0) await balancer.retry();
    await this.#trimHostPorts(withheld);
    this.#report(withheld);
  }

  /** Only within `#changes`: repairs what somebody removed, or what a failed write left. */
  async #check(): Promise<void> {
    // Taken over, but no state yet: the kernel holds another process's, which works.
    if (this.#closed || this.#isTakenOver) return;
    const { tunnel, encryption, balancer, overlay, transaction } = this.#parts;
    const before = tunnel.ipv6Addresses;
    const isEncryptionLost = await encryption.repair();
    const isTunnelRepaired = await tunnel.repair();
    if (tunnel.ipv6Addresses !== before) for (const listener of this.#listeners) listener();
    const isRepaired = (await overlay.repair()) || isTunnelRepaired || isEncryptionLost;
    if (isRepaired) {
      this.#logger.warn({}, 'somebody removed rules or routes of the mesh; restored them');
    }
    if (this.#state !== undefined && (isRepaired || tunnel.isRetryDue)) {
      await this.#hold(this.#state);
    }
    if (await transaction.repair()) await balancer.settle({ isUnsure: true });
  }
}

const NOTHING: Pick<CheckedState, 'services' | 'members' | 'ports'> = {
  ports: [],
  services: new Map(),
  members: new Map(),
};

/** The attachment with links whose packets still fit when they are encrypted. */
function withinMtu(attachment: CheckedAttachment, limitBytes: number): CheckedAttachment {
  const { overlay } = attachment;
  if (overlay?.isEncrypted !== true) return attachment;
  const mtuBytes = Math.min(overlay.mtuBytes ?? limitBytes, limitBytes);
  return { ...attachment, overlay: { ...overlay, mtuBytes } };
}

/**
 * All addresses of a task, those first that its host ports lead to. In the host's network, all attachments are at
 * one address.
 * @throws RangeError when it has host ports, and no network that lets clients in
 */
function addressesOf({ taskId, attachments, hostPorts }: CheckedTask): readonly IpAddress[] {
  const gateway = gatewayPlace(attachments, (address) => !isIpv6(address));
  const isClosed = attachments.every(({ overlay }) => overlay?.isInternal === true);
  if (hostPorts.length > 0 && isClosed) {
    throw new RangeError(
      `mesh: task ${taskId} cannot have host ports: all its networks are internal; attach it to one that is not`,
    );
  }
  const first = gateway === undefined ? [] : attachments[gateway]!.addresses;
  return [...new Set([...first, ...attachments.flatMap((one) => one.addresses)])];
}

/** The address of IPv6 that goes with one of IPv4 on the ingress network. */
function derivedAddress(address: IpAddress): readonly IpAddress[] {
  const ipv4 = parseIpv4(address);
  return ipv4 === undefined ? [] : [ingressIpv6(ipv4)];
}

/** @throws RangeError */
function readSelf(place: MeshPeer, ingressNetwork: SubnetText): CheckedPeer {
  try {
    return readPeer(place, Subnet.of(ingressNetwork));
  } catch (error) {
    if (!(error instanceof BadPart)) throw error;
    throw new RangeError(`mesh: this node has no place in ${ingressNetwork}: ${error.message}`);
  }
}

/** Nothing is sent to peers that this node cannot reach. */
function without(state: CheckedState, nodeIds: ReadonlySet<string>): CheckedState {
  if (nodeIds.size === 0) return state;
  const peers = new Map([...state.peers].filter(([nodeId]) => !nodeIds.has(nodeId)));
  return { ...state, peers };
}
