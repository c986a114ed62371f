import { isDeepStrictEqual } from 'node:util';
import {
  type AssignmentChange,
  type Assignments,
  compareStates,
  isAttachment,
  isTerminal,
  type Need,
  needsOf,
  sizeBytes,
  type Task,
} from '@swarm/api';
import type { View } from '../store/store.js';
import { ASSIGNED_SOURCES, type AssignedKindSource, type NeededPut } from './assigned-kinds.js';
import { objectKey } from './object-watchers.js';
import { SpecSizes } from './spec-sizes.js';

export interface AssignmentSetOptions {
  readonly nodeId: string;
  readonly view: View;
  /** Whether changes of the task must wait: see DrainGate. */
  readonly isHeld: (taskId: string) => boolean;
  /** Called when the first task of the node needs the object, and when the last one stops needing it. */
  readonly needed: (key: string, isNeeded: boolean) => void;
  /** Measures tasks; shared by all sessions, as the tasks of a service share their parts. */
  readonly sizes?: SpecSizes;
  readonly kinds?: readonly AssignedKindSource[];
  readonly needs?: (task: Task) => readonly Need[];
}

/** What one message may hold. It is full once it reaches either; the last change may exceed the bytes. */
export interface MessageLimits {
  readonly changes: number;
  readonly bytes: number;
}

/** A message, and its estimated size in a frame. */
export interface TakenAssignments {
  readonly message: Assignments;
  readonly bytes: number;
}

/** An object that tasks of the node need. */
interface NeededObject {
  readonly need: Need;
  /** Number of tasks that need it. */
  tasks: number;
  /** The last put that the agent got; undefined when it does not have the object. */
  sent: NeededPut | undefined;
  /** Whether it was looked up in the store; events cover it from then on. */
  isLooked: boolean;
}

/** What one session's agent has, and what it has yet to get. */
export class AssignmentSet {
  readonly #options: AssignmentSetOptions;
  readonly #sizes: SpecSizes;
  readonly #kinds: ReadonlyMap<string, AssignedKindSource>;
  readonly #needs: (task: Task) => readonly Need[];
  /** Tasks as they were sent. */
  readonly #sent = new Map<string, Task>();
  /** What each task needs, from just before its first need is sent. */
  readonly #needsOfTask = new Map<string, readonly Need[]>();
  readonly #objects = new Map<string, NeededObject>();
  readonly #pendingTasks = new Set<string>();
  readonly #pendingObjects = new Set<string>();
  /** Sent objects that no task needs any more. */
  readonly #unneeded = new Map<string, NeededObject>();
  /** Tasks of the complete set that are still to be sent; undefined once all of it is sent. */
  #left: Set<string> | undefined;
  #number = 0;

  constructor(options: AssignmentSetOptions) {
    this.#options = options;
    this.#sizes = options.sizes ?? new SpecSizes();
    this.#kinds = new Map((options.kinds ?? ASSIGNED_SOURCES).map((kind) => [kind.kind, kind]));
    this.#needs = options.needs ?? needsOf;
    this.#left = new Set();
    for (const { ID } of options.view.tasksByNode(options.nodeId)) this.#left.add(ID);
  }

  /** Number of changes that were not looked at yet, including those of held tasks. */
  get pending(): number {
    return this.#pendingTasks.size + this.#pendingObjects.size + this.#unneeded.size;
  }

  /** `resultsIn` of the last message. */
  get number(): number {
    return this.#number;
  }

  /** Notes that the task may have changed. */
  touchTask(taskId: string): void {
    this.#pendingTasks.add(taskId);
  }

