/** Most questions that wait for other servers at a time. */
export const FORWARDS_LIMIT = 1024;
/** What a task may have waiting however many others do. */
const TASK_MINIMUM = 4;

/**
 * Who may have a question forwarded. Each task has an equal share of the room, and one share is always left for a
 * task that has nothing waiting yet.
 */
export class ForwardRoom {
  readonly #limit: number;
  readonly #waiting = new Map<string, number>();
  #total = 0;

  constructor(limit: number = FORWARDS_LIMIT) {
    this.#limit = limit;
  }

  /** @returns ends it; undefined when the task must not have another */
  enter(taskId: string): (() => void) | undefined {
    const own = this.#waiting.get(taskId) ?? 0;
    const tasks = this.#waiting.size + (own === 0 ? 1 : 0);
    const share = Math.max(TASK_MINIMUM, Math.floor(this.#limit / (tasks + 1)));
    if (this.#total >= this.#limit || own >= share) return undefined;
    this.#total += 1;
    this.#waiting.set(taskId, own + 1);
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      this.#total -= 1;
      const left = this.#waiting.get(taskId)! - 1;
      if (left === 0) this.#waiting.delete(taskId);
      else this.#waiting.set(taskId, left);
    };
  }
}
