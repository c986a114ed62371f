import type { Platform } from '../objects/node.js';
import type { Task } from '../objects/task.js';
import { attachmentNames, isAttachment } from './attachment.js';
import { checkHostName } from './host-name.js';
import { SpecError } from './spec-error.js';
import { expandTemplate } from './template.js';

/** What placeholders can say of a task's node. */
export interface TemplateNode {
  readonly id: string;
  readonly hostname: string;
  readonly platform: Platform;
}

/** Characters of a task's id that stand for it, as in Docker. */
const SHORT_ID_LENGTH = 12;

/** The host name of a task that asks for none, as in Docker. */
export function shortTaskId(task: Pick<Task, 'ID'>): string {
  return task.ID.slice(0, SHORT_ID_LENGTH);
}

/**
 * Expands the placeholders in a text of a task's spec. For a global service, `{{.Task.Slot}}` is the node's id,
 * as in Docker.
 * @throws SpecError for an unknown placeholder; names `field`
 */
export function expandForTask(text: string, field: string, task: Task, node: TemplateNode): string {
  const { Architecture, OS } = node.platform;
  return expandTemplate(text, field, {
    service: { id: task.ServiceID, name: task.ServiceName, labels: task.ServiceLabels },
    node: { id: node.id, hostname: node.hostname, architecture: Architecture, os: OS },
    task: {
      id: task.ID,
      name: task.Name,
      slot: task.Slot > 0 ? String(task.Slot) : (task.NodeID ?? node.id),
    },
  });
}

/**
 * The host name that a task asks for, with placeholders expanded; undefined if it asks for none.
 * @throws SpecError
 */
export function wantedHostName(task: Task, node: TemplateNode): string | undefined {
  const wanted = task.Spec.ContainerSpec?.Hostname;
  if (wanted === undefined || wanted === '') return undefined;
  const hostname = expandForTask(wanted, 'ContainerSpec.Hostname', task, node);
  checkHostName(hostname);
  return hostname;
}

/** The names that others on its networks find a task by, besides those of its service. */
export function taskNames(task: Task, node: TemplateNode): readonly string[] {
  if (isAttachment(task)) return attachmentNames(task);
  let hostname: string | undefined;
  try {
    hostname = wantedHostName(task, node);
  } catch (error) {
    // Its node rejects such a task.
    if (!(error instanceof SpecError)) throw error;
  }
  return [task.Name, hostname ?? shortTaskId(task)];
}
