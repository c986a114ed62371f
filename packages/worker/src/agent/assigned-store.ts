import type { TaskState } from '@swarm/api';

/** An assigned object that this node could not read. */
export interface UnreadableObject {
  readonly id: string;
  /** The task's desired state, if that much could be read. */
  readonly desired: TaskState | undefined;
  readonly problem: string;
}

/** The objects of one kind on this node; each kind manages the life of its own. */
export interface AssignedStore<T extends { readonly ID: string } = { readonly ID: string }> {
  readonly kind: string;
  /** A complete set begins. */
  begin?(): void;
  put(object: T): void;
  remove(id: string): void;
  /** Removes everything that the complete set, which has just ended, did not name. */
  retain(named: ReadonlySet<string>): void;
  /** Leaves whatever is here of the object as it is. */
  unreadable(object: UnreadableObject): void;
}
