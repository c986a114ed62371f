import { rm } from 'node:fs/promises';
import {
  type Logger,
  type MeshDelta,
  type MeshPeer,
  meshPeerShape,
  meshStateShape,
  type Shape,
  ShapeError,
  shape,
  taskShape,
  taskStatusShape,
} from '@swarm/api';
import { MSGPACK_DEPTH_LIMIT, Msgpack, MsgpackError, type MsgpackLimits } from '@swarm/api/wire';
import { Level } from 'level';
import type {
  AgentStorage,
  Known,
  StoredMesh,
  StoredObject,
  StoredTask,
} from '../agent/agent-storage.js';
import { messageOf } from '../runtime/runtime-error.js';
import {
  changedRecords,
  MESH_PREFIX,
  meshOf,
  meshRecords,
  meshRecordShape,
  WHOLE_MESH_KEY,
} from './mesh-records.js';

/** LevelDB's memory: a worker stores little. LevelDB's defaults are 4 and 8 MiB. */
const WRITE_BUFFER_BYTES = 512 * 1024;
const CACHE_BYTES = 256 * 1024;

const TASK_PREFIX = 'task/';
/** Followed by the kind and the id. */
const OBJECT_PREFIX = 'object/';

type ObjectShapes = ReadonlyMap<string, Shape<{ readonly ID: string }>>;

const storedTaskShape = shape.record<StoredTask>({
  task: taskShape,
  status: taskStatusShape,
  withheldAuth: shape.optional(shape.flag),
});
const storedMeshShape = shape.record<StoredMesh>({
  self: meshPeerShape,
  state: shape.optional(meshStateShape),
});

/** A whole mesh is the largest record: the sum of many messages from managers. */
const RECORD_LIMITS: MsgpackLimits = {
  bytes: 64 * 1024 * 1024,
  values: 8 * 1024 * 1024,
  depth: MSGPACK_DEPTH_LIMIT,
};

export interface AgentDatabaseEvents {
  /** A write failed; the next run will miss what it held. */
  notWritten(error: unknown): void;
  /** A record, or the whole database, cannot be used. The managers send it again. */
  setAside(what: string, reason: string): void;
}

/**
 * Stores the agent's state in LevelDB. Collects writes while one is in progress and writes only the newest of
 * each record. Does not sync: after a crash of the host, the runtime knows better anyway.
 */
export class AgentDatabase implements AgentStorage {
  readonly #db: Level<string, Uint8Array>;
  readonly #msgpack = new Msgpack();
  readonly #dirty = new Map<string, unknown>();
  /** Keys of the records of the mesh, those not written yet included. */
  readonly #meshKeys = new Set<string>();
  readonly #folder: string;
  readonly #events: AgentDatabaseEvents;
  #writing: Promise<void> | undefined;

  constructor(folder: string, events: AgentDatabaseEvents) {
    this.#folder = folder;
    this.#events = events;
    this.#db = new Level(folder, {
      keyEncoding: 'utf8',
      valueEncoding: 'view',
      writeBufferSize: WRITE_BUFFER_BYTES,
      cacheSize: CACHE_BYTES,
    });
  }

  /** @throws when the folder is locked, or on a disk error */
  async load(kinds: ObjectShapes): Promise<Known> {
    try {
      return await this.#read(kinds);
    } catch (error) {
      if (!isCorruption(error)) throw error;
      this.#events.setAside(this.#folder, (error as Error).message);
      await this.#db.close();
      await rm(this.#folder, { recursive: true, force: true });
      return this.#read(kinds);
    }
  }

  async #read(kinds: ObjectShapes): Promise<Known> {
    await this.#db.open();
    const tasks: StoredTask[] = [];
    const objects: StoredObject[] = [];
    let earlier: StoredMesh | undefined;
    const records = new Map<string, unknown>();
    let isWhole = true;
    for await (const [key, value] of this.#db.iterator()) {
      if (key === WHOLE_MESH_KEY) {
        this.#meshKeys.add(key);
        earlier = this.#decode(key, value, storedMeshShape);
      } else if (key.startsWith(MESH_PREFIX)) {
        this.#meshKeys.add(key);
        const record = this.#decodeMesh(key, value);
        if (record === undefined) isWhole = false;
        else records.set(key, record);
      } else if (key.startsWith(OBJECT_PREFIX)) {
        const stored = this.#decodeObject(key, value, kinds);
        if (stored !== undefined) objects.push(stored);
      } else if (key.startsWith(TASK_PREFIX)) {
        const stored = this.#decode(key, value, storedTaskShape);
        if (stored === undefined) continue;
        if (key === TASK_PREFIX + stored.task.ID) tasks.push(stored);
        else this.#drop(key, `it is of task ${stored.task.ID}`);
      }
    }
    return { tasks, mesh: meshOf(records, isWhole) ?? earlier, objects };
  }

  #decodeMesh(key: string, value: Uint8Array): unknown {
    const of = meshRecordShape(key);
    if (of !== undefined) return this.#decode(key, value, of);
    this.#drop(key, 'the mesh has no such records');
    return undefined;
  }

  #decodeObject(key: string, value: Uint8Array, kinds: ObjectShapes): StoredObject | undefined {
    const [, kind = ''] = key.split('/');
    const shape = kinds.get(kind);
    if (shape === undefined) {
      this.#drop(key, `objects of the kind ${kind} are not kept`);
      return undefined;
    }
    const object = this.#decode(key, value, shape);
    if (object === undefined) return undefined;
    if (key === objectKey(kind, object.ID)) return { kind, object };
    this.#drop(key, `it is of ${kind} ${object.ID}`);
    return undefined;
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
    const records = new Map(meshRecords(mesh));
    for (const key of this.#meshKeys) if (!records.has(key)) this.#put(key, undefined);
    this.#meshKeys.clear();
    for (const [key, value] of records) this.#putMesh(key, value);
  }

  /** All records of a change are written at once, as all are of this turn. */
  changeMesh(self: MeshPeer, delta: MeshDelta): void {
    for (const [key, value] of changedRecords(self, delta)) this.#putMesh(key, value);
  }

  #putMesh(key: string, value: unknown): void {
    if (value === undefined) this.#meshKeys.delete(key);
    else this.#meshKeys.add(key);
    this.#put(key, value);
  }

  putObject(kind: string, object: { readonly ID: string }): void {
    this.#put(objectKey(kind, object.ID), object);
  }

  deleteObject(kind: string, id: string): void {
    this.#put(objectKey(kind, id), undefined);
  }

  /** Resolves once every write so far is on disk. */
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

function objectKey(kind: string, id: string): string {
  return `${OBJECT_PREFIX}${kind}/${id}`;
}

/** The daemon's storage: logs what could not be read or written. */
export function agentDatabase(folder: string, logger: Pick<Logger, 'error'>): AgentDatabase {
  return new AgentDatabase(folder, {
    notWritten: (error) =>
      logger.error({ error: messageOf(error) }, 'could not save the state of tasks'),
    setAside: (what, reason) => logger.error({ what, reason }, 'ignoring damaged records of tasks'),
  });
}

/** Whether LevelDB found damaged files; when it cannot open them, that is the cause of the error. */
function isCorruption(error: unknown): boolean {
  const { code, cause } = error as { code?: unknown; cause?: { code?: unknown } };
  return code === 'LEVEL_CORRUPTION' || cause?.code === 'LEVEL_CORRUPTION';
}
