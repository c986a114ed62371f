import { type Assignments, type TaskAssignments, typedAssignments } from '@swarm/api';
import type { SetAside, UnreadAssignment } from '@swarm/api/wire';
import type { AssignedStore } from './assigned-store.js';

/** Applies the changes of a session's assignments to the store of each kind. */
export class AssignmentFollower {
  /** In the order in which tasks need them: tasks come last. */
  readonly #stores: readonly AssignedStore[];
  readonly #byKind: ReadonlyMap<string, AssignedStore>;
  /** `resultsIn` of the last message of this session. */
  #last: number | undefined;
  /** Ids named so far by the complete set in progress, by kind. */
  #named: Map<string, Set<string>> | undefined;

  /** @param stores one for each kind, dependencies first */
  constructor(stores: readonly AssignedStore[]) {
    this.#stores = stores;
    this.#byKind = new Map(stores.map((store) => [store.kind, store]));
  }

  /** Starts over for a new session, which begins with a complete set. */
  reset(): void {
    this.#last = undefined;
    this.#named = undefined;
  }

  /**
   * Applies a message.
   * @returns false when a message before it is missing: only a new session can bring the complete set
   */
  apply(message: Assignments | TaskAssignments, setAside: readonly SetAside[]): boolean {
    const isTyped = 'changes' in message;
    const { set, appliesTo, resultsIn, changes } = isTyped ? message : typedAssignments(message);
    const begins = set !== 'incremental' && this.#named === undefined;
    if (!begins && appliesTo !== this.#last) return false;
    if (set === 'incremental' && this.#named !== undefined) return false;
    this.#last = resultsIn;
    if (begins) {
      this.#named = new Map();
      for (const store of this.#stores) store.begin?.();
    }
    for (const change of changes) {
      const store = this.#byKind.get(change.kind);
      if (change.action === 'remove') store?.remove(change.id);
      else {
        this.#name(change.kind, change.object.ID);
        store?.put(change.object);
      }
    }
    for (const part of setAside) if (part.what === 'assigned object') this.#setAside(part);
    if (set === 'complete') this.#commit(isTyped);
    return true;
  }

  #setAside({ kind, id, desired, problem }: UnreadAssignment): void {
    if (kind === undefined || id === undefined) return;
    this.#name(kind, id);
    this.#byKind.get(kind)?.unreadable({ id, desired, problem });
  }

  #name(kind: string, id: string): void {
    if (this.#named === undefined) return;
    const named = this.#named.get(kind);
    if (named === undefined) this.#named.set(kind, new Set([id]));
    else named.add(id);
  }

  /** @param hasAllKinds whether the set names objects of all kinds; a set of protocol 1 names tasks only */
  #commit(hasAllKinds: boolean): void {
    // Tasks first, then what they need.
    for (const store of this.#stores.toReversed()) {
      if (!hasAllKinds && store.kind !== 'task') continue;
      store.retain(this.#named?.get(store.kind) ?? new Set());
    }
    this.#named = undefined;
  }
}
