/**
 * Members in nested groups. Finds the oldest member of the largest group, and gives each group its turn, at
 * a cost that does not depend on the number of members.
 */
export class Crowd<M> {
  /** In order of age. Only the innermost groups have members of their own. */
  readonly #members = new Set<M>();
  /** In order of their turns. */
  readonly #groups = new Map<string, Crowd<M>>();
  /** Names of groups by size, each in the order in which they reached it. */
  readonly #bySize = new Map<number, Set<string>>();
  #largest = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Size of the largest group. */
  get largest(): number {
    return this.#largest;
  }

  /** Adds a member that is not in the crowd yet. @param path names of the groups, widest first */
  add(member: M, path: readonly string[]): void {
    this.#size += 1;
    const [name, ...rest] = path;
    if (name === undefined) {
      this.#members.add(member);
      return;
    }
    let group = this.#groups.get(name);
    if (group === undefined) {
      group = new Crowd();
      this.#groups.set(name, group);
    }
    group.add(member, rest);
    this.#move(name, group.size - 1, group.size);
  }

  /** Removes a member. @param path where it was added. @returns whether it was there */
  remove(member: M, path: readonly string[]): boolean {
    const [name, ...rest] = path;
    if (name === undefined) {
      const removed = this.#members.delete(member);
      if (removed) this.#size -= 1;
      return removed;
    }
    const group = this.#groups.get(name);
    if (group?.remove(member, rest) !== true) return false;
    this.#size -= 1;
    this.#move(name, group.size + 1, group.size);
    if (group.size === 0) this.#groups.delete(name);
    return true;
  }

  /** The group at a path. */
  at(path: readonly string[]): Crowd<M> | undefined {
    const [name, ...rest] = path;
    return name === undefined ? this : this.#groups.get(name)?.at(rest);
  }

  /**
   * The oldest member of the largest group at each level; of equal groups, the one that reached its size
   * first.
   */
  oldestOfLargest(): M | undefined {
    if (this.#groups.size === 0) return first(this.#members);
    const name = first(this.#bySize.get(this.#largest) ?? []);
    return name === undefined ? undefined : this.#groups.get(name)?.oldestOfLargest();
  }

  /**
   * Removes and returns the member whose turn it is: the oldest of each group, one group after the other.
   * @param isReady called with the oldest member of an innermost group; a group that is not ready is
   *   skipped, so the cost grows with the number of skipped groups
   */
  next(isReady: (member: M) => boolean): M | undefined {
    const oldest = first(this.#members);
    if (oldest !== undefined)
      return isReady(oldest) && this.remove(oldest, []) ? oldest : undefined;
    for (let left = this.#groups.size; left > 0; left -= 1) {
      const [name, group] = first(this.#groups)!;
      const found = group.next(isReady);
      this.#groups.delete(name);
      if (group.size > 0) this.#groups.set(name, group);
      if (found === undefined) continue;
      this.#size -= 1;
      this.#move(name, group.size + 1, group.size);
      return found;
    }
    return undefined;
  }

  #move(name: string, from: number, to: number): void {
    const left = this.#bySize.get(from);
    left?.delete(name);
    if (left?.size === 0) this.#bySize.delete(from);
    if (to > 0) {
      const joined = this.#bySize.get(to);
      if (joined === undefined) this.#bySize.set(to, new Set([name]));
      else joined.add(name);
    }
    if (to > this.#largest) this.#largest = to;
    else if (from === this.#largest && left?.size === 0) this.#largest = to;
  }
}

function first<T>(values: Iterable<T>): T | undefined {
  for (const value of values) return value;
  return undefined;
}
