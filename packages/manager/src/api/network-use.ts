import { ApiError, compareStates, isTerminal, type Network, type Task } from '@swarm/api';
import { isIngress } from '../allocator/publish-conflict.js';
import type { View } from '../store/store.js';

/** Services that an error names. */
const NAMED_LIMIT = 5;

/** Whether neither a service nor a task that lives uses the network. */
export function isUnused(view: View, networkId: string): boolean {
  for (const _ of view.servicesByNetwork(networkId)) return false;
  for (const task of view.tasksByNetwork(networkId)) if (isLive(view, task)) return false;
  return true;
}

/**
 * Whether only services that are being removed and tasks that stop use the network: it will be free by
 * itself.
 */
export function isOnlyLeaving(view: View, networkId: string): boolean {
  let isUsed = false;
  for (const { PendingDelete } of view.servicesByNetwork(networkId)) {
    if (PendingDelete !== true) return false;
    isUsed = true;
  }
  for (const task of view.tasksByNetwork(networkId)) {
    if (!isLive(view, task)) continue;
    if (isWanted(task)) return false;
    isUsed = true;
  }
  return isUsed;
}

/**
 * Refuses the removal of a network in use. A task that only has to stop is not in the way.
 * @param network undefined when the stored object cannot be read
 * @throws ApiError FAILED_PRECONDITION in Docker's words
 */
export function refuseUsed(view: View, networkId: string, network: Network | undefined): void {
  if (network?.Spec.Ingress === true) refuseIngress(view);
  const services = [...view.servicesByNetwork(networkId)];
  if (services.length > 0) {
    const names = services
      .slice(0, NAMED_LIMIT)
      .map(({ Spec, PendingDelete }) =>
        PendingDelete === true ? `${Spec.Name} (being removed)` : Spec.Name,
      );
    const more = services.length - names.length;
    throw inUse(
      `${networkId} is in use by service${services.length === 1 ? '' : 's'} ${names.join(', ')}` +
        `${more > 0 ? ` and ${more} more` : ''}: remove the network from each with "swarm service update --network-rm", or remove the service`,
    );
  }
  for (const task of view.tasksByNetwork(networkId)) {
    if (!isLive(view, task) || !isWanted(task)) continue;
    throw inUse(
      `${networkId} is in use by task ${task.ID} (${task.Name}): it goes when its service's update has replaced it`,
    );
  }
}

function inUse(what: string): ApiError {
  return new ApiError('FAILED_PRECONDITION', `network ${what}`);
}

/** Looks at every service: few removals in the life of a cluster are worth no index. */
function refuseIngress(view: View): void {
  for (const { Spec, Endpoint } of view.list('service')) {
    const ports = [...(Spec.EndpointSpec?.Ports ?? []), ...(Endpoint.Ports ?? [])];
    if (!ports.some(isIngress)) continue;
    throw new ApiError(
      'FAILED_PRECONDITION',
      `ingress network cannot be removed because service ${Spec.Name} depends on it: it publishes ports`,
    );
  }
}

/** Whether the task may still have the network's addresses: what a node that is down has, nobody waits for. */
function isLive(view: View, { Status, NodeID }: Task): boolean {
  if (isTerminal(Status.State)) return false;
  if (NodeID === undefined) return true;
  const node = view.get('node', NodeID);
  return node !== undefined && node.Status.State !== 'down';
}

function isWanted({ DesiredState }: Task): boolean {
  return compareStates(DesiredState, 'complete') <= 0;
}
