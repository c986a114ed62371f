import type { Config, Network, Secret } from '../objects/others.js';
import type { Task } from '../objects/task.js';

/**
 * What a manager sends a node, by kind. Every kind has its own life on the node; its shape and size limit
 * are in assigned-kinds.ts.
 */
export interface AssignedObjects {
  network: Network;
  secret: Secret;
  config: Config;
  task: Task;
}
export type AssignedKind = keyof AssignedObjects;
/** Kinds that are on a node because its tasks need them. */
export type NeededKind = Exclude<AssignedKind, 'task'>;

export interface AssignmentPut<K extends AssignedKind> {
  readonly kind: K;
  readonly action: 'put';
  readonly object: AssignedObjects[K];
}

export interface AssignmentRemoval<K extends AssignedKind> {
  readonly kind: K;
  readonly action: 'remove';
  readonly id: string;
}

export type AssignmentChange = {
  [K in AssignedKind]: AssignmentPut<K> | AssignmentRemoval<K>;
}[AssignedKind];

/**
 * Changes of the objects that this node has, applied in order: what a task needs comes before the task, and
 * goes after it.
 *
 * A session begins with a complete set. A set that is too big for a frame comes as `piece` messages, each
 * in force on arrival, and ends with `complete`: then the agent drops everything that no message of the set
 * named. Afterwards come `incremental` messages. A message whose `appliesTo` is not the agent's last
 * `resultsIn` opens a new session; only the first message of a set applies to anything. The agent answers
 * each with an `assignments-ack`, and the manager sends no more than a window ahead of them, so that no
 * heartbeat waits behind a thousand configs.
 *
 * A task whose desired state passes `running` is sent only after every living node acknowledged a mesh
 * generation without it (or the hold timed out): receiving it means "drain, then stop".
 */
export interface Assignments {
  readonly type: 'assignments';
  readonly set: 'piece' | 'complete' | 'incremental';
  readonly appliesTo: number;
  readonly resultsIn: number;
  readonly changes: readonly AssignmentChange[];
}

/** The agent has applied everything up to the message with this `resultsIn`. */
export interface AgentAssignmentsAck {
  readonly type: 'assignments-ack';
  readonly resultsIn: number;
}
