import type { Task } from '@swarm/api';
import { attachedSandbox } from '../../src/agent/task-sandbox.js';
import type {
  PrepareContext,
  PreparedTask,
  Runtime,
  TaskNetwork,
} from '../../src/runtime/runtime.js';
import { prepareContext } from './make-task.js';

/** Prepares a task in an attached sandbox of its own, as the agent does; leaves nothing when that fails. */
export async function prepare(
  runtime: Runtime,
  task: Task,
  change: Partial<PrepareContext> & { readonly network?: TaskNetwork } = {},
): Promise<PreparedTask> {
  const { network = { backend: 'nftables', attach: async () => {} }, ...rest } = change;
  const context = prepareContext(rest);
  try {
    const { node, objects, signal } = context;
    const sandbox = await attachedSandbox(task, { runtime, network, node, objects, signal });
    return await runtime.prepare(task, sandbox, context);
  } catch (error) {
    await runtime.removeSandbox(task.ID);
    throw error;
  }
}