  /** Notes that the object may have been changed, added or removed. */
  touchObject(kind: string, id: string): void {
    const key = objectKey(kind, id);
    if (this.#objects.has(key)) this.#pendingObjects.add(key);
  }

  /** Forgets everything: the session is over. */
  close(): void {
    for (const key of this.#objects.keys()) this.#options.needed(key, false);
    this.#objects.clear();
    this.#pendingTasks.clear();
    this.#pendingObjects.clear();
    this.#unneeded.clear();
  }

  /**
   * Returns the next message: first the complete set, then what changed. Undefined when there is nothing to
   * send.
   */
  take(limits: MessageLimits): TakenAssignments | undefined {
    const batch = new Batch(limits);
    if (this.#left !== undefined) return this.#takeOfComplete(batch, this.#left);
    this.#addChangedObjects(batch);
    for (const taskId of this.#pendingTasks) {
      if (batch.isFull) break;
      if (this.#options.isHeld(taskId)) continue;
      if (this.#addTask(batch, taskId)) this.#pendingTasks.delete(taskId);
    }
    this.#addRemovals(batch);
    return batch.isEmpty ? undefined : this.#message(batch, 'incremental');
  }

  /** Takes a piece of the complete set. Changes that come meanwhile follow after the set. */
  #takeOfComplete(batch: Batch, left: Set<string>): TakenAssignments {
    for (const taskId of left) {
      if (batch.isFull) break;
      if (this.#addToComplete(batch, taskId)) left.delete(taskId);
    }
    if (left.size > 0) return this.#message(batch, 'piece');
    this.#left = undefined;
    return this.#message(batch, 'complete');
  }

  /**
   * Adds a task, a held one as it was before: the agent removes tasks that the set omits.
   * @returns false when not all of it fits
   */
  #addToComplete(batch: Batch, taskId: string): boolean {
    const stored = this.#options.view.get('task', taskId);
    if (stored === undefined || !isForAgent(stored)) {
      this.#setNeeds(taskId, undefined);
      return true;
    }
    const held = this.#options.isHeld(taskId);
    const task: Task = held ? { ...stored, DesiredState: 'running' } : stored;
    if (!this.#addNeeds(batch, task)) return false;
    if (held) this.#pendingTasks.add(taskId);
    this.#putTask(batch, task);
    return true;
  }

  /** Adds what changed of a task. @returns false when not all of it fits */
  #addTask(batch: Batch, taskId: string): boolean {
    const sent = this.#sent.get(taskId);
    const task = this.#options.view.get('task', taskId);
    if (task === undefined) {
      if (this.#sent.delete(taskId)) batch.add({ kind: 'task', action: 'remove', id: taskId }, 0);
      this.#setNeeds(taskId, undefined);
      return true;
    }
    if (!isForAgent(task)) return true;
    const isNews = sent === undefined || concernsAgent(sent, task);
    // Most changes of a task are statuses, which do not change its needs until it has ended.
    const needsMayDiffer =
      isNews || isTerminal(sent.Status.State) !== isTerminal(task.Status.State);
    if (needsMayDiffer && !this.#addNeeds(batch, task)) return false;
    if (isNews) this.#putTask(batch, task);
    else this.#sent.set(taskId, task);
    return true;
  }

  #putTask(batch: Batch, task: Task): void {
    this.#sent.set(task.ID, task);
    batch.add({ kind: 'task', action: 'put', object: task }, this.#sizes.of(task));
  }

  /** Adds the objects that the task needs and the agent does not have. @returns false when not all fit */
  #addNeeds(batch: Batch, task: Task): boolean {
    const needs = this.#setNeeds(task.ID, task);
    for (const { kind, id } of needs) {
      const key = objectKey(kind, id);
      if (this.#objects.get(key)!.isLooked) continue;
      if (batch.isFull) return false;
      this.#addObject(batch, key);
    }
    return !batch.isFull || needs.length === 0;
  }

  #addChangedObjects(batch: Batch): void {
    for (const key of this.#pendingObjects) {
      if (batch.isFull) return;
      this.#pendingObjects.delete(key);
      this.#addObject(batch, key);
    }
  }

  /** Brings an object that tasks need up to date on the node. */
  #addObject(batch: Batch, key: string): void {
    const object = this.#objects.get(key);
    if (object === undefined) return;
    const { need, sent } = object;
    object.isLooked = true;
    const { view, nodeId } = this.#options;
    const put = this.#kinds.get(need.kind)?.put(view, need.id, nodeId);
    if (put === undefined) {
      // An object that cannot be read still exists: the node keeps what it has.
      if (sent === undefined || view.setAside(need.kind, need.id) !== undefined) return;
      object.sent = undefined;
      batch.add({ kind: need.kind, action: 'remove', id: need.id }, 0);
      return;
    }
    object.sent = put;
    if (sent === undefined || !isSameForNode(sent, put)) batch.add(put, sizeBytes(put.object));
  }

  #addRemovals(batch: Batch): void {
    for (const [key, { need }] of this.#unneeded) {
      if (batch.isFull) return;
      this.#unneeded.delete(key);
      batch.add({ kind: need.kind, action: 'remove', id: need.id }, 0);
    }
  }

  /** Counts the task among those that need its current objects, and no longer for its earlier ones. */
  #setNeeds(taskId: string, task: Task | undefined): readonly Need[] {
    const before = this.#needsOfTask.get(taskId) ?? [];
    const after = task === undefined ? [] : this.#needs(task);
    if (before.length === 0 && after.length === 0) return after;
    // New needs come first, or an object that is still needed would be dropped for a moment.
    for (const need of after) this.#count(need, 1);
    for (const need of before) this.#count(need, -1);
    if (after.length === 0) this.#needsOfTask.delete(taskId);
    else this.#needsOfTask.set(taskId, after);
    return after;
  }

  #count(need: Need, change: 1 | -1): void {
    const key = objectKey(need.kind, need.id);
    let object = this.#objects.get(key);
    if (object === undefined) {
      // The agent still has it if its removal was not sent yet.
      const sent = this.#unneeded.get(key)?.sent;
      object = { need, tasks: 0, sent, isLooked: false };
      this.#unneeded.delete(key);
      this.#objects.set(key, object);
      this.#options.needed(key, true);
    }
    object.tasks += change;
    if (object.tasks > 0) return;
    this.#objects.delete(key);
    this.#pendingObjects.delete(key);
    this.#options.needed(key, false);
    if (object.sent !== undefined) this.#unneeded.set(key, object);
  }

  #message(batch: Batch, set: Assignments['set']): TakenAssignments {
    const appliesTo = this.#number;
    this.#number += 1;
    const { changes, bytes } = batch;
    return {
      message: { type: 'assignments', set, appliesTo, resultsIn: this.#number, changes },
      bytes,
    };
  }
}

/** Estimated size of a removal, or of the head of a change. */
const CHANGE_COST_BYTES = 64;

/** The changes of one message. */
class Batch {
  readonly #limits: MessageLimits;
  readonly changes: AssignmentChange[] = [];
  bytes = 0;

