import {
  isLoopback,
  type Logger,
  type MeshDelta,
  meshPortKey,
  type MeshState,
  type PortKey,
  Subnet,
} from '@swarm/api';
import type { CheckedPeer, CheckedState, StateChange } from './checked.js';
import { DEFAULT_INGRESS } from './ingress.js';
import type { NetworkId, TaskId } from './layout.js';
import type { LocalTasks } from './local-tasks.js';
import type { MeshParts } from './mesh-parts.js';
import type { NetworkTouches } from './overlay/network-view.js';
import { ViewedNetworks, type ViewSource } from './overlay/viewed-networks.js';
import { type PortGuard, sameReasons } from './port-guard.js';
import type { PortReport } from './port-report.js';
import { ServedPorts } from './served-ports.js';
import { StateIndex } from './state-index.js';
import { StateReader } from './state-reader.js';

export interface StateHolderOptions {
  readonly parts: MeshParts;
  readonly logger: Logger;
  readonly tasks: LocalTasks;
  readonly guard: PortGuard;
  readonly report: PortReport;
}

/**
 * Makes every part hold its slice of the state, in order: routes to new peers, then what uses them, all in one
 * transaction, then removal of the routes to peers that are gone, then of connections that must not continue.
 *
 * A whole state is compared with all that parts hold. A delta costs as much as what it names: it takes the same way,
 * and each part looks at what was touched alone. After any failure only a whole state counts.
 *
 * Calls must not overlap; the mesh ensures that.
 */
