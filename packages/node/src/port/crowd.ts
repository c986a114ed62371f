/**
 * Members in groups, and those in wider groups. Finds the oldest member of the largest group, and gives each
 * group its turn, without looking at the others: that costs the same however many there are.
 */
export class Crowd<M> {
  /** In order of age. Only the innermost groups have members of their own. */
  readonly #members = new Set<M>();
  /** In the order of their turns. */
  readonly #groups = new Map<string, Crowd<M>>();
  /** Names of groups by their size, each in the order they came to it. */
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

  /** Whoever is in already must not be added again. @param path names of the groups, widest first */
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

  /** @param path where it was added. Whoever is not there is left alone. */
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

  /** The oldest of the largest group, going inwards; among groups of one size, of the one that came to it first. */
  oldestOfLargest(): M | undefined {
    if (this.#groups.size === 0) return first(this.#members);
    const name = first(this.#bySize.get(this.#largest) ?? []);
    return name === undefined ? undefined : this.#groups.get(name)?.oldestOfLargest();
  }

  /**
   * Takes out whose turn it is: of each group the oldest, one group after the other.
   * @param isReady asked of the oldest of an innermost group; a group that is not ready is passed over, so
   *   the cost grows with the number of these
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
