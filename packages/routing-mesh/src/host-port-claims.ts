import { portKey } from '@swarm/api';
import type { TaskId } from './layout.js';
import type { HostPort } from './mesh.js';

/**
 * Which task owns which host port of this node: a port can go to one task only, and the kernel would reject
 * the second as part of a whole table.
 */
export class HostPortClaims {
  readonly #owners = new Map<string, TaskId>();
  readonly #ports = new Map<TaskId, readonly string[]>();

  /**
   * Gives the task these ports instead of those it had.
   * @throws RangeError when it names a port twice
   * @throws when another task owns one; the task then keeps what it had
   */
  claim(taskId: TaskId, ports: readonly HostPort[]): void {
    const keys = ports.map((port) => portKey(port.protocol, port.publishedPort));
    if (new Set(keys).size < keys.length) {
      throw new RangeError(`mesh: task ${taskId} names a host port twice`);
    }
    for (const key of keys) {
      const owner = this.#owners.get(key);
      if (owner === undefined || owner === taskId) continue;
      throw new Error(
        `mesh: host port ${key} of task ${taskId} belongs to task ${owner} of this node; detach that one first`,
      );
    }
    this.release(taskId);
    for (const key of keys) this.#owners.set(key, taskId);
    if (keys.length > 0) this.#ports.set(taskId, keys);
  }

  release(taskId: TaskId): void {
    for (const key of this.#ports.get(taskId) ?? []) this.#owners.delete(key);
    this.#ports.delete(taskId);
  }
}
