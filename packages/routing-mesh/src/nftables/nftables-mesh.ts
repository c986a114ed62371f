import assert from 'node:assert/strict';
import {
  type Clock,
  isLoopback,
  isPort,
  type Logger,
  type MeshPeer,
  type MeshState,
  type Timer,
} from '@swarm/api';
import {
  type Cidr,
  contains,
  firstHost,
  type Ipv4Address,
  isTaskAddress,
  networkOf,
  parseIpv4,
} from '../address.js';
import {
  BadPart,
  type CheckedPeer,
  type CheckedState,
  isProtocol,
  readAttachment,
  readNetnsPath,
  readPeer,
} from '../checked.js';
import type { RunCommand } from '../kernel/command.js';
import { type Nft, NftError } from '../kernel/nft.js';
import { word, words } from '../kernel/words.js';
import { LatestQueue, SerialQueue } from '../latest.js';
import { parseTaskId, TABLE, taskLinkName } from '../layout.js';
import type { HostPort, Mesh, TaskAttachment, TaskSockets } from '../mesh.js';
import { EMPTY_MODEL, hasGone, type Model, nextModel, portKey, sameKeys } from '../model.js';
import { MAX_ENDPOINTS_PER_PORT } from '../slots.js';
import { countConnections, isListening } from '../sockets.js';
import { StateReader } from '../state-reader.js';
import type { LoopbackListeners } from '../userspace/loopback-listeners.js';
import { Conntrack, type Flow } from './conntrack.js';
import {
  ElementChanges,
  hostPortElements,
  keyOf,
  modelChanges,
  removedEndpoints,
  samePeer,
} from './elements.js';
import { warnOfForeignDrops } from './foreign-firewall.js';
import { REFERRED_CHAINS, itselfElements, skeleton } from './ruleset.js';
import { tuneConntrack, tuneForwarding } from './sysctls.js';
import { TaskLinks } from './task-links.js';
import { Tunnel } from './tunnel.js';

const DEFAULT_CHECK_INTERVAL_MS = 15_000;

export interface NftablesMeshOptions {
  readonly nft: Nft;
  readonly run: RunCommand;
  readonly loopback: LoopbackListeners;
  readonly dataPathPort: number;
  readonly ingressNetwork: Cidr;
  readonly checkIntervalMs?: number;
  readonly logger: Logger;
  readonly clock: Clock;
}

/** What a local task has in the kernel. */
interface LocalTask {
  readonly address: Ipv4Address;
  readonly hostPorts: readonly HostPort[];
}

/**
 * The mesh in the kernel: DNAT at the node a client came to, the client's address kept, the way back by
 * connection mark. This class owns the order of things; what is written is made by pure functions.
 *
 * Invariants: all writes to the table go through `#writes`, one at a time; `#held` is what the table
 * holds after the last successful one, or undefined when that is unknown, and then the next write is a
 * whole table.
 */
export class NftablesMesh implements Mesh {
  readonly backend = 'nftables';
  readonly #options: NftablesMeshOptions;
  readonly #logger: Logger;
  readonly #tunnel: Tunnel;
  readonly #links: TaskLinks;
  readonly #conntrack: Conntrack;
  readonly #reader: StateReader;
  readonly #states: LatestQueue<MeshState>;
  readonly #writes = new SerialQueue();
  #self: CheckedPeer | undefined;
  /** The newest state, as read. */
  #state: CheckedState | undefined;
  /** What the table should hold; ahead of `#held` only within a write. */
  #wanted: Model = EMPTY_MODEL;
  #held: Model | undefined;
  #tasks = new Map<string, LocalTask>();
  /** The table is an earlier process's until the first state comes. */
  #takenOver = false;
  #timer: Timer | undefined;
  #closed = false;

  constructor(options: NftablesMeshOptions) {
    this.#options = options;
    this.#logger = options.logger;
    const { run, logger, clock } = options;
    this.#reader = new StateReader({ ingress: networkOf(options.ingressNetwork), logger });
    this.#tunnel = new Tunnel({ run, logger, clock, port: options.dataPathPort });
    this.#links = new TaskLinks({ run, logger });
    this.#conntrack = new Conntrack(run);
    this.#states = new LatestQueue((state) => this.#apply(state));
  }

