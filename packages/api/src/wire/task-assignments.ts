import type { Task } from '../objects/task.js';
import type { AssignmentChange, Assignments } from './assignments.js';

/**
 * Assignments as protocol 1 has them: tasks only, a complete set in one frame, no acknowledgement. Protocol 2
 * has typed ones ({@link Assignments}).
 */
export interface TaskAssignments {
  readonly type: 'assignments';
  readonly kind: 'complete' | 'incremental';
  readonly appliesTo: number;
  readonly resultsIn: number;
  readonly update: readonly Task[];
  readonly remove: readonly string[];
}

/** What an agent of protocol 1 receives. @throws TypeError for a piece, which that protocol lacks */
export function taskAssignments(typed: Assignments): TaskAssignments {
  const { type, set, appliesTo, resultsIn, changes } = typed;
  if (set === 'piece') throw new TypeError('protocol 1 has no pieces of a set');
  const last = new Map<string, Task | undefined>();
  for (const change of changes) {
    if (change.kind !== 'task') continue;
    if (change.action === 'put') last.set(change.object.ID, change.object);
    else last.set(change.id, undefined);
  }
  const update = [...last.values()].filter((task) => task !== undefined);
  const remove = [...last].filter(([, task]) => task === undefined).map(([id]) => id);
  return { type, kind: set, appliesTo, resultsIn, update, remove };
}

/** What a manager of protocol 1 sends, as typed changes. That protocol has only tasks. */
export function typedAssignments(old: TaskAssignments): Assignments {
  const { type, kind: set, appliesTo, resultsIn, update, remove } = old;
  const removals = remove.map((id): AssignmentChange => ({ kind: 'task', action: 'remove', id }));
  const puts = update.map((object): AssignmentChange => ({ kind: 'task', action: 'put', object }));
  return { type, set, appliesTo, resultsIn, changes: [...removals, ...puts] };
}
