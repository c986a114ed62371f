import type { ControlLoop, LoopContext } from '../control-loop.js';
import { nodeMatches as fitsConstraints } from '../scheduler/constraint.js';
import { ConstraintEnforcer } from './constraint-enforcer.js';
import { isGlobal, reconcileGlobal } from './global.js';
import { isJob, reconcileJob } from './jobs.js';
import type { NodeMatcher } from './placement.js';
import { isReplicated, reconcileReplicated } from './replicated.js';
import { ServiceLoop } from './service-loop.js';
import { isPendingDelete, removeService } from './service-removal.js';
import { TaskReaper } from './task-reaper.js';

export { newTask } from './new-task.js';
export {
  planServiceUpdate,
  resumeService,
  type ServiceUpdateOptions,
  writeServiceUpdate,
} from './service-update.js';
export { isTaskDirty } from './task-dirty.js';

/** Makes the loops that turn services into tasks and clear tasks away. The leader starts them. */
export function createOrchestrators(
  context: LoopContext,
  options: { readonly nodeMatches?: NodeMatcher } = {},
): ControlLoop[] {
  const nodeMatches = options.nodeMatches ?? fitsConstraints;
  const common = { context, nodeMatches };
  return [
    new ServiceLoop({
      ...common,
      name: 'replicated-orchestrator',
      matches: (service) => isReplicated(service) && !isPendingDelete(service),
      reconcile: reconcileReplicated,
      watchesAllNodes: false,
    }),
    new ServiceLoop({
      ...common,
      name: 'global-orchestrator',
      matches: (service) => isGlobal(service) && !isPendingDelete(service),
      reconcile: reconcileGlobal,
      watchesAllNodes: true,
    }),
    new ServiceLoop({
      ...common,
      name: 'jobs-orchestrator',
      matches: (service) => isJob(service) && !isPendingDelete(service),
      reconcile: reconcileJob,
      watchesAllNodes: true,
    }),
    new ServiceLoop({
      ...common,
      name: 'service-removal',
      matches: isPendingDelete,
      reconcile: removeService,
      watchesAllNodes: false,
    }),
    new ConstraintEnforcer(context, nodeMatches),
    new TaskReaper(context),
  ];
}