  get generation(): number {
    return this.#held?.generation ?? 0;
  }

  async start(place: MeshPeer): Promise<void> {
    const self = readSelf(place, this.#options.ingressNetwork);
    await this.#writes.run(async () => {
      const before = this.#self;
      if (samePeer(self, before)) return;
      this.#self = self;
      try {
        await this.#startOn(self, before !== undefined);
      } catch (error) {
        this.#self = before;
        throw error;
      }
    });
    if (this.#timer === undefined) this.#scheduleCheck();
  }

  /** Only within `#writes`. */
  async #startOn(self: CheckedPeer, again: boolean): Promise<void> {
    await this.#tunnel.start(self);
    await tuneForwarding(this.#logger);
    const earlier = again ? undefined : await this.#readEarlier();
    if (earlier === undefined) {
      await this.#tunnel.add(this.#wanted.peers);
      await this.#writeWhole(this.#wanted);
      await warnOfForeignDrops(this.#options.run, this.#logger);
    } else {
      // The table of an earlier process works on until the first state replaces it as a whole.
      this.#tasks = earlier;
      this.#held = undefined;
      this.#takenOver = true;
      this.#logger.info({ tasks: earlier.size }, 'took over the table of an earlier process');
    }
    await tuneConntrack(this.#logger);
    this.#options.loopback.target = firstHost(self.subnet);
  }

  apply(state: MeshState): Promise<void> {
    assert(this.#self !== undefined, 'start comes before apply');
    return this.#states.push(state);
  }

  async attach(task: TaskAttachment): Promise<void> {
    const self = this.#self;
    assert(self !== undefined, 'start comes before attach');
    const { taskId, address: anywhere, hostPorts } = readAttachment(task);
    const netns = readNetnsPath(task.netns);
    const address = parseIpv4(anywhere);
    if (address === undefined || !isTaskAddress(networkOf(self.subnet), address)) {
      throw new RangeError(
        `mesh: task ${taskId} has the address ${anywhere}, which is not in this node's block ${self.subnet}`,
      );
    }
    this.#checkHostPorts(taskId, hostPorts);
    const before = this.#tasks.get(taskId);
    // Its host ports are its own from here on, also towards a task attached meanwhile.
    this.#tasks.set(taskId, { address, hostPorts });
    try {
      await this.#links.attach({ taskId, address, netns }, this.#tunnel.mtuBytes);
    } catch (error) {
      if (before === undefined) this.#tasks.delete(taskId);
      else this.#tasks.set(taskId, before);
      throw error;
    }
    if (hostPorts.length > 0 || (before?.hostPorts.length ?? 0) > 0) {
      const changes = new ElementChanges();
      deleteHostPorts(changes, before);
      for (const element of hostPortElements(address, hostPorts)) {
        changes.add('host_ports', element);
      }
      await this.#writes.run(() => this.#writeTaskChanges(changes));
      await this.#followLoopback();
    }
  }

  async detach(id: string): Promise<void> {
    const taskId = parseTaskId(id);
    // Nothing can have been attached under such an id.
    if (taskId === undefined) return;
    const task = this.#tasks.get(taskId);
    this.#tasks.delete(taskId);
    if (task !== undefined && task.hostPorts.length > 0) {
      const changes = new ElementChanges();
      deleteHostPorts(changes, task);
      await this.#writes.run(() => this.#writeTaskChanges(changes));
      await this.#followLoopback();
    }
    await this.#links.detach(taskId);
    if (task !== undefined) {
      await this.#forget('a task that is gone', () =>
        this.#conntrack.forgetAddresses([task.address]),
      );
    }
  }

  async retain(taskIds: ReadonlySet<string>): Promise<void> {
    const names = new Set<string>();
    for (const id of taskIds) {
      const taskId = parseTaskId(id);
      if (taskId !== undefined) names.add(taskLinkName(taskId));
    }
    const stale = (await this.#links.list()).filter(({ link }) => !names.has(link));
    const changes = new ElementChanges();
    for (const { taskId } of stale) {
      if (taskId === undefined) continue;
      deleteHostPorts(changes, this.#tasks.get(taskId));
      this.#tasks.delete(taskId);
    }
    for (const [taskId, task] of this.#tasks) {
      if (taskIds.has(taskId)) continue;
      deleteHostPorts(changes, task);
      this.#tasks.delete(taskId);
    }
    if (!changes.empty) await this.#writes.run(() => this.#writeTaskChanges(changes));
    await this.#followLoopback();
    await this.#links.remove(stale.map(({ link }) => link));
    await this.#forget('tasks that are gone', () =>
      this.#conntrack.forgetAddresses(stale.flatMap(({ address }) => address ?? [])),
    );
  }

  connections(task: TaskSockets): Promise<number> {
    return countConnections(task);
  }

  listens(task: TaskSockets): Promise<boolean> {
    return isListening(task);
  }

  async close({ keep }: { readonly keep: boolean }): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#options.clock.clearTimeout(this.#timer);
    await this.#states.idle();
    await this.#writes.run(async () => {
      await this.#options.loopback.close();
      if (!keep) {
        await this.#links.remove((await this.#links.list()).map(({ link }) => link));
        await this.#options.nft.run(`add table ip ${TABLE}\ndelete table ip ${TABLE}\n`);
        await this.#tunnel.stop();
      }
    });
    this.#options.nft.close();
  }

