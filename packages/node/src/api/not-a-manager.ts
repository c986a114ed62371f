import { ApiError } from '@swarm/api';
import type { LocalNodeInfo } from './node-control.js';

/** Why this node does not answer for the cluster, in Docker's words. */
export function notAManager({
  state,
  controlAvailable,
  becomesManager,
}: Pick<LocalNodeInfo, 'state' | 'controlAvailable' | 'becomesManager'>): ApiError {
  if (state === 'locked') {
    return new ApiError(
      'NOT_IN_SWARM',
      'Swarm is encrypted and needs to be unlocked before it can be used. ' +
        'Please use "docker swarm unlock" to unlock it.',
    );
  }
  const why =
    state === 'inactive' || state === 'error'
      ? 'Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.'
      : controlAvailable || becomesManager === true || state === 'pending'
        ? 'Manager is being prepared or has trouble connecting to the cluster.'
        : "Worker nodes can't be used to view or modify cluster state. Please run this command on a " +
          'manager node or promote the current node to a manager.';
  return new ApiError('NOT_IN_SWARM', `This node is not a swarm manager. ${why}`);
}
