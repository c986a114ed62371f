/** Members in groups, and those in wider groups. Each group has its turn, and in its turn the oldest goes. */
export class Turns<M> {
  readonly #members = new Set<M>();
  /** In the order of their turns. */
  readonly #groups = new Map<string, Turns<M>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** @param path names of the groups, widest first */
  add(member: M, path: readonly string[]): void {
    this.#size += 1;
    const [name, ...rest] = path;
    if (name === undefined) {
      this.#members.add(member);
      return;
    }
    let group = this.#groups.get(name);
    if (group === undefined) {
      group = new Turns();
      this.#groups.set(name, group);
    }
    group.add(member, rest);
  }

  /** Whoever is not there is left alone. */
  remove(member: M, path: readonly string[]): boolean {
    const [name, ...rest] = path;
    const group = name === undefined ? undefined : this.#groups.get(name);
    const removed =
      name === undefined ? this.#members.delete(member) : group?.remove(member, rest) === true;
    if (!removed) return false;
    this.#size -= 1;
    if (group?.size === 0) this.#groups.delete(name!);
    return true;
  }

  /**
   * Takes out whose turn it is.
   * @param isReady asked of the oldest of each innermost group; a group that is not ready is passed over,
   *   so the cost grows with the number of these
   */
  next(isReady: (member: M) => boolean): M | undefined {
    for (const member of this.#members) {
      if (!isReady(member)) return undefined;
      this.#members.delete(member);
      this.#size -= 1;
      return member;
    }
    for (let left = this.#groups.size; left > 0; left -= 1) {
      const [name, group] = this.#groups.entries().next().value!;
      const found = group.next(isReady);
      this.#groups.delete(name);
      if (group.size > 0) this.#groups.set(name, group);
      if (found === undefined) continue;
      this.#size -= 1;
      return found;
    }
    return undefined;
  }
}
