import type { MeshPeer, MeshState, Shape, Task, TaskStatus } from '@swarm/api';

/** A task as the manager last gave it, less its secrets, and its latest status here. */
export interface StoredTask {
  /** Without `Spec.RegistryAuth`: credentials are never written to a worker's disk. */
  readonly task: Task;
  readonly status: TaskStatus;
  /** The task has registry credentials, which only a manager can give again. */
  readonly withheldAuth?: boolean;
}

/** The record of a task. @param isAuthWithheld whether the task itself came from a record without them */
export function storedTask(task: Task, status: TaskStatus, isAuthWithheld = false): StoredTask {
  const { RegistryAuth, ...Spec } = task.Spec;
  if (RegistryAuth !== undefined) return { task: { ...task, Spec }, status, withheldAuth: true };
  return isAuthWithheld ? { task, status, withheldAuth: true } : { task, status };
}

/** The node's place in the mesh, and the last state it was given. */
export interface StoredMesh {
  readonly self: MeshPeer;
  readonly state?: MeshState;
}

/** An object of a kind that is kept. */
export interface StoredObject {
  readonly kind: string;
  readonly object: { readonly ID: string };
}

/** What an earlier life knew. */
export interface Known {
  readonly tasks: readonly StoredTask[];
  readonly mesh: StoredMesh | undefined;
  readonly objects: readonly StoredObject[];
}

/**
 * What the agent knows, from one life of the daemon to the next, so that a node serves on when no manager can
 * be reached. Writes do not wait: what was put last is what is found. Only kinds whose persistence is `disk`
 * are ever put here.
 */
export interface AgentStorage {
  /**
   * What an earlier life knew, less what is damaged.
   * @param kinds shapes of the kinds of objects that are kept; those of other kinds are removed
   */
  load(kinds: ReadonlyMap<string, Shape<{ readonly ID: string }>>): Promise<Known>;
  putTask(record: StoredTask): void;
  deleteTask(taskId: string): void;
  putMesh(mesh: StoredMesh): void;
  putObject(kind: string, object: { readonly ID: string }): void;
  deleteObject(kind: string, id: string): void;
  /** Resolves when everything put so far is written, and lets go. */
  close(): Promise<void>;
}
