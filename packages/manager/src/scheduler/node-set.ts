import { isTerminal, type Node, type Task } from '@swarm/api';
import type { SetAside } from '../set-aside.js';
import type { StoreEvent, View } from '../store/store.js';
import { isHolding, NodeInfo, versionKey } from './node-info.js';

/** All nodes with their tasks, kept up to date by the store's events. */
export class NodeSet {
  readonly #infos = new Map<string, NodeInfo>();
  readonly #aside: SetAside;
  #sorted: readonly NodeInfo[] | undefined;

  /** @param aside takes nodes and tasks that cannot be counted */
  constructor(aside: SetAside) {
    this.#aside = aside;
  }

  /** Builds the set from the store; failures are those of the tasks still stored. */
  static of(view: View, aside: SetAside): NodeSet {
    const set = new NodeSet(aside);
    for (const node of view.list('node')) aside.attempt('node', node, () => set.#put(view, node));
    return set;
  }

  get(nodeId: string): NodeInfo | undefined {
    return this.#infos.get(nodeId);
  }

  /** In order of id. */
  all(): readonly NodeInfo[] {
    this.#sorted ??= [...this.#infos.values()].sort((a, b) => (a.node.ID < b.node.ID ? -1 : 1));
    return this.#sorted;
  }

  /** @param nowMs when the event came */
  apply(view: View, event: StoreEvent, nowMs: number): void {
    if (event.kind === 'node') {
      if (event.action === 'remove') {
        this.#infos.delete(event.object.ID);
        this.#sorted = undefined;
      } else this.#put(view, event.object);
    } else if (event.kind === 'task') {
      const task = event.object;
      const previous = event.action === 'update' ? event.previous : undefined;
      if (previous?.NodeID !== undefined && previous.NodeID !== task.NodeID)
        this.#infos.get(previous.NodeID)?.remove(task.ID);
      const info = task.NodeID === undefined ? undefined : this.#infos.get(task.NodeID);
      if (event.action === 'remove') {
        info?.remove(task.ID);
        return;
      }
      info?.put(task);
      if (previous !== undefined && !isFailed(previous) && isFailed(task))
        info?.failed(versionKey(task), nowMs);
    }
  }

  /** Resets a tentatively placed task to what the store says about it. */
  refresh(view: View, taskId: string, nodeId: string): void {
    const info = this.#infos.get(nodeId);
    const task = view.get('task', taskId);
    if (task !== undefined && task.NodeID === nodeId) info?.put(task);
    else info?.remove(taskId);
  }

  #put(view: View, node: Node): void {
    const known = this.#infos.get(node.ID);
    if (known !== undefined) {
      known.node = node;
      return;
    }
    const info = new NodeInfo(node);
    this.#infos.set(node.ID, info);
    this.#sorted = undefined;
    for (const task of view.tasksByNode(node.ID)) {
      this.#aside.attempt('task', task, () => {
        info.put(task);
        if (isFailed(task)) {
          info.failed(versionKey(task), Date.parse(task.Status.AppliedAt ?? task.Status.Timestamp));
        }
      });
    }
  }
}

/** Whether the task ended by itself and not well. A task that was told to stop did not fail. */
function isFailed(task: Task): boolean {
  return task.Status.State === 'failed' || task.Status.State === 'rejected';
}

/** Whether the event can make room somewhere. */
export function makesRoom(event: StoreEvent): boolean {
  if (event.kind === 'node') return event.action !== 'remove';
  if (event.kind !== 'task') return false;
  if (event.action === 'remove')
    return isHolding(event.object) || isTerminal(event.object.Status.State);
  if (event.action === 'create') return false;
  const { object, previous } = event;
  if (isHolding(previous) && !isHolding(object)) return true;
  return isHolding(object) && object.DesiredState !== previous.DesiredState;
}
