import { isDeepStrictEqual } from 'node:util';
import type { AgentStorage } from './agent-storage.js';
import type { AssignedStore, UnreadableObject } from './assigned-store.js';
import { Signal } from './signal.js';

type Stored = { readonly ID: string };

/** Objects of one kind that are kept just as they arrive: networks, secrets, configs. */
export class ObjectStore implements AssignedStore {
  readonly kind: string;
  readonly #objects = new Map<string, Stored>();
  /** Why the newest version of an object could not be read. */
  readonly #problems = new Map<string, string>();
  readonly #awaited = new Map<string, Signal>();
  readonly #storage: Pick<AgentStorage, 'putObject' | 'deleteObject'> | undefined;

  /** @param storage where to persist the objects; undefined: memory only */
  constructor(kind: string, storage: Pick<AgentStorage, 'putObject' | 'deleteObject'> | undefined) {
    this.kind = kind;
    this.#storage = storage;
  }

  get(id: string): Stored | undefined {
    return this.#objects.get(id);
  }

  /** Why the object could not be read; undefined if it could. */
  problem(id: string): string | undefined {
    return this.#problems.get(id);
  }

  /** Resolves when the object arrives, readable or not. */
  news(id: string): Promise<void> {
    let signal = this.#awaited.get(id);
    if (signal === undefined) {
      signal = new Signal();
      this.#awaited.set(id, signal);
    }
    return signal.next();
  }

  /** Takes over what an earlier run saved. */
  restore(object: Stored): void {
    this.#objects.set(object.ID, object);
  }

  put(object: Stored): void {
    // Every session names all objects again; skip those that are unchanged.
    const isNews = !isDeepStrictEqual(this.#objects.get(object.ID), object);
    this.#objects.set(object.ID, object);
    this.#problems.delete(object.ID);
    if (isNews) this.#storage?.putObject(this.kind, object);
    this.#wake(object.ID);
  }

  remove(id: string): void {
    this.#problems.delete(id);
    if (this.#objects.delete(id)) this.#storage?.deleteObject(this.kind, id);
  }

  retain(named: ReadonlySet<string>): void {
    for (const id of this.#objects.keys()) if (!named.has(id)) this.remove(id);
    for (const id of this.#problems.keys()) if (!named.has(id)) this.#problems.delete(id);
    // Those still waiting look again; the others left long ago.
    for (const id of this.#awaited.keys()) this.#wake(id);
  }

  unreadable({ id, problem }: UnreadableObject): void {
    this.#problems.set(id, problem);
    this.#wake(id);
  }

  #wake(id: string): void {
    this.#awaited.get(id)?.fire();
    this.#awaited.delete(id);
  }
}
