import { isTerminal, type Node, type Task } from '@swarm/api';
import type { SetAside } from '../set-aside.js';
import type { StoreEvent, View } from '../store/store.js';
import { isActive, isHolding, NodeInfo, versionKey } from './node-info.js';

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
        this.#settle(view, task);
        return;
      }
      info?.put(task);
      // Most events are statuses, which change nothing here.
      if (previous === undefined || isActive(previous) !== isActive(task)) this.#settle(view, task);
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
    if (task !== undefined) this.#settle(view, task);
  }

  /**
   * Active tasks in the slot of one that waits for its node: those that it replaces, oldest first. Tasks of
   * services with one task per node (slot 0) do not choose their node, so nothing is looked up for them.
   */
  predecessors(view: View, task: Task): Task[] {
    return activeInSlot(view, task).filter(({ ID }) => ID !== task.ID);
  }

  /** Where the youngest other task of the slot is or was; undefined when there is none. */
  formerNode(view: View, { ID, ServiceID, Slot }: Task): NodeInfo | undefined {
    if (ServiceID === '' || Slot === 0) return undefined;
    const others = [...view.tasksBySlot(ServiceID, Slot)].filter((other) => other.ID !== ID);
    const last = others.sort(byCreation).findLast(({ NodeID }) => NodeID !== undefined);
    return last === undefined ? undefined : this.#infos.get(last.NodeID ?? '');
  }

  /** Records whether the task counts when others are spread. @returns whether that is news */
  supersede({ ID, NodeID }: Task, isSuperseded: boolean): boolean {
    const info = NodeID === undefined ? undefined : this.#infos.get(NodeID);
    return info?.supersede(ID, isSuperseded) ?? false;
  }

  /** Has only the youngest of a slot's active tasks count for the spread: the others are about to go. */
  #settle(view: View, task: Task): void {
    const active = activeInSlot(view, task);
    for (const [index, one] of active.entries()) this.supersede(one, index < active.length - 1);
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
        this.#settle(view, task);
        if (isFailed(task)) {
          info.failed(versionKey(task), Date.parse(task.Status.AppliedAt ?? task.Status.Timestamp));
        }
      });
    }
  }
}

/** Whether the task ended by itself and not well. One that was stopped or moved did not fail. */
function isFailed(task: Task): boolean {
  if (task.Stop?.Moved === true) return false;
  return task.Status.State === 'failed' || task.Status.State === 'rejected';
}

/** Oldest first. A slot has few tasks. */
function activeInSlot(view: View, { ServiceID, Slot }: Task): Task[] {
  if (ServiceID === '' || Slot === 0) return [];
  return [...view.tasksBySlot(ServiceID, Slot)].filter(isActive).sort(byCreation);
}

function byCreation(a: Task, b: Task): number {
  const older = Date.parse(a.CreatedAt) - Date.parse(b.CreatedAt);
  return older || a.SpecVersion.Index - b.SpecVersion.Index || (a.ID < b.ID ? -1 : 1);
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
