import { isDeepStrictEqual } from 'node:util';
import { type Assignments, compareStates, type Task } from '@swarm/api';

/** What the set reads tasks from. */
export interface AssignmentSource {
  /** Tasks of the node, in the store now. */
  tasks(): Iterable<Task>;
  get(taskId: string): Task | undefined;
  /** Whether news of the task must wait: see DrainGate. */
  isHeld(taskId: string): boolean;
}

/** What one session's agent has been told, and what it has not been told yet. */
export class AssignmentSet {
  readonly #source: AssignmentSource;
  readonly #sent = new Map<string, Task>();
  readonly #pending = new Set<string>();
  #number = 0;

  constructor(source: AssignmentSource) {
    this.#source = source;
  }

  /** Tasks that changed and were not looked at yet, held ones included. */
  get pending(): number {
    return this.#pending.size;
  }

  /** Everything, for a new session. A held task is named as it was: left out, it would be removed. */
  complete(): Assignments {
    this.#sent.clear();
    const update: Task[] = [];
    for (const stored of this.#source.tasks()) {
      if (!isForAgent(stored)) continue;
      const held = this.#source.isHeld(stored.ID);
      const task: Task = held ? { ...stored, DesiredState: 'running' } : stored;
      this.#sent.set(task.ID, task);
      if (held) this.#pending.add(task.ID);
      else this.#pending.delete(task.ID);
      update.push(task);
    }
    return this.#message('complete', update, []);
  }

  /** The task may have changed. */
  touch(taskId: string): void {
    this.#pending.add(taskId);
  }

  /** What changed for the agent, at most `limit` changes; undefined when nothing did. */
  take(limit: number): Assignments | undefined {
    const update: Task[] = [];
    const remove: string[] = [];
    for (const taskId of this.#pending) {
      if (update.length + remove.length >= limit) break;
      if (this.#source.isHeld(taskId)) continue;
      this.#pending.delete(taskId);
      const sent = this.#sent.get(taskId);
      const task = this.#source.get(taskId);
      if (task === undefined) {
        if (this.#sent.delete(taskId)) remove.push(taskId);
      } else if (isForAgent(task)) {
        this.#sent.set(taskId, task);
        if (sent === undefined || concernsAgent(sent, task)) update.push(task);
      }
    }
    if (update.length + remove.length === 0) return undefined;
    return this.#message('incremental', update, remove);
  }

  #message(kind: Assignments['kind'], update: Task[], remove: string[]): Assignments {
    const appliesTo = this.#number;
    this.#number += 1;
    return { type: 'assignments', kind, appliesTo, resultsIn: this.#number, update, remove };
  }
}

/** Agents see tasks from `assigned` on; before, the scheduler may still change its mind. */
function isForAgent(task: Task): boolean {
  return compareStates(task.Status.State, 'assigned') >= 0;
}

/** Whether an agent that has `sent` must hear of `task`. It knows the status itself. */
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
