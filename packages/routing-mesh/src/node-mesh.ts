import assert from 'node:assert/strict';
import {
  type Clock,
  type Logger,
  type MeshDelta,
  type MeshEncryption,
  meshPortOf,
  type MeshIngress,
  type MeshPeer,
  meshPortKey,
  type MeshState,
  type MeshTrace,
  type MeshTraceQuery,
  type NodePaths,
  parseIpAddress,
  type PortConflict,
  type PortKey,
  SerialQueue,
  Subnet,
} from '@swarm/api';
import { derivedAddresses, nodeBlockText } from './address.js';
import { readAttachment } from './attachment.js';
import { BadPart } from './bad-part.js';
import { type CheckedPeer, readPeer, samePeer } from './checked.js';
import type { TunnelKeyPair } from './encryption/keys.js';
import {
  carriesIpv6,
  type CheckedIngress,
  DEFAULT_INGRESS,
  readIngress,
  sameIngress,
} from './ingress.js';
import { LatestQueue } from './latest-queue.js';
import { parseTaskId, type TaskId } from './layout.js';
import type { FoundLink } from './links/task-links.js';
import { LocalTasks } from './local-tasks.js';
import type { Mesh, MeshBackendName, TaskAttachment, TaskRefusals, TaskSockets } from './mesh.js';
import type { MeshParts } from './mesh-parts.js';
import { PortGuard } from './port-guard.js';
import { PortReport } from './port-report.js';
import { Repeated } from './repeated.js';
import { StateHolder } from './state-holder.js';
import { TaskAttacher } from './task-attacher.js';
import { membersByAddress } from './trace/known-addresses.js';
import { traceMesh } from './trace/trace-mesh.js';

export interface NodeMeshOptions {
  readonly parts: MeshParts;
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
 * that calls to parts do not overlap. How a state is held is the {@link StateHolder}'s.
 */
export class NodeMesh implements Mesh {
  readonly backend: MeshBackendName;
  readonly #options: NodeMeshOptions;
  readonly #parts: MeshParts;
  readonly #logger: Logger;
  #ingress = DEFAULT_INGRESS;
  readonly #states: LatestQueue<MeshState>;
  /** All changes of parts, except those of a single task's links. */
  readonly #changes = new SerialQueue();
  readonly #tasks = new LocalTasks();
  readonly #guard: PortGuard;
  readonly #report: PortReport;
  readonly #holder: StateHolder;
  readonly #attacher: TaskAttacher;
  readonly #jobs: readonly Repeated[];
  readonly #refusalListeners = new Set<(refusals: TaskRefusals) => void>();
  #self: CheckedPeer | undefined;
  #closed = false;
  /** Nothing can be written any more. */
  #isOver = false;

