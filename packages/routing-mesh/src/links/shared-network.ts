import type { TaskId } from '../layout.js';
import type { FoundLink, LinkWishes, TaskLinks } from './task-links.js';

/**
 * For tasks that share their host's network: there is nothing to link, and nothing outlives the daemon. Knows
 * who is attached and where.
 */
export class SharedNetwork implements TaskLinks {
  readonly #links = new Map<TaskId, readonly FoundLink[]>();

  start(): void {}

  async attach({ taskId, attachments }: LinkWishes): Promise<void> {
    this.#links.set(
      taskId,
      attachments.map(({ networkId, addresses }, place) => ({
        taskId,
        networkId,
        place,
        traits: undefined,
        addresses,
      })),
    );
  }

  /** Nothing outlives the daemon. */
  async isAttached(): Promise<boolean> {
    return false;
  }

  async detach(taskId: TaskId): Promise<void> {
    this.#links.delete(taskId);
  }

  async list(): Promise<readonly FoundLink[]> {
    return [...this.#links.values()].flat();
  }

  async retain(taskIds: ReadonlySet<string>): Promise<void> {
    for (const taskId of this.#links.keys()) {
      if (!taskIds.has(taskId)) this.#links.delete(taskId);
    }
  }
}
