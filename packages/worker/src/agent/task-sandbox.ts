import { type Task, taskNames } from '@swarm/api';
import type { TaskAttachment } from '@swarm/routing-mesh';
import type { NodeFacts, Runtime, TaskNetwork, TaskObjects } from '../runtime/runtime.js';
import { RuntimeError } from '../runtime/runtime-error.js';
import { type Sandbox, sandboxSpec } from '../runtime/sandbox.js';
import { hostPorts, sharedAttachments, taskAttachments } from '../runtime/task-ports.js';

export interface TaskSandboxContext {
  readonly runtime: Pick<Runtime, 'createSandbox'>;
  readonly network: TaskNetwork;
  readonly node: NodeFacts;
  /** What the task needs, as far as it is on this node. */
  readonly objects: TaskObjects;
  /** Aborted when the task should no longer run. */
  readonly signal: AbortSignal;
}

/** The id of a task's sandbox. Each task has its own. */
export function sandboxIdOf(task: Task): string {
  return task.ID;
}

/** What the mesh is told of a task in this sandbox; undefined when there is nothing to attach. */
export function sandboxAttachment(
  task: Task,
  sandbox: Sandbox,
  objects: TaskObjects,
  node: NodeFacts,
): TaskAttachment | undefined {
  const isShared = sandbox.address !== undefined;
  const attachments = isShared
    ? sharedAttachments(task, sandbox.address)
    : taskAttachments(task, (id) => objects.get('network', id));
  if (attachments.length === 0 || (sandbox.netns === undefined && !isShared)) return undefined;
  return {
    taskId: task.ID,
    attachments,
    netns: sandbox.netns ?? '',
    hostPorts: hostPorts(isShared ? { ...task, Endpoint: { Ports: sandbox.ports ?? [] } } : task),
    names: taskNames(task, node),
    nameservers: task.Spec.ContainerSpec?.DNSConfig?.Nameservers ?? [],
  };
}

/**
 * Makes the task's sandbox and attaches its network; both are complete when this resolves. May be repeated:
 * reattaches a sandbox that exists, because a userspace mesh loses its attachments with its process.
 * @throws RuntimeError `rejected` when this node can never provide it
 */
export async function attachedSandbox(task: Task, context: TaskSandboxContext): Promise<Sandbox> {
  const { runtime, network, node, objects, signal } = context;
  const sandbox = await runtime.createSandbox(sandboxSpec(task, node, network.backend), signal);
  if (signal.aborted) throw new RuntimeError('aborted', 'The task is no longer wanted.');
  const attachment = sandboxAttachment(task, sandbox, objects, node);
  if (attachment !== undefined) await network.attach(attachment);
  return sandbox;
}
