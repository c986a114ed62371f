/**
 * Why changes of role do not go on, as this leader last saw it. Only in memory: the next leader finds out for
 * itself. Holds an entry for a node only while its role changes, so nodes bound it.
 */
export class RoleNotes {
  readonly #notes = new Map<string, string>();

  /** Returns whether this is news. */
  note(nodeId: string, why: string): boolean {
    if (this.#notes.get(nodeId) === why) return false;
    this.#notes.set(nodeId, why);
    return true;
  }

  of(nodeId: string): string | undefined {
    return this.#notes.get(nodeId);
  }

  forget(nodeId: string): void {
    this.#notes.delete(nodeId);
  }

  clear(): void {
    this.#notes.clear();
  }
}
