import type { ManagerAddress } from '@swarm/api';
import type { AgentStorage, StoredObject, StoredTask } from '../../src/agent/agent-storage.js';
import { changedRecords, meshOf, meshRecords } from '../../src/storage/mesh-records.js';
import type { ManagersStore } from '../../src/agent/managers-store.js';

/** What an agent keeps, in memory: it outlives the agents that use it one after the other, as a disk does. */
export class MemoryAgentDisk implements ManagersStore {
  readonly #tasks = new Map<string, StoredTask>();
  readonly #objects = new Map<string, StoredObject>();
  #records = new Map<string, unknown>();
  #managers: readonly ManagerAddress[] = [];
  #isOpen = false;

  /** The storage of one agent. @throws while another has it */
  open(): AgentStorage {
    if (this.#isOpen) throw new Error('another agent uses this disk');
    this.#isOpen = true;
    return {
      load: async (kinds) => {
        for (const [key, { kind }] of this.#objects)
          if (!kinds.has(kind)) this.#objects.delete(key);
        const tasks = [...this.#tasks.values()];
        const objects = [...this.#objects.values()];
        return structuredClone({ tasks, mesh: meshOf(this.#records, true), objects });
      },
      putTask: (record) => void this.#tasks.set(record.task.ID, structuredClone(record)),
      deleteTask: (taskId) => void this.#tasks.delete(taskId),
      putMesh: (mesh) => {
        this.#records = new Map(structuredClone(meshRecords(mesh)));
      },
      changeMesh: (self, delta) => {
        for (const [key, value] of structuredClone(changedRecords(self, delta))) {
          if (value === undefined) this.#records.delete(key);
          else this.#records.set(key, value);
        }
      },
      putObject: (kind, object) =>
        void this.#objects.set(`${kind}/${object.ID}`, structuredClone({ kind, object })),
      deleteObject: (kind, id) => void this.#objects.delete(`${kind}/${id}`),
      close: async () => {
        this.#isOpen = false;
      },
    };
  }

  /** Ids of the tasks that it holds. */
  get tasks(): readonly string[] {
    return [...this.#tasks.keys()];
  }

  async load(): Promise<readonly ManagerAddress[]> {
    return this.#managers;
  }

  async save(managers: readonly ManagerAddress[]): Promise<void> {
    this.#managers = structuredClone(managers);
  }
}
