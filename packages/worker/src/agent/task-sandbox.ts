import type { Task } from '@swarm/api';
import type { NodeFacts, Runtime, TaskNetwork } from '../runtime/runtime.js';
import { RuntimeError } from '../runtime/runtime-error.js';
import { type Sandbox, sandboxSpec } from '../runtime/sandbox.js';
import { hostPorts, sharedAttachments, taskAttachments } from '../runtime/task-ports.js';

export interface TaskSandboxContext {
  readonly runtime: Pick<Runtime, 'createSandbox'>;
  readonly network: TaskNetwork;
  readonly node: NodeFacts;
  /** Aborted when the task should not run any more. */
  readonly signal: AbortSignal;
}

/** The id of a task's sandbox: each task has one to itself. */
export function sandboxIdOf(task: Task): string {
  return task.ID;
}

/**
 * Makes the task's sandbox and attaches its network, which is complete when this resolves. Repeating it is
 * allowed: a sandbox that stands is attached again, as a mesh in user space forgets with its process.
 * @throws RuntimeError `rejected` when it can never be had here
 */
export async function attachedSandbox(task: Task, context: TaskSandboxContext): Promise<Sandbox> {
  const { runtime, network, node, signal } = context;
  const sandbox = await runtime.createSandbox(sandboxSpec(task, node), signal);
  if (signal.aborted) throw new RuntimeError('aborted', 'The task is not wanted any more.');
  const isShared = sandbox.address !== undefined;
  const attachments = isShared ? sharedAttachments(task, sandbox.address) : taskAttachments(task);
  if (attachments.length === 0 || (sandbox.netns === undefined && !isShared)) return sandbox;
  await network.attach({
    taskId: task.ID,
    attachments,
    netns: sandbox.netns ?? '',
    hostPorts: hostPorts(isShared ? { ...task, Endpoint: { Ports: sandbox.ports ?? [] } } : task),
  });
  return sandbox;
}