  constructor(options: NodeMeshOptions) {
    this.#options = options;
    this.#parts = options.parts;
    this.#logger = options.logger;
    this.backend = options.parts.backend;
    const { parts, logger } = options;
    this.#states = new LatestQueue((state) => this.#changes.run(() => this.#hold(state)));
    this.#guard = new PortGuard({
      programs: parts.programs,
      ownPorts: options.ownPorts ?? (() => []),
      isHeld: (port, at) => parts.balancer.holds(port, at),
      problemOf: (port) => {
        const { limits } = this.#holder.state?.ports.get(port)?.options ?? {};
        return limits === undefined ? undefined : parts.limitsProblem;
      },
    });
    this.#report = new PortReport(logger);
    this.#holder = new StateHolder({
      ...{ parts, logger },
      ...{ tasks: this.#tasks, guard: this.#guard, report: this.#report },
    });
    this.#attacher = new TaskAttacher({
      ...{ parts, tasks: this.#tasks, guard: this.#guard, holder: this.#holder },
      ...{ changes: this.#changes, carriesIpv6: () => this.#carriesIpv6 },
      refuseIfClosed: () => this.#refuseIfClosed(),
      isOver: () => this.#isOver,
    });
    this.#jobs = [
      this.#repeated(options.checkIntervalMs, () => this.#check(), 'could not repair the table'),
      this.#repeated(
        PORT_CHECK_MS,
        () => this.#holder.checkPorts(),
        'could not look for taken ports',
      ),
      this.#repeated(
        REFUSALS_LOOK_MS,
        () => this.#lookForRefusals(),
        'could not look for refused clients',
      ),
    ];
    parts.paths.watch(() => this.#followPaths());
  }

  #repeated(everyMs: number | undefined, job: () => Promise<void>, failure: string): Repeated {
    const { clock, logger } = this.#options;
    const run = () => this.#changes.run(async () => (this.#closed ? undefined : job()));
    return new Repeated({ clock, logger, everyMs, job: run, failure });
  }

  get generation(): number {
    return this.#holder.generation;
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

  async start(place: MeshPeer, network?: MeshIngress): Promise<void> {
    const ingress = readNetwork(network);
    const self = readSelf(place, ingress);
    await this.#changes.run(async () => {
      this.#refuseIfClosed();
      const before = this.#self;
      if (samePeer(self, before) && sameIngress(ingress, this.#ingress)) return;
      const ingressBefore = this.#ingress;
      this.#self = self;
      this.#setIngress(ingress);
      try {
        await this.#startParts(self);
      } catch (error) {
        this.#self = before;
        this.#setIngress(ingressBefore);
        throw error;
      }
    });
    for (const job of this.#jobs) job.start();
  }

  #setIngress(ingress: CheckedIngress): void {
    if (sameIngress(ingress, this.#ingress)) return;
    this.#ingress = ingress;
    this.#holder.readIn(Subnet.of(ingress.subnet));
  }

  async #startParts(self: CheckedPeer): Promise<void> {
    const { tunnel, encryption, links, transaction } = this.#parts;
    await tunnel.start(self, this.#ingress);
    await encryption.start(self, tunnel.mtuBytes);
    await this.#startNetworks(self);
    const found = await links.list();
    await encryption.adopt(found);
    if ((await transaction.start(self, this.#ingress)) && (await this.#takeOver(found))) return;
    const { state } = this.#holder;
    if (state !== undefined) await tunnel.reach(state.peers);
    await transaction.commit();
  }

  /** Starts the parts above the tunnel, except the transaction. */
  async #startNetworks(self: CheckedPeer): Promise<void> {
    const { tunnel, paths, links, balancer, overlay } = this.#parts;
    const ingress = this.#ingress;
    await paths.start(self, Math.min(tunnel.mtuBytes, ingress.mtuBytes ?? tunnel.mtuBytes));
    links.start(self, ingress);
    await balancer.start(self, ingress);
    await overlay.start(self, ingress);
  }

  /**
   * Only within `#changes`: moves the node to its block of another ingress network. Ways to other nodes stay, until
   * the state that comes with it has been held.
   */
  async #moveTo(ingress: CheckedIngress): Promise<void> {
    if (sameIngress(ingress, this.#ingress)) return;
    const before = this.#self!;
    const subnet = nodeBlockText(ingress.subnet, before.index);
    if (subnet === undefined)
      throw new Error(`the ingress network ${ingress.subnet} has no block for this node yet`);
    const ingressBefore = this.#ingress;
    const self = { ...before, subnet };
    this.#self = self;
    this.#setIngress(ingress);
    try {
      await this.#parts.tunnel.start(self, ingress);
      await this.#startNetworks(self);
      await this.#parts.transaction.start(self, ingress);
    } catch (error) {
      this.#self = before;
      this.#setIngress(ingressBefore);
      throw error;
    }
    this.#logger.info({ subnet }, 'moved to another ingress network');
  }

  /** @returns false if it is unknown what the earlier process had */
  async #takeOver(found: readonly FoundLink[]): Promise<boolean> {
    const { balancer, overlay } = this.#parts;
    const hostPorts = await balancer.adopt(found);
    if (hostPorts === undefined) return false;
    for (const { taskId, addresses } of found) {
      if (taskId === undefined) continue;
      const ports = hostPorts.get(taskId) ?? [];
      const servesIpv6 = balancer.servesIpv6(taskId);
      this.#tasks.adopt({ taskId, addresses, hostPorts: ports, servesIpv6 });
    }
    for (const [taskId, overlays] of await overlay.adopt(found))
      this.#tasks.setOverlays(taskId, overlays);
    await this.#holder.trimHostPorts(await this.#guard.check(this.#holder.ports()));
    this.#holder.isTakenOver = true;
    this.#logger.info({ tasks: this.#tasks.all.size }, 'took over the table of an earlier process');
    return true;
  }

  async apply(state: MeshState): Promise<void> {
    assert(this.#self !== undefined, 'start comes before apply');
    this.#refuseIfClosed();
    await this.#states.push(state);
  }

  /** Only within `#changes`. */
  async #hold(state: MeshState): Promise<void> {
    if (state.generation < this.#holder.generation) return;
    await this.#moveTo(readNetwork(state.ingress));
    await this.#holder.hold(state, this.#self!);
  }

  async change(delta: MeshDelta): Promise<boolean> {
    assert(this.#self !== undefined, 'start comes before change');
    return this.#changes.run(async () => {
      this.#refuseIfClosed();
      // All is read again in another network.
      if (!sameIngress(readNetwork(delta.ingress), this.#ingress)) return false;
      return this.#holder.change(delta);
    });
  }

  /** Leads clients past nodes that became unreachable, and to those that are reached again. */
  #followPaths(): void {
    const hold = async () => {
      if (this.#closed || this.#holder.isTakenOver) return;
      await this.#holder.holdAgain();
    };
    this.#changes.run(hold).catch((error: unknown) => {
      this.#logger.error({ err: error }, 'could not follow a change of the paths to other nodes');
    });
  }

  get conflicts(): readonly PortConflict[] {
    return this.#report.conflicts;
  }

  async trace(query: MeshTraceQuery, local: ReadonlySet<string>): Promise<MeshTrace> {
    return this.#changes.run(async () => {
      // Of one moment: the node may have moved since the question came.
      const self = this.#self;
      if (self === undefined) throw new RangeError('the mesh of this node has not started yet');
      const { state, reached: peers, generation } = this.#holder;
      return {
        ...{ NodeID: self.nodeId, Backend: this.backend, Generation: generation },
        ...traceMesh(
          query,
          {
            ...{ self, local, peers, ports: [...(state?.ports.values() ?? [])] },
            links: this.#tasks.links(),
            members: membersByAddress(state?.members.values() ?? []),
          },
          await this.#parts.transaction.describe(),
          this.#parts.balancer.balancing,
        ),
      };
    });
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
      await this.#holder.holdAgain();
    });
  }

  get ipv6Addresses(): readonly string[] {
    return this.#parts.tunnel.ipv6Addresses;
  }

  watchConflicts(listener: () => void): () => void {
    return this.#report.watch(listener);
  }

  async attach(task: TaskAttachment): Promise<void> {
    assert(this.#self !== undefined, 'start comes before attach');
    await this.#attacher.attach(readAttachment(task), { isAdopted: false });
  }

  async adopt(task: TaskAttachment): Promise<void> {
    assert(this.#self !== undefined, 'start comes before attach');
    await this.#attacher.attach(readAttachment(task), { isAdopted: true });
  }

  get #carriesIpv6(): boolean {
    return this.#options.hasIpv6 === true && carriesIpv6(this.#ingress);
  }

  async detach(id: string): Promise<void> {
    const taskId = parseTaskId(id);
    // Nothing can have been attached under such an id.
    if (taskId !== undefined) await this.#attacher.detach(taskId);
  }

  retain(taskIds: ReadonlySet<string>): Promise<void> {
    return this.#attacher.retain(taskIds);
  }

  connections(task: TaskSockets): Promise<number> {
    return this.#parts.probe.connections(this.#inBothFamilies(task));
  }

  listens(task: TaskSockets): Promise<boolean> {
    return this.#parts.probe.listens(this.#inBothFamilies(task));
  }

  async servesIpv6(task: TaskSockets): Promise<boolean> {
    if (!this.#carriesIpv6) return false;
    const addresses = task.addresses.flatMap((address) => parseIpAddress(address) ?? []);
    const derived = addresses.flatMap(derivedAddresses);
    if (derived.length === 0) return false;
    const serves = await this.#parts.probe.listensIpv6({ ...task, addresses: derived });
    await this.#changes.run(async () => {
      const local = this.#tasks.get(task.taskId as TaskId);
      if (this.#closed || local === undefined || local.servesIpv6 === serves) return;
      const changed = { ...local, servesIpv6: serves };
      this.#tasks.set(changed);
      if (local.hostPorts.length === 0) return;
      const { trimmed } = this.#holder;
      const hostPorts = local.hostPorts.filter((port) => !trimmed.has(meshPortKey(port)));
      await this.#parts.balancer.attach({ ...changed, hostPorts });
    });
    return serves;
  }

  #inBothFamilies(task: TaskSockets): TaskSockets {
    if (!this.#options.hasIpv6) return task;
    const derived = task.addresses.flatMap((text) => {
      const address = parseIpAddress(text);
      return address === undefined ? [] : derivedAddresses(address);
    });
    return { ...task, addresses: [...task.addresses, ...derived] };
  }

  async close({ keep }: { readonly keep: boolean }): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const job of this.#jobs) job.stop();
    this.#parts.paths.close();
    await this.#states.idle();
    const { tunnel, encryption, links, balancer, names, overlay, transaction } = this.#parts;
    await this.#changes.run(async () => {
      this.#isOver = true;
      await balancer.close({ keep });
      await names.close({ keep });
      await overlay.close({ keep });
      await encryption.close({ keep });
      if (!keep) await links.retain(new Set());
      await transaction.close({ keep });
      if (!keep) await tunnel.close();
    });
  }

  /** @throws when nothing can be written any more: the table may be gone, or another process's */
  #refuseIfClosed(): void {
    if (this.#closed) throw new Error('mesh: closed');
  }

  watchRefusals(listener: (refusals: TaskRefusals) => void): () => void {
    this.#refusalListeners.add(listener);
    return () => this.#refusalListeners.delete(listener);
  }

  /** Only within `#changes`. */
  async #lookForRefusals(): Promise<void> {
    if (this.#holder.isTakenOver) return;
    const tell = (refusals: TaskRefusals): void => {
      for (const listener of this.#refusalListeners) listener(refusals);
    };
    for (const refusals of await this.#parts.guard.look()) tell({ by: 'rules', ...refusals });
    for (const { port, count, from } of await this.#parts.balancer.look()) {
      const { endpoints = [] } = this.#holder.state?.ports.get(port) ?? {};
      const own = endpoints.find(({ nodeId }) => nodeId === this.#self?.nodeId);
      if (own === undefined)
        this.#logger.info({ port, count, from }, 'refused clients beyond the limits of a port');
      else {
        const { protocol, publishedPort } = meshPortOf(port);
        const last = { from, protocol, port: publishedPort };
        tell({ by: 'limits', taskId: own.taskId, count, last });
      }
    }
  }

  /** Only within `#changes`: repairs what somebody removed, or what a failed write left. */
  async #check(): Promise<void> {
    // Taken over, but no state yet: the kernel holds another process's, which works.
    if (this.#holder.isTakenOver) return;
    const { tunnel, encryption, balancer, overlay, transaction } = this.#parts;
    const before = tunnel.ipv6Addresses;
    const isEncryptionLost = await encryption.repair();
    const isTunnelRepaired = await tunnel.repair();
    if (tunnel.ipv6Addresses !== before) this.#report.tell();
    const isRepaired = (await overlay.repair()) || isTunnelRepaired || isEncryptionLost;
    if (isRepaired) {
      this.#logger.warn({}, 'somebody removed rules or routes of the mesh; restored them');
    }
    if (isRepaired || tunnel.isRetryDue) await this.#holder.holdAgain();
    if (await transaction.repair()) await balancer.settle({ isUnsure: true });
    await balancer.repair();
  }
}

/** @throws RangeError */
function readSelf(place: MeshPeer, { subnet }: CheckedIngress): CheckedPeer {
  try {
    return readPeer(place, Subnet.of(subnet));
  } catch (error) {
    if (!(error instanceof BadPart)) throw error;
    throw new RangeError(`mesh: this node has no place in ${subnet}: ${error.message}`);
  }
}

/** @throws RangeError */
function readNetwork(ingress: MeshIngress | undefined): CheckedIngress {
  try {
    return readIngress(ingress);
  } catch (error) {
    if (!(error instanceof BadPart)) throw error;
    throw new RangeError(`mesh: ${error.message}`);
  }
}
