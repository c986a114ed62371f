import type { Node, Task } from '@swarm/api';
import type { ApiClient, Query } from '../client/api-client.js';
import type { PrefixOptions } from '../output/log-line.js';

export interface LogNamesOptions {
  readonly resolve: boolean;
  readonly taskIds: boolean;
  readonly full: boolean;
}

/** Names of the tasks and nodes of a log, those that come later included. */
export class LogNames implements PrefixOptions {
  readonly taskIds: boolean;
  readonly full: boolean;
  readonly #client: ApiClient;
  readonly #resolve: boolean;
  /** Undefined for one that the cluster does not have any more. */
  readonly #tasks = new Map<string, Task | undefined>();
  readonly #nodes = new Map<string, string>();

  constructor(client: ApiClient, { resolve, taskIds, full }: LogNamesOptions) {
    this.#client = client;
    this.#resolve = resolve;
    this.taskIds = taskIds;
    this.full = full;
  }

  /** @param tasks selects the tasks that are there */
  async begin(tasks: Query): Promise<void> {
    for (const task of await this.#client.get<Task[]>('/tasks', tasks))
      this.#tasks.set(task.ID, task);
    if (!this.#resolve) return;
    for (const node of await this.#client.get<Node[]>('/nodes')) this.#setNode(node);
  }

  /** Asks for what is not known yet. A name that cannot be had costs no line: its id is shown. */
  async learn(taskId: string, nodeId: string): Promise<void> {
    if (!this.#tasks.has(taskId)) {
      this.#tasks.set(taskId, await this.#find<Task>('/tasks', taskId));
    }
    if (!this.#resolve || this.#nodes.has(nodeId)) return;
    const node = await this.#find<Node>('/nodes', nodeId);
    if (node === undefined) this.#nodes.set(nodeId, nodeId);
    else this.#setNode(node);
  }

  taskName(taskId: string): string | undefined {
    const task = this.#tasks.get(taskId);
    if (task === undefined) return undefined;
    const place = task.Slot > 0 ? String(task.Slot) : (task.NodeID ?? '');
    return `${this.#resolve ? task.ServiceName : task.ServiceID}.${place}`;
  }

  nodeName(nodeId: string): string {
    return this.#nodes.get(nodeId) ?? nodeId;
  }

  #setNode(node: Node): void {
    this.#nodes.set(node.ID, node.Description?.Hostname ?? node.ID);
  }

  async #find<T>(path: string, id: string): Promise<T | undefined> {
    try {
      return await this.#client.get<T>(`${path}/${encodeURIComponent(id)}`);
    } catch {
      return undefined;
    }
  }
}
