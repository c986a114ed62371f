import {
  compareStates,
  isTerminal,
  type Node,
  type PortKey,
  publishedKey,
  type Task,
} from '@swarm/api';
import { isFixed, isIngress } from '../allocator/publish-conflict.js';

/** A node on which tasks of a service failed this often within this time comes last (SwarmKit). */
export const FAILURES_LIMIT = 5;
export const FAILURES_WINDOW_MS = 5 * 60_000;

/** Key of a service's spec version: failures of an older version do not count against a new one. */
export function versionKey(task: Task): string {
  return `${task.ServiceID}/${task.SpecVersion.Index}`;
}

/**
 * A node with all its tasks and what they hold. A task holds resources and host ports from its
 * assignment until its observed state is terminal, whatever its desired state.
 */
export class NodeInfo {
  node: Node;
  readonly #tasks = new Map<string, Task>();
  readonly #activeByService = new Map<string, number>();
  readonly #hostPorts = new Map<PortKey, number>();
  /** Times of failures by service and spec version, the latest key last. */
  readonly #failures = new Map<string, number[]>();
  /** Tasks here that another task of their slot is about to replace. */
  readonly #superseded = new Set<string>();
  readonly #fadingByService = new Map<string, number>();
  #active = 0;
  #fading = 0;
  #nanoCpus = 0;
  #memoryBytes = 0;

  constructor(node: Node) {
    this.node = node;
  }

  /** Number of tasks that should run or complete and have not ended. */
  get active(): number {
    return this.#active;
  }

  activeOf(serviceId: string): number {
    return this.#activeByService.get(serviceId) ?? 0;
  }

  /** The active ones that nothing is about to replace: what spreading goes by. */
  get lasting(): number {
    return this.#active - this.#fading;
  }

  lastingOf(serviceId: string): number {
    return this.activeOf(serviceId) - (this.#fadingByService.get(serviceId) ?? 0);
  }

  /** Whether it reaches fewer nodes through the tunnel than it does not. */
  get isCutOff(): boolean {
    return this.node.Description?.Paths?.CutOff === true;
  }

  /** Number of nodes that it does not reach through the tunnel, or with small packets only. */
  get blockedPaths(): number {
    return this.node.Description?.Paths?.Problems.length ?? 0;
  }

  get freeNanoCpus(): number {
    return (this.node.Description?.Resources.NanoCPUs ?? 0) - this.#nanoCpus;
  }

  get freeMemoryBytes(): number {
    return (this.node.Description?.Resources.MemoryBytes ?? 0) - this.#memoryBytes;
  }

  hasHostPort(key: PortKey): boolean {
    return this.#hostPorts.has(key);
  }

  /** All tasks of the node that are still stored, ended ones too. */
  tasks(): Iterable<Task> {
    return this.#tasks.values();
  }

  /** Adds or replaces a task. */
  put(task: Task): void {
    const previous = this.#tasks.get(task.ID);
    if (previous !== undefined) this.#count(previous, -1);
    this.#tasks.set(task.ID, task);
    this.#count(task, 1);
  }

  remove(taskId: string): void {
    const previous = this.#tasks.get(taskId);
    if (previous === undefined) return;
    this.#count(previous, -1);
    this.#tasks.delete(taskId);
    this.#superseded.delete(taskId);
  }

  /** Records whether another task of its slot is about to replace the task. @returns whether that is news */
  supersede(taskId: string, isSuperseded: boolean): boolean {
    const task = this.#tasks.get(taskId);
    if (task === undefined || this.#superseded.has(taskId) === isSuperseded) return false;
    this.#count(task, -1);
    if (isSuperseded) this.#superseded.add(taskId);
    else this.#superseded.delete(taskId);
    this.#count(task, 1);
    return true;
  }

  /** Records that a task failed here. */
  failed(key: string, timeMs: number): void {
    const times = this.#failures.get(key) ?? [];
    times.push(timeMs);
    // More failures than this add no information.
    if (times.length > 4 * FAILURES_LIMIT) times.shift();
    this.#failures.delete(key);
    this.#failures.set(key, times);
    // Nobody asks again about services that were removed or updated.
    for (const [other, failed] of this.#failures) {
      if (timeMs - (failed.at(-1) ?? 0) < FAILURES_WINDOW_MS) break;
      this.#failures.delete(other);
    }
  }

  /** Number of services and spec versions with remembered failures. */
  get failing(): number {
    return this.#failures.size;
  }

  /** Number of failures within the window; 0 below the limit. */
  recentFailures(key: string, nowMs: number): number {
    const times = this.#failures.get(key);
    if (times === undefined) return 0;
    const recent = times.filter((timeMs) => nowMs - timeMs < FAILURES_WINDOW_MS);
    if (recent.length === 0) this.#failures.delete(key);
    else this.#failures.set(key, recent);
    return recent.length < FAILURES_LIMIT ? 0 : recent.length;
  }

  #count(task: Task, sign: 1 | -1): void {
    if (!isHolding(task)) return;
    const { NanoCPUs = 0, MemoryBytes = 0 } = task.Spec.Resources?.Reservations ?? {};
    this.#nanoCpus += sign * NanoCPUs;
    this.#memoryBytes += sign * MemoryBytes;
    for (const port of task.Endpoint.Ports) {
      if (!isIngress(port) && isFixed(port)) change(this.#hostPorts, publishedKey(port), sign);
    }
    if (!isActive(task)) return;
    this.#active += sign;
    change(this.#activeByService, task.ServiceID, sign);
    if (!this.#superseded.has(task.ID)) return;
    this.#fading += sign;
    change(this.#fadingByService, task.ServiceID, sign);
  }
}

/** Whether the task is on its node, has not ended, and should run or complete. */
export function isActive(task: Task): boolean {
  return isHolding(task) && compareStates(task.DesiredState, 'complete') <= 0;
}

/** Whether the task is on its node and has not ended. */
export function isHolding(task: Task): boolean {
  return compareStates(task.Status.State, 'assigned') >= 0 && !isTerminal(task.Status.State);
}

function change<K>(counts: Map<K, number>, key: K, by: number): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}
