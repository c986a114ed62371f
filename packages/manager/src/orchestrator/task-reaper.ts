import {
  compareStates,
  isAttachment,
  isRunnable,
  isTerminal,
  type Task,
  type Timer,
} from '@swarm/api';
import type { ControlLoop, LoopContext } from '../control-loop.js';
import { SetAside } from '../set-aside.js';
import {
  type StoreChange,
  TRANSACTION_CHANGES_LIMIT,
  type Transaction,
  type View,
} from '../store/store.js';
import { DEFAULT_HISTORY_LIMIT, REAPER_BATCH_LIMIT, REAPER_BATCH_MS } from './limits.js';
import { byAge } from './slot.js';
import { SERVICE_REMOVED, stopTask } from './stop.js';
import { stateSince } from './time.js';
import { type PassResult, WorkQueue } from './work-queue.js';

/** The reaper's units of work: all noted slots, and all unreadable tasks. */
const WORK = 'tasks';
const UNREADABLE = 'unreadable';

/** A service's slot, or for slot 0 its tasks on one node. */
interface Place {
  readonly serviceId: string;
  readonly slot: number;
  readonly nodeId: string;
}

/**
 * Deletes tasks that nobody needs any more: those with desired state REMOVE, once they have stopped; those
 * of services that no longer exist; places of containers whose node was removed; unreadable ones, when this
 * leader starts; and in each slot, history beyond `Orchestration.TaskHistoryRetentionLimit`.
 */
export class TaskReaper implements ControlLoop {
  readonly name = 'task-reaper';
  readonly #context: LoopContext;
  readonly #queue: WorkQueue;
  readonly #aside: SetAside;
  readonly #places = new Map<string, Place>();
  #timer: Timer | undefined;
  #unwatch: (() => void) | undefined;

  constructor(context: LoopContext) {
    this.#context = context;
    this.#aside = new SetAside(context.logger.child({ loop: this.name }));
    this.#queue = new WorkQueue({
      clock: context.clock,
      logger: context.logger.child({ loop: this.name }),
      run: (key) => (key === WORK ? this.#reap() : this.#reapUnreadable()),
    });
  }

  start(): void {
    this.#queue.start();
    this.#unwatch = this.#context.store.watch((change) => this.#react(change));
    this.#noteAll();
  }

  async stop(): Promise<void> {
    this.#unwatch?.();
    this.#context.clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#queue.stop();
    this.#places.clear();
  }

  #noteAll(): void {
    this.#queue.add(UNREADABLE);
    for (const task of this.#context.store.list('task')) this.#note(task);
  }

  #react(change: StoreChange): void {
    if (change.reset) {
      this.#noteAll();
      return;
    }
    for (const event of change.events) {
      if (event.kind === 'task') {
        if (event.action !== 'remove') this.#note(event.object);
      } else if (event.kind === 'service' && event.action === 'remove') {
        for (const task of this.#context.store.tasksByService(event.object.ID)) this.#note(task);
      } else if (event.kind === 'node' && event.action === 'remove') {
        for (const task of this.#context.store.tasksByNode(event.object.ID)) this.#note(task);
      } else if (event.kind === 'cluster' && event.action === 'update') {
        const { Orchestration: before } = event.previous.Spec;
        const { Orchestration: after } = event.object.Spec;
        if (before.TaskHistoryRetentionLimit !== after.TaskHistoryRetentionLimit) this.#noteAll();
      }
    }
  }

  #note(task: Task): void {
    if (isAttachment(task) && !isAbandoned(this.#context.store, task)) return;
    const place = { serviceId: task.ServiceID, slot: task.Slot, nodeId: nodePart(task) };
    this.#places.set(`${place.serviceId} ${place.slot} ${place.nodeId}`, place);
    if (this.#places.size >= REAPER_BATCH_LIMIT) {
      this.#context.clock.clearTimeout(this.#timer);
      this.#timer = undefined;
      this.#queue.add(WORK);
    } else {
      this.#timer ??= this.#context.clock.setTimeout(() => {
        this.#timer = undefined;
        this.#queue.add(WORK);
      }, REAPER_BATCH_MS);
    }
  }

  /**
   * Deletes unreadable tasks. No loop sees them, so they have been replaced; if one became readable again,
   * it would run beside its successor.
   */
  async #reapUnreadable(): Promise<PassResult> {
    return await this.#context.store.transact((tx) => {
      let left = TRANSACTION_CHANGES_LIMIT;
      for (const { id } of tx.allSetAside('task')) {
        if (left === 0) return { again: true };
        left -= 1;
        tx.remove('task', id);
      }
      return {};
    });
  }

  /** Makes one transaction of deletions. Forgets places only after their changes are committed. */
  async #reap(): Promise<PassResult> {
    const places = [...this.#places];
    this.#places.clear();
    let done = 0;
    try {
      await this.#context.store.transact((tx) => {
        let left = TRANSACTION_CHANGES_LIMIT;
        for (const [, place] of places) {
          const changes = this.#aside.guard(
            'service',
            { ID: place.serviceId },
            () => reapPlace(tx, place, left, this.#context.store.timeMs()),
            () => 0,
          );
          left -= changes;
          if (left <= 0) break;
          done++;
        }
      });
    } catch (error) {
      done = 0;
      throw error;
    } finally {
      for (const [key, place] of places.slice(done)) this.#places.set(key, place);
    }
    return { again: done < places.length };
  }
}

