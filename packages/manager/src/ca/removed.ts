import { ApiError } from '@swarm/api';
import { REJOIN } from '@swarm/identity';
import type { View } from '../store/store.js';

/** Whether the node was removed, and the cluster remembers it: until a week after its last certificate expires. */
export function isRemoved(view: View, nodeId: string): boolean {
  if (view.get('removed-node', nodeId) !== undefined) return true;
  // Of a cluster from before feature level 4, not moved yet.
  return Object.hasOwn(view.cluster()?.Private.RemovedNodes ?? {}, nodeId);
}

/** @throws ApiError PERMISSION_DENIED for a removed node */
export function refuseRemoved(view: View, nodeId: string): void {
  if (!isRemoved(view, nodeId)) return;
  throw new ApiError(
    'PERMISSION_DENIED',
    `Node ${nodeId} was removed from the cluster; to use it again, ${REJOIN}.`,
  );
}
