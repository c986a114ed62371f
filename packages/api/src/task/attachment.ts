import type { Task } from '../objects/task.js';

/** Docker's name for the runtime of such tasks, in `Spec.Runtime` and in filters. */
export const ATTACHMENT_RUNTIME = 'attachment';

/** Characters of a container's id that stand for it, as in Docker. */
export const SHORT_CONTAINER_ID_LENGTH = 12;

/**
 * Whether the task is the place of a container on networks. It belongs to no service and is bound to a node, whose
 * engine runs the container; no agent runs it. It holds addresses until its node gives it back or is removed.
 */
export function isAttachment(task: Pick<Task, 'Spec'>): boolean {
  return task.Spec.NetworkAttachmentSpec !== undefined;
}

/** What others on its networks find the container by: its name, the start of its id, and its aliases. */
export function attachmentNames(task: Task): readonly string[] {
  const { NetworkAttachmentSpec, Networks = [] } = task.Spec;
  const short = (NetworkAttachmentSpec?.ContainerID ?? '').slice(0, SHORT_CONTAINER_ID_LENGTH);
  return [...new Set([task.Name, short, ...Networks.flatMap(({ Aliases = [] }) => Aliases)])];
}
