import type { TaskState } from '@swarm/api';

/** An object that managers assigned and that could not be read. */
export interface UnreadableObject {
  readonly id: string;
  /** What a task should do, when that could be read. */
  readonly desired: TaskState | undefined;
  readonly problem: string;
}

/** The objects of one kind on this node, with a life of their own. */
export interface AssignedStore<T extends { readonly ID: string } = { readonly ID: string }> {
  readonly kind: string;
  put(object: T): void;
  remove(id: string): void;
  /** A complete set ended: removes everything that it did not name. */
  retain(named: ReadonlySet<string>): void;
  /** What is here of it goes on as it is. */
  unreadable(object: UnreadableObject): void;
}
