import {
  ApiError,
  compareStates,
  isTerminal,
  type Network,
  type Service,
  type Task,
} from '@swarm/api';
import { INGRESS_KEY } from '../store/object-keys.js';
import type { View } from '../store/store.js';

/** Services that an error names. */
const NAMED_LIMIT = 5;

/** Whether neither a service nor a task that lives uses the network. */
export function isUnused(view: View, networkId: string): boolean {
  for (const _ of servicesOn(view, networkId)) return false;
  for (const task of view.tasksByNetwork(networkId)) if (isLive(view, task)) return false;
  return true;
}

/**
 * Whether only services that are being removed and tasks that stop use the network: it will be free by
 * itself.
 */
export function isOnlyLeaving(view: View, networkId: string): boolean {
  let isUsed = false;
  for (const { PendingDelete } of servicesOn(view, networkId)) {
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
    if (network?.Spec.Ingress === true) {
      throw new ApiError(
        'FAILED_PRECONDITION',
        `ingress network cannot be removed because task ${task.ID} (${task.Name}) has its address on it: it publishes ports in host mode; remove its service, or scale it to 0`,
      );
    }
    throw inUse(
      `${networkId} is in use by task ${task.ID} (${task.Name}): it goes when its service's update has replaced it`,
    );
  }
}

function inUse(what: string): ApiError {
  return new ApiError('FAILED_PRECONDITION', `network ${what}`);
}

/** Services that the network cannot go without. */
function* servicesOn(view: View, networkId: string): Generator<Service> {
  yield* view.servicesByNetwork(networkId);
  if (view.ingressNetwork()?.ID === networkId) yield* view.servicesByNetwork(INGRESS_KEY);
}

function refuseIngress(view: View): void {
  for (const { Spec, PendingDelete } of view.servicesByNetwork(INGRESS_KEY)) {
    const state = PendingDelete === true ? ' (being removed)' : '';
    throw new ApiError(
      'FAILED_PRECONDITION',
      `ingress network cannot be removed because service ${Spec.Name}${state} depends on it: it publishes ports`,
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