/** Deletes what is due at one place. @returns how many changes it made, at most `limit` */
function reapPlace(tx: Transaction, place: Place, limit: number, now: number): number {
  const all = tasksOf(tx, place);
  const hasService = place.serviceId === '' || exists(tx, 'service', place.serviceId);
  let changes = 0;
  const kept: Task[] = [];
  for (const task of all) {
    if (changes >= limit) return changes;
    const isUnwanted = task.DesiredState === 'remove' || !hasService || isAbandoned(tx, task);
    if (isUnwanted && isOver(tx, task)) {
      tx.remove('task', task.ID);
      changes++;
    } else if (isUnwanted && task.DesiredState !== 'remove') {
      tx.update('task', stopTask(task, 'remove', SERVICE_REMOVED, now));
      changes++;
    } else kept.push(task);
  }
  for (const task of excessHistory(tx, place, kept, now)) {
    if (changes >= limit) return changes;
    tx.remove('task', task.ID);
    changes++;
  }
  return changes;
}

/**
 * Returns the tasks beyond the history limit, those that ended longest ago first. Live tasks count towards
 * the limit but never go; nor does the newest task, which tells the orchestrators whether the slot's work
 * is done.
 */
function excessHistory(view: View, place: Place, tasks: readonly Task[], now: number): Task[] {
  if (place.serviceId === '') return [];
  const limit = historyLimit(view);
  if (limit < 0 || tasks.length <= limit) return [];
  const last = [...tasks].sort(byAge).at(-1);
  return tasks
    .filter((task) => task !== last && !isRunnable(task) && isOver(view, task))
    .filter(isDismissed)
    .sort((a, b) => stateSince(a, now) - stateSince(b, now) || byAge(a, b))
    .slice(0, tasks.length - limit);
}

/** Whether the task is history. A job's task with desired state COMPLETE is history only once it ended. */
function isDismissed(task: Task): boolean {
  if (task.DesiredState === 'complete') return isTerminal(task.Status.State);
  return compareStates(task.DesiredState, 'complete') > 0;
}

/** Negative: keep everything. */
function historyLimit(view: View): number {
  return view.cluster()?.Spec.Orchestration.TaskHistoryRetentionLimit ?? DEFAULT_HISTORY_LIMIT;
}

/** Whether the task has stopped, was never assigned to a node, or its node is gone. */
function isOver(view: View, task: Task): boolean {
  if (isTerminal(task.Status.State)) return true;
  if (compareStates(task.Status.State, 'assigned') < 0) return true;
  return task.NodeID !== undefined && !exists(view, 'node', task.NodeID);
}

/** Whether the object is stored, readable or not. */
function exists(view: View, kind: 'service' | 'node', id: string): boolean {
  return view.get(kind, id) !== undefined || view.setAside(kind, id) !== undefined;
}

/** Whether it is the place of a container that nobody will give back: it ended, or its node was removed. */
function isAbandoned(view: View, task: Task): boolean {
  if (!isAttachment(task)) return false;
  return isTerminal(task.Status.State) || !exists(view, 'node', task.NodeID ?? '');
}

function tasksOf(view: View, place: Place): Task[] {
  // Of all places of containers, only those of this node.
  if (place.serviceId === '' && place.nodeId !== '')
    return [...view.tasksByNode(place.nodeId)].filter(isAttachment);
  const tasks = [...view.tasksBySlot(place.serviceId, place.slot)];
  return place.nodeId === '' ? tasks : tasks.filter((task) => nodePart(task) === place.nodeId);
}

/** Slot 0 belongs to global services and global jobs, which have one history per node. */
function nodePart(task: Task): string {
  return task.Slot === 0 ? (task.NodeID ?? '') : '';
}
