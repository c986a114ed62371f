interface Members {
  /** Running tasks, which keep the sandbox alive. */
  readonly inside: Set<string>;
  /** Ended tasks; their logs go with the sandbox. */
  readonly left: Set<string>;
}

/** Knows which task is in which sandbox, and when the last one has left. */
export class SandboxMembers {
  readonly #sandboxOf = new Map<string, string>();
  readonly #members = new Map<string, Members>();

  /** The task is in the sandbox, and keeps it alive. */
  join(sandboxId: string, taskId: string): void {
    const members = this.#of(sandboxId, taskId);
    members.left.delete(taskId);
    members.inside.add(taskId);
  }

  /** The task was in the sandbox and has ended. */
  joinEnded(sandboxId: string, taskId: string): void {
    this.#of(sandboxId, taskId).left.add(taskId);
  }

  /**
   * The task has ended.
   * @returns the id of its sandbox if nobody is left inside
   */
  leave(taskId: string): string | undefined {
    const sandboxId = this.#sandboxOf.get(taskId);
    if (sandboxId === undefined) return undefined;
    const { inside, left } = this.#of(sandboxId, taskId);
    inside.delete(taskId);
    left.add(taskId);
    return inside.size === 0 ? sandboxId : undefined;
  }

  /** Nothing of the task remains. */
  forget(taskId: string): void {
    const sandboxId = this.#sandboxOf.get(taskId);
    if (sandboxId === undefined) return;
    const { inside, left } = this.#of(sandboxId, taskId);
    inside.delete(taskId);
    left.delete(taskId);
    this.#sandboxOf.delete(taskId);
    if (inside.size + left.size === 0) this.#members.delete(sandboxId);
  }

  sandboxOf(taskId: string): string | undefined {
    return this.#sandboxOf.get(taskId);
  }

  isEmpty(sandboxId: string): boolean {
    return (this.#members.get(sandboxId)?.inside.size ?? 0) === 0;
  }

  /** Tasks of the sandbox, including those that ended. */
  tasksOf(sandboxId: string): readonly string[] {
    const { inside = [], left = [] } = this.#members.get(sandboxId) ?? {};
    return [...inside, ...left];
  }

  #of(sandboxId: string, taskId: string): Members {
    this.#sandboxOf.set(taskId, sandboxId);
    const members = this.#members.get(sandboxId) ?? { inside: new Set(), left: new Set() };
    this.#members.set(sandboxId, members);
    return members;
  }
}