  /** Only within the queue of states. */
  async #apply(state: MeshState): Promise<void> {
    if (this.#held !== undefined && state.generation < this.#held.generation) return;
    const self = this.#self!;
    const read = this.#reader.read(state, self, isLoopback(self.address));
    for (const { publishedPort, endpoints } of read.ports) {
      if (endpoints.length <= MAX_ENDPOINTS_PER_PORT) continue;
      this.#logger.warn(
        { port: publishedPort, endpoints: endpoints.length },
        `more endpoints than ${MAX_ENDPOINTS_PER_PORT}: this node uses only some of them`,
      );
    }
    const listened = this.#wanted.ports;
    this.#state = read;
    await this.#writes.run(() => this.#hold(read));
    const { loopback } = this.#options;
    if (loopback.hasFailed || !sameKeys(listened, this.#wanted.ports)) await this.#followLoopback();
  }

  /** Only within `#writes`: makes the kernel hold the state, less the peers that it refuses. */
  async #hold(state: CheckedState): Promise<void> {
    const before = this.#held;
    // New routes before the elements that need them, old ones away after nothing needs them.
    const refused = await this.#tunnel.add(state.peers);
    const after = nextModel(this.#wanted, without(state, refused), this.#self!.index);
    if (before === undefined) {
      await this.#writeWhole(after);
    } else {
      const changes = modelChanges(before, after);
      try {
        if (!changes.empty) await this.#options.nft.run(changes.text());
        this.#wanted = after;
        this.#held = after;
      } catch (error) {
        if (!(error instanceof NftError)) throw error;
        this.#logger.warn({ err: error }, 'the table was changed by someone; writing it anew');
        await this.#writeWhole(after);
      }
    }
    await this.#tunnel.prune(after.peers);
    await this.#forgetRemoved(before, after);
  }

  /** Only within `#writes`. One transaction: no packet sees a table without rules. */
  async #writeWhole(model: Model): Promise<void> {
    const self = this.#self!;
    const { dataPathPort, ingressNetwork, nft } = this.#options;
    this.#wanted = model;
    this.#held = undefined;
    this.#takenOver = false;
    const changes = modelChanges(EMPTY_MODEL, model);
    for (const element of itselfElements(self.subnet)) changes.add('itself', element);
    for (const task of this.#tasks.values()) {
      for (const element of hostPortElements(task.address, task.hostPorts)) {
        changes.add('host_ports', element);
      }
    }
    await nft.run(
      `add table ip ${TABLE}\ndelete table ip ${TABLE}\n` +
        skeleton({ self, ingressNetwork, dataPathPort }) +
        changes.text(),
    );
    this.#held = model;
  }

