/**
 * A task's spec asks for what no node can do. The message is a sentence that names the field. The manager refuses
 * such a spec when a service is written; a node rejects a task that was stored before that.
 */
export class SpecError extends Error {
  readonly code = 'TASK_SPEC';
}
