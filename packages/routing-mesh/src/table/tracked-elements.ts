import type { ElementChanges, SetName } from './element-changes.js';

/**
 * The elements that one set or map should have, and which of them the table does not know yet. What it costs to
 * hand over changes depends on their number alone.
 */
export class TrackedElements {
  readonly #set: SetName;
  /** Values by key; a set's elements have the empty value. */
  readonly #wanted = new Map<string, string>();
  /** Of keys that changed since the last hand-over: the value that the table has, undefined if none. */
  readonly #told = new Map<string, string | undefined>();

  constructor(set: SetName) {
    this.#set = set;
  }

  get size(): number {
    return this.#wanted.size;
  }

  get(key: string): string | undefined {
    return this.#wanted.get(key);
  }

  set(key: string, value = ''): void {
    const before = this.#wanted.get(key);
    if (before === value) return;
    if (!this.#told.has(key)) this.#told.set(key, before);
    this.#wanted.set(key, value);
  }

  delete(key: string): void {
    const before = this.#wanted.get(key);
    if (before === undefined) return;
    if (!this.#told.has(key)) this.#told.set(key, before);
    this.#wanted.delete(key);
  }

  /** Makes these the only elements. Costs a pass over all, where `set` and `delete` cost one step each. */
  replace(wanted: ReadonlyMap<string, string>): void {
    for (const key of this.#wanted.keys()) if (!wanted.has(key)) this.delete(key);
    for (const [key, value] of wanted) this.set(key, value);
  }

  addAll(changes: ElementChanges): void {
    for (const [key, value] of this.#wanted) changes.add(this.#set, element(key, value));
  }

  takeChanges(changes: ElementChanges): void {
    for (const [key, told] of this.#told) {
      const wanted = this.#wanted.get(key);
      if (told === wanted) continue;
      if (told !== undefined) changes.delete(this.#set, key);
      if (wanted !== undefined) changes.add(this.#set, element(key, wanted));
    }
    this.#told.clear();
  }
}

function element(key: string, value: string): string {
  return value === '' ? key : `${key} : ${value}`;
}
