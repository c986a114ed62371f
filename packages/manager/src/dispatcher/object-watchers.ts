/** Who is told that an object changed. */
export interface ObjectWatcher {
  touchObject(kind: string, id: string): void;
}

const NONE: ReadonlySet<ObjectWatcher> = new Set();

/** Which sessions have tasks that need an object, so that its change costs no look at any other. */
export class ObjectWatchers {
  readonly #watchers = new Map<string, Set<ObjectWatcher>>();

  add(key: string, watcher: ObjectWatcher): void {
    const known = this.#watchers.get(key);
    if (known === undefined) this.#watchers.set(key, new Set([watcher]));
    else known.add(watcher);
  }

  delete(key: string, watcher: ObjectWatcher): void {
    const known = this.#watchers.get(key);
    if (known === undefined) return;
    known.delete(watcher);
    if (known.size === 0) this.#watchers.delete(key);
  }

  /** Tells the sessions that need the object. */
  changed(kind: string, id: string): void {
    for (const watcher of this.#watchers.get(objectKey(kind, id)) ?? NONE) {
      watcher.touchObject(kind, id);
    }
  }

  /** Objects that some session needs. */
  get size(): number {
    return this.#watchers.size;
  }
}

/** Names an object among those of all kinds. */
export function objectKey(kind: string, id: string): string {
  return `${kind}/${id}`;
}
