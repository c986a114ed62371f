import { type AssignedKind, type AssignedObjects, type Need, needsOf, type Task } from '@swarm/api';
import type { TaskObjects } from '../runtime/runtime.js';
import type { AgentStorage, StoredObject } from './agent-storage.js';
import type { ObjectKind } from './object-kinds.js';
import { ObjectStore } from './object-store.js';

/** What a task waits for. */
export interface MissingObject {
  /** A sentence for the user. */
  readonly message: string;
  /** Resolves when anything about it changes. */
  readonly news: Promise<void>;
}

/** The objects on this node that its tasks need, and which of them a task still waits for. */
export class TaskNeeds {
  readonly #stores: ReadonlyMap<string, ObjectStore>;
  readonly #awaited: ReadonlySet<string>;
  readonly #needs: (task: Task) => readonly Need[];

  constructor(
    kinds: readonly ObjectKind[],
    storage: Pick<AgentStorage, 'putObject' | 'deleteObject'>,
    needs: (task: Task) => readonly Need[] = needsOf,
  ) {
    this.#stores = new Map(
      kinds.map(({ kind, persistence }) => [
        kind,
        new ObjectStore(kind, persistence === 'disk' ? storage : undefined),
      ]),
    );
    this.#awaited = new Set(kinds.filter(({ awaited }) => awaited).map(({ kind }) => kind));
    this.#needs = needs;
  }

  get stores(): readonly ObjectStore[] {
    return [...this.#stores.values()];
  }

  /** Takes over what an earlier run saved. */
  restore(objects: readonly StoredObject[]): void {
    for (const { kind, object } of objects) this.#stores.get(kind)?.restore(object);
  }

  /** The first object that the task waits for; undefined when it has all. */
  missing(task: Task): MissingObject | undefined {
    for (const { kind, id, name, isOptional } of this.#needs(task)) {
      const isAwaited = this.#awaited.has(kind) && isOptional !== true;
      const store = isAwaited ? this.#stores.get(kind) : undefined;
      if (store === undefined || store.get(id) !== undefined) continue;
      const problem = store.problem(id);
      const message =
        problem === undefined
          ? `waiting for ${kind} ${name} (${id}), which no manager has sent: if it was removed, update the service without it`
          : `waiting for ${kind} ${name} (${id}): this node cannot read it (${problem})`;
      return { message, news: store.news(id) };
    }
    return undefined;
  }

  /** The objects that the task may see: those it needs, and no others. */
  of(task: Task): TaskObjects {
    const needs = this.#needs(task);
    return {
      get: <K extends AssignedKind>(kind: K, id: string) => {
        if (!needs.some((need) => need.kind === kind && need.id === id)) return undefined;
        // The store of a kind holds only objects that this kind's shape has read.
        return this.#stores.get(kind)?.get(id) as AssignedObjects[K] | undefined;
      },
    };
  }
}
