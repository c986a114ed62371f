import { ApiError, type Cluster } from '@swarm/api';
import { REJOIN } from '@swarm/identity';

/**
 * Refuses a removed node while the cluster remembers it (Cluster.Private.RemovedNodes): until a week after its
 * last certificate expires.
 * @throws ApiError PERMISSION_DENIED
 */
export function refuseRemoved(cluster: Cluster | undefined, nodeId: string): void {
  if (!Object.hasOwn(cluster?.Private.RemovedNodes ?? {}, nodeId)) return;
  throw new ApiError(
    'PERMISSION_DENIED',
    `Node ${nodeId} was removed from the cluster; to use it again, ${REJOIN}.`,
  );
}