export class StateHolder {
  readonly #options: StateHolderOptions;
  #reader: StateReader;
  readonly #index = new StateIndex();
  readonly #served = new ServedPorts();
  readonly #networks = new ViewedNetworks();
  #state: CheckedState | undefined;
  #reached: ReadonlyMap<string, CheckedPeer> = new Map();
  #generation = 0;
  /** Whether parts hold what `#state` was before the next change. */
  #isHeld = false;
  /** What the state was held without. */
  #withheld: ReadonlyMap<PortKey, string> = new Map();
  /** Host ports of tasks that are not led to them. */
  #trimmed: ReadonlySet<PortKey> = new Set();
  #reported: { readonly unserved: unknown; readonly withheld: unknown } = {
    unserved: undefined,
    withheld: undefined,
  };
  /** Until the first state arrives, the kernel holds an earlier process's. */
  isTakenOver = false;

  constructor(options: StateHolderOptions) {
    this.#options = options;
    const { logger } = options;
    this.#reader = new StateReader({ ingress: Subnet.of(DEFAULT_INGRESS.subnet), logger });
  }

  /** Reads what comes in this ingress network; only a whole state counts next. */
  readIn(ingress: Subnet): void {
    this.#reader = new StateReader({ ingress, logger: this.#options.logger });
    this.#isHeld = false;
  }

  get generation(): number {
    return this.#generation;
  }

  /** The newest state, as checked. */
  get state(): CheckedState | undefined {
    return this.#state;
  }

  /** Peers that this node has ways to, by the newest state. */
  get reached(): ReadonlyMap<string, CheckedPeer> {
    return this.#reached;
  }

  get trimmed(): ReadonlySet<PortKey> {
    return this.#trimmed;
  }

  /** Ignores a state older than the one held. */
  async hold(state: MeshState, self: CheckedPeer): Promise<void> {
    if (state.generation < this.#generation) return;
    this.#state = this.#reader.read(state, self, isLoopback(self.address));
    this.#index.replace(this.#state);
    await this.holdAgain();
  }

  /** @returns false, having done nothing, when the delta does not follow what is held: only a whole state can */
  async change(delta: MeshDelta): Promise<boolean> {
    const hasPeers = delta.peers.length > 0 || delta.removedPeers.length > 0;
    if (!this.#isHeld || delta.base !== this.#generation || hasPeers) return false;
    this.#isHeld = false;
    const { state, change } = this.#reader.change(delta);
    this.#state = state;
    this.#index.change(state, change);
    const found = await this.#options.guard.check(new Set(change.ports.keys()));
    const before = this.#withheld;
    this.#withheld = withChanged(before, change.ports.keys(), found);
    const { unreached } = this;
    const limits = { unreached, withheld: this.#withheld };
    this.#served.change(change.ports.keys(), state.ports, limits);
    await this.#write(state, this.#networks.change(change, this.#source(state)), change);
    if (before !== this.#withheld) await this.trimHostPorts(this.#withheld);
    this.#report();
    return true;
  }

  /** The newest state, with everything that depends on something else than the state. */
  async holdAgain(): Promise<void> {
    const state = this.#state;
    if (state === undefined) return;
    this.#isHeld = false;
    const { parts, tasks, guard } = this.#options;
    const refused = await parts.tunnel.reach(state.peers);
    this.#reached = without(state.peers, refused);
    this.#withheld = await guard.check(this.ports());
    const { unreached } = this;
    this.#served.replace(state.ports, { unreached, withheld: this.#withheld });
    this.#networks.replace(tasks.overlays(), this.#source(state));
    await this.#write(state, undefined, undefined);
    await this.trimHostPorts(this.#withheld);
    this.#report();
  }

  /** After tasks of this node came or went, with every network that they are or were on. */
  async followTasks(changed: ReadonlyMap<TaskId, Iterable<NetworkId>>): Promise<void> {
    // The first state follows at once, and brings them.
    if (this.isTakenOver) return;
    const isHeld = this.#isHeld;
    this.#isHeld = false;
    const { parts, tasks } = this.#options;
    const state = this.#state ?? NOTHING;
    const touched = this.#networks.followTasks(
      (networkId) => tasks.overlay(networkId),
      changed,
      this.#source(state),
    );
    const isUnsure = await this.#commit(state, touched, undefined);
    await parts.names.apply({ networks: this.#networks.views, touched });
    await parts.overlay.settle({ isUnsure });
    if (isUnsure) await parts.balancer.settle({ isUnsure });
    this.#isHeld = isHeld;
  }

  /** Gives ports back to programs that took them, and takes those that are free. */
  async checkPorts(): Promise<void> {
    const { guard, parts } = this.#options;
    const ports = this.ports();
    await guard.look(ports);
    const withheld = await guard.check(ports);
    if (this.#state !== undefined && !sameReasons(withheld, this.#withheld)) {
      await this.holdAgain();
      return;
    }
    if (parts.balancer.unserved.size > 0) await parts.balancer.retry();
    await this.trimHostPorts(withheld);
    this.#report(withheld);
  }

  /** All ports that lead to tasks: of the state, and those of this node's tasks. */
  ports(): Set<PortKey> {
    return new Set([...(this.#state?.ports.keys() ?? []), ...this.#options.tasks.hostPorts()]);
  }

  /** Nodes to which the tunnel does not carry packets, or not those of full size. */
  get unreached(): ReadonlySet<string> {
    return new Set(this.#options.parts.paths.problems.keys());
  }

  async #write(
    state: CheckedState,
    touched: NetworkTouches,
    change: StateChange | undefined,
  ): Promise<void> {
    const { tunnel, paths, balancer, overlay, names } = this.#options.parts;
    const peers = this.#reached;
    const { ports } = this.#served;
    await balancer.apply({ peers, ports, touched: change?.ports.keys() });
    let isUnsure: boolean;
    try {
      isUnsure = await this.#commit(state, touched, change);
    } catch (error) {
      this.#generation = 0;
      throw error;
    }
    // What names lead to is in the kernel.
    await names.apply({ networks: this.#networks.views, touched });
    this.#generation = state.generation;
    if (change === undefined) {
      paths.follow(peers);
      await tunnel.prune(peers);
    }
    await overlay.settle({ isUnsure });
    await balancer.settle({ isUnsure });
    this.#isHeld = true;
  }

  /** What has to be there before it is used, and then all that parts write together. */
  async #commit(
    state: Omit<CheckedState, 'generation' | 'peers'>,
    touched: NetworkTouches,
    change: StateChange | undefined,
  ): Promise<boolean> {
    const { encryption, overlay, guard, transaction } = this.#options.parts;
    const slice = { peers: this.#reached, networks: this.#networks.views, touched };
    await encryption.reach(slice);
    await overlay.apply(slice);
    guard.apply({ ...state, index: this.#index, tasks: this.#options.tasks.all }, change);
    this.isTakenOver = false;
    return transaction.commit();
  }

  #source(state: Pick<CheckedState, 'services' | 'members'>): ViewSource {
    return { state, index: this.#index, peers: this.#reached, unreached: this.unreached };
  }

  /** Leads host ports to their tasks, except those to leave alone. */
  async trimHostPorts(withheld: ReadonlyMap<PortKey, string>): Promise<void> {
    const { tasks, parts, logger } = this.#options;
    const before = this.#trimmed;
    const trimmed = new Set<PortKey>();
    for (const task of tasks.all.values()) {
      const keys = task.hostPorts.map(meshPortKey);
      for (const key of keys) if (withheld.has(key)) trimmed.add(key);
      if (keys.every((key) => before.has(key) === withheld.has(key))) continue;
      const hostPorts = task.hostPorts.filter((port) => !withheld.has(meshPortKey(port)));
      try {
        await parts.balancer.attach({ ...task, hostPorts });
      } catch (error) {
        // One task's ports must not keep a state from being held.
        logger.error({ err: error, taskId: task.taskId }, 'could not change host ports');
      }
    }
    this.#trimmed = trimmed;
  }

  #report(withheld = this.#withheld): void {
    const { parts, report } = this.#options;
    const { unserved } = parts.balancer;
    if (this.#reported.unserved === unserved && this.#reported.withheld === withheld) return;
    this.#reported = { unserved, withheld };
    report.follow(new Map([...unserved, ...withheld]));
  }
}

const NOTHING: Omit<CheckedState, 'generation' | 'peers'> = {
  ports: new Map(),
  services: new Map(),
  members: new Map(),
};

/** Nothing is sent to peers that this node cannot reach. */
function without(
  peers: ReadonlyMap<string, CheckedPeer>,
  nodeIds: ReadonlySet<string>,
): ReadonlyMap<string, CheckedPeer> {
  if (nodeIds.size === 0) return peers;
  return new Map([...peers].filter(([nodeId]) => !nodeIds.has(nodeId)));
}

/** The same object when nothing of it changed. */
function withChanged(
  withheld: ReadonlyMap<PortKey, string>,
  keys: Iterable<PortKey>,
  found: ReadonlyMap<PortKey, string>,
): ReadonlyMap<PortKey, string> {
  let changed: Map<PortKey, string> | undefined;
  for (const key of keys) {
    const why = found.get(key);
    if (withheld.get(key) === why) continue;
    changed ??= new Map(withheld);
    if (why === undefined) changed.delete(key);
    else changed.set(key, why);
  }
  return changed ?? withheld;
}