  constructor(limits: MessageLimits) {
    this.#limits = limits;
  }

  get isFull(): boolean {
    return this.changes.length >= this.#limits.changes || this.bytes >= this.#limits.bytes;
  }

  get isEmpty(): boolean {
    return this.changes.length === 0;
  }

  add(change: AssignmentChange, bytes: number): void {
    this.changes.push(change);
    this.bytes += CHANGE_COST_BYTES + bytes;
  }
}

/** Whether two puts are the same to a node, whatever their version and time, which change with every write. */
function isSameForNode(a: NeededPut, b: NeededPut): boolean {
  const { Version: _a, UpdatedAt: _at, ...left } = a.object;
  const { Version: _b, UpdatedAt: _bt, ...right } = b.object;
  return isDeepStrictEqual(left, right);
}

/**
 * Whether agents see the task: from `assigned` on, since the scheduler may change its choice before. A container's
 * place on networks is nothing to run; an agent of before would reject it.
 */
function isForAgent(task: Task): boolean {
  return !isAttachment(task) && compareStates(task.Status.State, 'assigned') >= 0;
}

/** Whether an agent that has `sent` must get `task`. It knows the status itself. */
function concernsAgent(sent: Task, task: Task): boolean {
  return (
    sent.DesiredState !== task.DesiredState ||
    !same(sent.Spec, task.Spec) ||
    !same(sent.NetworksAttachments, task.NetworksAttachments) ||
    !same(sent.Endpoint, task.Endpoint)
  );
}

function same(a: unknown, b: unknown): boolean {
  return a === b || isDeepStrictEqual(a, b);
}
