import { type IpAddress, meshPortKey, type PortKey } from '@swarm/api';
import { AddressClaims, overlayAddresses } from './address-claims.js';
import type { LocalTask } from './balancer/load-balancer.js';
import type { CheckedOverlay, CheckedTask } from './checked.js';
import { HostPortClaims } from './host-port-claims.js';
import type { NetworkId, TaskId } from './layout.js';
import type { HostPort } from './mesh.js';
import { linksByAddress, type TaskLinksByAddress } from './trace/known-addresses.js';

/** What a task had before an attempt to attach it. */
export interface TaskBefore {
  readonly task: LocalTask | undefined;
  readonly addresses: readonly IpAddress[];
}

/** The tasks of this node: what each has, and which has what no two can have. */
export class LocalTasks {
  readonly #tasks = new Map<TaskId, LocalTask>();
  readonly #claims = new HostPortClaims();
  readonly #addresses = new AddressClaims();
  /** Networks of each task that is on some. */
  readonly #overlays = new Map<TaskId, readonly CheckedOverlay[]>();
  /** What each network is, as its tasks say. */
  readonly #networks = new Map<NetworkId, Map<TaskId, CheckedOverlay>>();
  readonly #links = new Map<TaskId, TaskLinksByAddress>();

  get all(): ReadonlyMap<TaskId, LocalTask> {
    return this.#tasks;
  }

  get(taskId: TaskId): LocalTask | undefined {
    return this.#tasks.get(taskId);
  }

  /** Replaces what is known of a task that has its host ports already. */
  set(task: LocalTask): void {
    this.#tasks.set(task.taskId, task);
  }

  /**
   * Gives a task its addresses and host ports, also against one that is attached meanwhile.
   * @throws when another task has one of them; nothing has changed then
   */
  claim(task: CheckedTask, local: LocalTask): TaskBefore {
    const { taskId } = local;
    const before = { task: this.#tasks.get(taskId), addresses: this.#addresses.of(taskId) };
    this.#addresses.claim(taskId, overlayAddresses(task));
    try {
      this.#claims.claim(taskId, local.hostPorts);
    } catch (error) {
      this.#addresses.claim(taskId, before.addresses);
      throw error;
    }
    this.#tasks.set(taskId, local);
    return before;
  }

  /** Gives a task back what it had. */
  restore(taskId: TaskId, { task, addresses }: TaskBefore): void {
    if (task === undefined) this.#tasks.delete(taskId);
    else this.#tasks.set(taskId, task);
    this.#claims.claim(taskId, task?.hostPorts ?? []);
    this.#addresses.claim(taskId, addresses);
  }

  /** Takes in a task that an earlier process attached. */
  adopt(local: LocalTask): void {
    const others = this.#tasks.get(local.taskId)?.addresses ?? [];
    this.#tasks.set(local.taskId, { ...local, addresses: [...others, ...local.addresses] });
    this.#claims.claim(local.taskId, local.hostPorts);
  }

  /** @returns what is known of it no longer */
  forget(taskId: TaskId): LocalTask | undefined {
    const task = this.#tasks.get(taskId);
    this.#tasks.delete(taskId);
    this.#links.delete(taskId);
    this.#claims.release(taskId);
    this.#addresses.release(taskId);
    return task;
  }

  setLinks({ taskId, attachments }: CheckedTask): void {
    this.#links.set(taskId, linksByAddress(taskId, attachments));
  }

  /** By address, of all tasks. */
  links(): TaskLinksByAddress {
    return new Map([...this.#links.values()].flatMap((links) => [...links]));
  }

  /** @returns every network that the task is or was on */
  setOverlays(taskId: TaskId, overlays: readonly CheckedOverlay[]): ReadonlySet<NetworkId> {
    const touched = new Set<NetworkId>();
    for (const { networkId } of this.#overlays.get(taskId) ?? []) {
      touched.add(networkId);
      const tasks = this.#networks.get(networkId);
      tasks?.delete(taskId);
      if (tasks?.size === 0) this.#networks.delete(networkId);
    }
    for (const overlay of overlays) {
      touched.add(overlay.networkId);
      const tasks = this.#networks.get(overlay.networkId) ?? new Map<TaskId, CheckedOverlay>();
      this.#networks.set(overlay.networkId, tasks.set(taskId, overlay));
    }
    if (overlays.length === 0) this.#overlays.delete(taskId);
    else this.#overlays.set(taskId, overlays);
    return touched;
  }

  overlaysOf(taskId: TaskId): readonly CheckedOverlay[] {
    return this.#overlays.get(taskId) ?? [];
  }

  overlay(networkId: NetworkId): CheckedOverlay | undefined {
    return this.#networks.get(networkId)?.values().next().value;
  }

  /** Each network that tasks of this node are on. */
  overlays(): readonly CheckedOverlay[] {
    return [...this.#networks.keys()].flatMap((networkId) => this.overlay(networkId) ?? []);
  }

  *hostPorts(): Generator<PortKey> {
    const ports = (list: readonly HostPort[]) => list.map(meshPortKey);
    for (const task of this.#tasks.values()) yield* ports(task.hostPorts);
  }
}
