/** Sets and maps of a table on paper: what transactions make of them, with the kernel's objections. */
export class PaperSets {
  readonly #sets = new Map<string, Map<string, string>>();

  get(set: string): ReadonlyMap<string, string> {
    return this.#sets.get(set) ?? new Map();
  }

  /** How many elements there are. */
  get size(): number {
    return [...this.#sets.values()].reduce((sum, { size }) => sum + size, 0);
  }

  /** @returns what the kernel would say against it */
  write(text: string): string[] {
    const faults: string[] = [];
    for (const [, verb, set, list] of text.matchAll(
      /^(add|delete) element ip6? swarm_mesh (\w+) \{ (.*) \}$/gm,
    )) {
      const elements = this.#sets.get(set!) ?? new Map<string, string>();
      this.#sets.set(set!, elements);
      for (const element of list!.split(', ')) {
        const [key, value = ''] = element.split(' : ');
        if (verb === 'delete') {
          if (!elements.delete(key!)) faults.push(`${set} has no ${key}`);
        } else if (elements.has(key!)) faults.push(`${set} has ${key} already`);
        else elements.set(key!, value);
      }
    }
    return faults;
  }
}
