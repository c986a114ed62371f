import type { MeshDelta, MeshPeer, MeshState, Shape, Task, TaskStatus } from '@swarm/api';

/** A task as the manager last sent it, less its credentials, and its latest status on this node. */
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

/** The node's place in the mesh, and the last mesh state it received. */
export interface StoredMesh {
  readonly self: MeshPeer;
  readonly state?: MeshState;
}

/** An object of a kind that is persisted. */
export interface StoredObject {
  readonly kind: string;
  readonly object: { readonly ID: string };
}

/** State left by the previous run of the daemon. */
export interface Known {
  readonly tasks: readonly StoredTask[];
  readonly mesh: StoredMesh | undefined;
  readonly objects: readonly StoredObject[];
}

/**
 * The agent's state across restarts of the daemon, so that a node keeps serving while it can reach no
 * manager. Writes return at once; a read always sees the last write. Only kinds whose persistence is `disk`
 * are stored.
 */
export interface AgentStorage {
  /**
   * Loads the previous run's state, without records that are damaged.
   * @param kinds shapes of the persisted kinds; deletes objects of any other kind
   */
  load(kinds: ReadonlyMap<string, Shape<{ readonly ID: string }>>): Promise<Known>;
  putTask(record: StoredTask): void;
  deleteTask(taskId: string): void;
  /** Replaces all that is stored of the mesh. */
  putMesh(mesh: StoredMesh): void;
  /** Stores what a delta changes in the state that is stored. */
  changeMesh(self: MeshPeer, delta: MeshDelta): void;
  putObject(kind: string, object: { readonly ID: string }): void;
  deleteObject(kind: string, id: string): void;
  /** Resolves once every write so far is on disk and the storage is closed. */
  close(): Promise<void>;
}