  /** Only within `#writes`. */
  async #writeTaskChanges(changes: ElementChanges): Promise<void> {
    try {
      if (!changes.empty) await this.#options.nft.run(changes.text());
    } catch (error) {
      if (!(error instanceof NftError)) throw error;
      // Whole writes take the tasks' ports along: the next one is due anyway.
      if (this.#held === undefined) return;
      this.#logger.warn({ err: error }, 'the table was changed by someone; writing it anew');
      await this.#writeWhole(this.#held);
    }
  }

  /**
   * Deletes connections that must not go on: UDP to removed endpoints, all to nodes that are gone. What
   * an earlier process left is not known, so the first state is held against all there are.
   */
  async #forgetRemoved(before: Model | undefined, after: Model): Promise<void> {
    const living = [...after.peers.values()].filter(({ down }) => down !== true);
    const networks = living.map(({ subnet }) => networkOf(subnet));
    const ingress = networkOf(this.#options.ingressNetwork);
    const isOfGoneNode = ({ address }: Flow): boolean =>
      contains(ingress, address) && !networks.some((network) => contains(network, address));
    if (before === undefined) {
      const known = new Set<string>();
      for (const { protocol, endpoints } of after.ports.values()) {
        for (const { address, port } of endpoints) known.add(`${protocol} ${address} ${port}`);
      }
      for (const { address, hostPorts } of this.#tasks.values()) {
        for (const { protocol, targetPort } of hostPorts) {
          known.add(`${protocol} ${address} ${targetPort}`);
        }
      }
      await this.#forget('endpoints that are gone', () =>
        this.#conntrack.forgetMatching(
          (flow) =>
            isOfGoneNode(flow) ||
            (flow.protocol === 'udp' &&
              contains(ingress, flow.address) &&
              !known.has(`${flow.protocol} ${flow.address} ${flow.port}`)),
        ),
      );
      return;
    }
    const flows = removedEndpoints(before, after).filter(({ protocol }) => protocol === 'udp');
    const anyGone = [...before.peers.values()].some((peer) => hasGone(peer, after.peers));
    if (!anyGone && flows.length === 0) return;
    await this.#forget('endpoints that are gone', async () => {
      for (const { protocol, address, port } of flows) {
        await this.#conntrack.forgetFlows({ protocol: word(protocol), address, port });
      }
      if (anyGone) await this.#conntrack.forgetMatching(isOfGoneNode);
    });
  }

  /** The mesh works without: UDP then follows when its entries time out, TCP when the client does. */
  async #forget(what: string, job: () => Promise<void>): Promise<void> {
    try {
      await job();
    } catch (error) {
      this.#logger.warn({ err: error }, `can not delete the connections to ${what}`);
    }
  }

  /**
   * Tasks of an earlier process: address and host ports by task id; undefined when its table is not
   * there.
   */
  async #readEarlier(): Promise<Map<string, LocalTask> | undefined> {
    const { run } = this.#options;
    if (!(await this.#isWhole())) return undefined;
    let listing: string;
    try {
      listing = await run('nft', words`-j list map ip ${word(TABLE)} host_ports`);
    } catch (error) {
      this.#logger.warn({ err: error }, 'can not read the host ports of an earlier process');
      return undefined;
    }
    const ports = readHostPorts(listing);
    const tasks = new Map<string, LocalTask>();
    for (const { taskId, address } of await this.#links.list()) {
      if (taskId === undefined || address === undefined) continue;
      tasks.set(taskId, { address, hostPorts: ports.get(address) ?? [] });
    }
    return tasks;
  }

  /** A port can lead to one task only; the kernel would refuse the second as part of a whole table. */
  #checkHostPorts(taskId: string, hostPorts: readonly HostPort[]): void {
    const wanted = new Set(hostPorts.map((port) => portKey(port.protocol, port.publishedPort)));
    if (wanted.size < hostPorts.length) {
      throw new RangeError(`mesh: task ${taskId} names a host port twice`);
    }
    for (const [otherId, other] of this.#tasks) {
      if (otherId === taskId) continue;
      const taken = other.hostPorts.find((port) =>
        wanted.has(portKey(port.protocol, port.publishedPort)),
      );
      if (taken === undefined) continue;
      throw new Error(
        `mesh: host port ${portKey(taken.protocol, taken.publishedPort)} of task ${taskId} belongs to task ${otherId} of this node; detach that one first`,
      );
    }
  }

  #followLoopback(): Promise<void> {
    const ports = [...this.#wanted.ports.values()].map(({ protocol, publishedPort }) => ({
      protocol,
      port: publishedPort,
    }));
    for (const { hostPorts } of this.#tasks.values()) {
      for (const { protocol, publishedPort } of hostPorts) {
        ports.push({ protocol, port: publishedPort });
      }
    }
    return this.#options.loopback.follow(ports);
  }

  #scheduleCheck(): void {
    if (this.#closed) return;
    this.#timer = this.#options.clock.setTimeout(() => {
      this.#check()
        .catch((error) => this.#logger.error({ err: error }, 'can not repair the table'))
        .finally(() => this.#scheduleCheck());
    }, this.#options.checkIntervalMs ?? DEFAULT_CHECK_INTERVAL_MS);
  }

  /** Repairs what someone flushed, or what a failed write left. */
  async #check(): Promise<void> {
    await this.#writes.run(async () => {
      // Taken over and no state yet: the table is another process's, and works.
      if (this.#closed || this.#takenOver) return;
      const repaired = await this.#tunnel.repair();
      if (repaired) {
        this.#logger.warn(
          {},
          'rules or routes of the mesh were removed by someone; made them anew',
        );
      }
      if (this.#state !== undefined && (repaired || this.#tunnel.isRetryDue)) {
        await this.#hold(this.#state);
      }
      if (this.#held !== undefined && (await this.#isWhole())) return;
      this.#logger.warn({}, 'the table was flushed or changed by someone; writing it anew');
      await this.#writeWhole(this.#wanted);
    });
  }

  /**
   * Whether the rules are there: then the kernel would refuse to delete the chains they refer to. Asking
   * for a listing instead would make nft read every element: 0.6 s and 90 MB with 1000 ports.
   */
  async #isWhole(): Promise<boolean> {
    const complaints = await this.#options.nft.check(
      REFERRED_CHAINS.map((chain) => `delete chain ip ${TABLE} ${chain}\n`).join(''),
    );
    return complaints.split('Device or resource busy').length - 1 === REFERRED_CHAINS.length;
  }
}

