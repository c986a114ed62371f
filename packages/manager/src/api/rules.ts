import { ApiError, type ServiceSpec, type Task } from '@swarm/api';
import { writtenEndpoint } from '../allocator/port-table.js';
import { clusterPortRefusal } from '../allocator/cluster-ports.js';
import { enforcesRules } from '../allocator/enforces-rules.js';
import { conflictWith, publishHolder } from '../allocator/publish-conflict.js';
import { pausedFallback } from '../orchestrator/revisions.js';
import { isTaskDirty } from '../orchestrator/task-dirty.js';
import { nodeMatches, parseConstraints } from '../scheduler/constraint.js';
import type { View } from '../store/store.js';

/** Rules that the API checks and other parts own. */

export { clusterPortRefusal, conflictWith, publishHolder, writtenEndpoint };

/**
 * Refuses rules for a service that was open, where no node would enforce them: its tasks would all stop. A new
 * service's tasks wait, and say so.
 * @throws ApiError FAILED_PRECONDITION
 */
export function refuseUnenforced(view: View, spec: ServiceSpec, present: ServiceSpec): void {
  if (spec.EndpointSpec?.Allow === undefined || present.EndpointSpec?.Allow !== undefined) return;
  for (const node of view.list('node')) if (enforcesRules(node)) return;
  throw new ApiError(
    'FAILED_PRECONDITION',
    'EndpointSpec.Allow: no node can enforce who may connect to the service: start a daemon as root on a host with ' +
      'nftables first; its tasks would all stop',
  );
}

/** @throws ApiError INVALID_ARGUMENT when there are too many placement constraints, or one does not parse */
export function checkConstraints(expressions: readonly string[]): void {
  parseConstraints(expressions);
}

/**
 * Whether the task is what its service asks for now, so that no update would replace it. While an update is
 * paused, the service also asks for tasks of what completed last.
 * @param nowMs time of the store
 */
export function isUpToDate(view: View, task: Task, nowMs: number): boolean {
  const service = view.get('service', task.ServiceID);
  if (service === undefined) return false;
  const node = task.NodeID === undefined ? undefined : view.get('node', task.NodeID);
  if (!isTaskDirty(service, task, node, nodeMatches)) return true;
  const fallback = pausedFallback(view, service, nowMs);
  return fallback !== undefined && !isTaskDirty(fallback, task, node, nodeMatches);
}
