import { rm } from 'node:fs/promises';
import {
  type MeshPeer,
  type MeshState,
  meshPeerShape,
  meshStateShape,
  type Shape,
  ShapeError,
  shape,
  type Task,
  type TaskStatus,
  taskShape,
  taskStatusShape,
} from '@swarm/api';
import { MSGPACK_DEPTH_LIMIT, Msgpack, MsgpackError, type MsgpackLimits } from '@swarm/api/wire';
import { Level } from 'level';

/** LevelDB's own memory: a worker has little to keep. Its defaults are 4 and 8 MiB. */
const WRITE_BUFFER_BYTES = 512 * 1024;
const CACHE_BYTES = 256 * 1024;

const TASK_PREFIX = 'task/';
const MESH_KEY = 'mesh';

/** A task as the manager last gave it, and its latest status here. */
export interface StoredTask {
  readonly task: Task;
  readonly status: TaskStatus;
}

/** The node's place in the mesh, and the last state it was given. */
export interface StoredMesh {
  readonly self: MeshPeer;
  readonly state?: MeshState;
}

const storedTaskShape = shape.record<StoredTask>({ task: taskShape, status: taskStatusShape });
const storedMeshShape = shape.record<StoredMesh>({
  self: meshPeerShape,
  state: shape.optional(meshStateShape),
});

/** A whole mesh is the largest record: what many messages of a manager made. */
const RECORD_LIMITS: MsgpackLimits = {
  bytes: 64 * 1024 * 1024,
  values: 8 * 1024 * 1024,
  depth: MSGPACK_DEPTH_LIMIT,
};

interface Known {
  readonly tasks: StoredTask[];
  readonly mesh: StoredMesh | undefined;
}

export interface TaskStoreEvents {
  /** A write failed; what it held is lost for the next life. */
  notWritten(error: unknown): void;
  /** A record, or the whole database, cannot be used. The managers tell it again. */
  setAside(what: string, reason: string): void;
}

/**
 * What the agent knows, on disk, so that a node serves on when no manager can be reached. Writes are
 * collected while one is under way: only the newest of each task is written. They are not synced: after
 * a crash of the host the runtime knows better anyway.
 */
export class TaskStore {
  readonly #db: Level<string, Uint8Array>;
  readonly #msgpack = new Msgpack();
  readonly #dirty = new Map<string, unknown>();
  readonly #folder: string;
  readonly #events: TaskStoreEvents;
  #writing: Promise<void> | undefined;

  constructor(folder: string, events: TaskStoreEvents) {
    this.#folder = folder;
    this.#events = events;
    this.#db = new Level(folder, {
      keyEncoding: 'utf8',
      valueEncoding: 'view',
      writeBufferSize: WRITE_BUFFER_BYTES,
      cacheSize: CACHE_BYTES,
    });
  }

  /** What an earlier life knew, less what is damaged. @throws when the folder is locked, or by the disk */
  async load(): Promise<Known> {
    try {
      return await this.#read();
    } catch (error) {
      if (!isCorruption(error)) throw error;
      this.#events.setAside(this.#folder, (error as Error).message);
      await this.#db.close();
      await rm(this.#folder, { recursive: true, force: true });
      return this.#read();
    }
  }

  async #read(): Promise<Known> {
    await this.#db.open();
    const tasks: StoredTask[] = [];
    let mesh: StoredMesh | undefined;
    for await (const [key, value] of this.#db.iterator()) {
      if (key === MESH_KEY) mesh = this.#decode(key, value, storedMeshShape);
      if (!key.startsWith(TASK_PREFIX)) continue;
      const stored = this.#decode(key, value, storedTaskShape);
      if (stored === undefined) continue;
      if (key === TASK_PREFIX + stored.task.ID) tasks.push(stored);
      else this.#drop(key, `it is of task ${stored.task.ID}`);
    }
    return { tasks, mesh };
  }

  #decode<T>(key: string, value: Uint8Array, of: Shape<T>): T | undefined {
    try {
      return of.read(this.#msgpack.unpack(value, RECORD_LIMITS));
    } catch (error) {
      if (!(error instanceof MsgpackError || error instanceof ShapeError)) throw error;
      this.#drop(key, error.message);
      return undefined;
    }
  }

  #drop(key: string, reason: string): void {
    this.#events.setAside(key, reason);
    this.#put(key, undefined);
  }

  putTask(record: StoredTask): void {
    this.#put(TASK_PREFIX + record.task.ID, record);
  }

  deleteTask(taskId: string): void {
    this.#put(TASK_PREFIX + taskId, undefined);
  }

  putMesh(mesh: StoredMesh): void {
    this.#put(MESH_KEY, mesh);
  }

  /** Resolves when everything put so far is written. */
  async flush(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
  }

  async close(): Promise<void> {
    await this.flush();
    await this.#db.close();
  }

  #put(key: string, value: unknown): void {
    this.#dirty.set(key, value);
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
    });
  }

  async #write(): Promise<void> {
    while (this.#dirty.size > 0) {
      const operations = [...this.#dirty].map(([key, value]) =>
        value === undefined
          ? { type: 'del' as const, key }
          : { type: 'put' as const, key, value: this.#msgpack.pack(value) },
      );
      this.#dirty.clear();
      try {
        await this.#db.batch(operations);
      } catch (error) {
        this.#events.notWritten(error);
      }
    }
  }
}

/** Whether LevelDB found its files damaged; when it cannot open them, that is the cause of the error. */
function isCorruption(error: unknown): boolean {
  const { code, cause } = error as { code?: unknown; cause?: { code?: unknown } };
  return code === 'LEVEL_CORRUPTION' || cause?.code === 'LEVEL_CORRUPTION';
}
