/** Gets the changes of an object. */
export interface ObjectWatcher {
  touchObject(kind: string, id: string): void;
}

const NONE: ReadonlySet<ObjectWatcher> = new Set();

/** The sessions whose tasks need an object, so that its change touches no other session. */
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

  /** Passes the change on to the sessions that need the object. */
  changed(kind: string, id: string): void {
    for (const watcher of this.#watchers.get(objectKey(kind, id)) ?? NONE) {
      watcher.touchObject(kind, id);
    }
  }

  /** Number of objects that some session needs. */
  get size(): number {
    return this.#watchers.size;
  }
}

/** A key for an object, unique among all kinds. */
export function objectKey(kind: string, id: string): string {
  return `${kind}/${id}`;
}
