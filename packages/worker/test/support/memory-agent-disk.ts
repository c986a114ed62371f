import type { ManagerAddress } from '@swarm/api';
import type {
  AgentStorage,
  StoredMesh,
  StoredObject,
  StoredTask,
} from '../../src/agent/agent-storage.js';
import type { ManagersStore } from '../../src/agent/managers-store.js';

/** What an agent keeps, in memory: it outlives the agents that use it one after the other, as a disk does. */
export class MemoryAgentDisk implements ManagersStore {
  readonly #tasks = new Map<string, StoredTask>();
  readonly #objects = new Map<string, StoredObject>();
  #mesh: StoredMesh | undefined;
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
        return structuredClone({ tasks, mesh: this.#mesh, objects });
      },
      putTask: (record) => void this.#tasks.set(record.task.ID, structuredClone(record)),
      deleteTask: (taskId) => void this.#tasks.delete(taskId),
      putMesh: (mesh) => {
        this.#mesh = structuredClone(mesh);
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
