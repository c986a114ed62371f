import type { Task } from '@swarm/api';
import type { View } from '../../store/store.js';
import { taskReason } from './task-reason.js';

/**
 * A task as the API shows it: without registry credentials, and with the reason why it is not as it should be.
 * Docker's clients show only errors, so every reason is one for them; where it is just a step on the task's way,
 * it is the message as well, which tells our command so.
 * @param nowMs the store's time, milliseconds since the epoch
 */
export function presentTask(view: View, task: Task, nowMs: number): Task {
  const { RegistryAuth: _, ...Spec } = task.Spec;
  const reason = taskReason(view, task, nowMs);
  const { Err: _err, ...status } = task.Status;
  if (reason === undefined) return { ...task, Spec, Status: status };
  const Message = reason.isProblem ? status.Message : reason.text;
  return { ...task, Spec, Status: { ...status, Message, Err: reason.text } };
}