/** @throws RangeError */
function readSelf(place: MeshPeer, ingressNetwork: Cidr): CheckedPeer {
  try {
    return readPeer(place, networkOf(ingressNetwork));
  } catch (error) {
    if (!(error instanceof BadPart)) throw error;
    throw new RangeError(`mesh: this node has no place in ${ingressNetwork}: ${error.message}`);
  }
}

function without(state: CheckedState, nodeIds: ReadonlySet<string>): CheckedState {
  if (nodeIds.size === 0) return state;
  const peers = new Map([...state.peers].filter(([nodeId]) => !nodeIds.has(nodeId)));
  return { ...state, peers };
}

function deleteHostPorts(changes: ElementChanges, task: LocalTask | undefined): void {
  if (task === undefined) return;
  for (const element of hostPortElements(task.address, task.hostPorts)) {
    changes.delete('host_ports', keyOf(element));
  }
}

/** Reads `nft -j list map`: host ports by the task's address. Skips what is none of ours. */
function readHostPorts(json: string): Map<string, HostPort[]> {
  type Concat = { concat: [unknown, unknown] };
  const ports = new Map<string, HostPort[]>();
  const { nftables } = JSON.parse(json) as { nftables: { map?: { elem?: [Concat, Concat][] } }[] };
  for (const { map } of nftables) {
    for (const [{ concat: from }, { concat: to }] of map?.elem ?? []) {
      const address = parseIpv4(to[0]);
      const [protocol, publishedPort] = from;
      const [, targetPort] = to;
      if (address === undefined || !isProtocol(protocol)) continue;
      if (!isPort(publishedPort) || !isPort(targetPort)) continue;
      const port = { protocol, publishedPort, targetPort };
      ports.set(address, [...(ports.get(address) ?? []), port]);
    }
  }
  return ports;
}
