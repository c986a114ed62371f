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

const storedTask = shape.record<StoredTask>({ task: taskShape, status: taskStatusShape });
const storedMesh = shape.record<StoredMesh>({
  self: meshPeerShape,
  state: shape.optional(meshStateShape),
});

/** A whole mesh is the largest record: what many messages of a manager made. */
const RECORD_LIMITS: MsgpackLimits = {
  bytes: 64 * 1024 * 1024,
  values: 8 * 1024 * 1024,
  depth: MSGPACK_DEPTH_LIMIT,
};

/**
 * What the agent knows, on disk, so that a node serves on when no manager can be reached. Writes are
 * collected while one is under way: only the newest of each task is written. They are not synced: after
 * a crash of the host the runtime knows better anyway.
 */
export class TaskStore {
  readonly #db: Level<string, Uint8Array>;
  readonly #msgpack = new Msgpack();
  readonly #dirty = new Map<string, unknown>();
  readonly #failed: (error: unknown) => void;
  #writing: Promise<void> | undefined;

  /** @param failed called when a write failed, or a record can not be read: what it held is lost */
  constructor(folder: string, failed: (error: unknown) => void) {
    this.#failed = failed;
    this.#db = new Level(folder, {
      keyEncoding: 'utf8',
      valueEncoding: 'view',
      writeBufferSize: WRITE_BUFFER_BYTES,
      cacheSize: CACHE_BYTES,
    });
  }

  async load(): Promise<{ tasks: StoredTask[]; mesh: StoredMesh | undefined }> {
    await this.#db.open();
    const tasks: StoredTask[] = [];
    let mesh: StoredMesh | undefined;
    for await (const [key, value] of this.#db.iterator()) {
      if (key === MESH_KEY) mesh = this.#read(storedMesh, key, value);
      if (!key.startsWith(TASK_PREFIX)) continue;
      const task = this.#read(storedTask, key, value);
      if (task !== undefined) tasks.push(task);
    }
    return { tasks, mesh };
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

  /** A record that can not be read is given up; the others still serve. */
  #read<T>(of: Shape<T>, key: string, value: Uint8Array): T | undefined {
    try {
      return of.read(this.#msgpack.unpack(value, RECORD_LIMITS));
    } catch (error) {
      if (!(error instanceof MsgpackError || error instanceof ShapeError)) throw error;
      this.#put(key, undefined);
      this.#failed(new Error(`${key}: ${error.message}`));
      return undefined;
    }
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
        this.#failed(error);
      }
    }
  }
}
