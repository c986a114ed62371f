import type { IpAddress } from '@swarm/api';
import type { CheckedTask } from './checked.js';
import type { TaskId } from './layout.js';

/**
 * Which task of this node has which address on an overlay network: the host has one route to each, which the link of
 * a second task would take away.
 */
export class AddressClaims {
  readonly #owners = new Map<IpAddress, TaskId>();
  readonly #addresses = new Map<TaskId, readonly IpAddress[]>();

  /** What the task has. */
  of(taskId: TaskId): readonly IpAddress[] {
    return this.#addresses.get(taskId) ?? [];
  }

  /**
   * Gives the task these addresses instead of those it had.
   * @throws when another task has one; the task then keeps what it had
   */
  claim(taskId: TaskId, addresses: readonly IpAddress[]): void {
    for (const address of addresses) {
      const owner = this.#owners.get(address);
      if (owner === undefined || owner === taskId) continue;
      throw new Error(
        `mesh: task ${taskId} cannot have the address ${address}: task ${owner} of this node has it; detach that one first`,
      );
    }
    this.release(taskId);
    for (const address of addresses) this.#owners.set(address, taskId);
    if (addresses.length > 0) this.#addresses.set(taskId, addresses);
  }

  release(taskId: TaskId): void {
    for (const address of this.#addresses.get(taskId) ?? []) this.#owners.delete(address);
    this.#addresses.delete(taskId);
  }
}

/** The addresses of a task that are its alone. */
export function overlayAddresses({ attachments }: CheckedTask): readonly IpAddress[] {
  return attachments.flatMap(({ overlay, addresses }) => (overlay === undefined ? [] : addresses));
}
