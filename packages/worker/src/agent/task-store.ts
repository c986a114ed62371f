import type { MeshPeer, MeshState, Task, TaskStatus } from '@swarm/api';
import { Level } from 'level';
import { Packr } from 'msgpackr';

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

/**
 * What the agent knows, on disk, so that a node serves on when no manager can be reached. Writes are
 * collected while one is under way: only the newest of each task is written. They are not synced: after
 * a crash of the host the runtime knows better anyway.
 */
export class TaskStore {
  readonly #db: Level<string, Uint8Array>;
  readonly #packr = new Packr({ useRecords: false, encodeUndefinedAsNil: true });
  readonly #dirty = new Map<string, unknown>();
  readonly #failed: (error: unknown) => void;
  #writing: Promise<void> | undefined;

  /** @param failed called when a write failed; what it held is lost for the next life */
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
      if (key.startsWith(TASK_PREFIX)) tasks.push(this.#packr.unpack(value) as StoredTask);
      else if (key === MESH_KEY) mesh = this.#packr.unpack(value) as StoredMesh;
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
          : { type: 'put' as const, key, value: Uint8Array.from(this.#packr.pack(value)) },
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
