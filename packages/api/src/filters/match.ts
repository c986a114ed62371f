import type { Node } from '../objects/node.js';
import type { Config, Network, Secret } from '../objects/others.js';
import type { Service } from '../objects/service.js';
import type { Task } from '../objects/task.js';
import { modeOf } from '../service-mode.js';
import { isTaskState } from '../task-state.js';
import { isAttachment } from '../task/attachment.js';
import { Filters } from './filters.js';

type Given = string | null | undefined;

/** Whether an object passes the filters of one request. */
export type Matcher<T> = (object: T) => boolean;

/** @throws ApiError BAD_REQUEST */
export function nodeFilters(given: Given): Matcher<Node> {
  const filters = Filters.parse(given, ['id', 'label', 'node.label', 'membership', 'name', 'role'])
    .requireOneOf('role', ['worker', 'manager'])
    .requireOneOf('membership', ['accepted', 'pending']);
  return (node) =>
    filters.prefix('id', node.ID) &&
    filters.prefix('name', node.Spec.Name, node.Description?.Hostname) &&
    filters.labels('label', node.Description?.Engine.Labels) &&
    filters.labels('node.label', node.Spec.Labels) &&
    filters.exact('role', node.Role) &&
    // A node becomes an object only when it is accepted.
    filters.exact('membership', 'accepted');
}

/** @throws ApiError BAD_REQUEST */
export function serviceFilters(given: Given): Matcher<Service> {
  const filters = Filters.parse(given, ['id', 'label', 'mode', 'name', 'runtime']).requireOneOf(
    'mode',
    ['replicated', 'global', 'replicated-job', 'global-job'],
  );
  return (service) =>
    filters.prefix('id', service.ID) &&
    filters.prefix('name', service.Spec.Name) &&
    filters.labels('label', service.Spec.Labels) &&
    filters.exact('mode', modeOf(service.Spec).kind) &&
    filters.exact('runtime', service.Spec.TaskTemplate.Runtime ?? 'container');
}

/** What a task filter needs to know about other objects. */
export interface TaskFilterContext {
  /** The id of the service with this id, name or prefix. Throws when it does not exist. */
  serviceId(nameOrId: string): string;
  nodeId(nameOrId: string): string;
  /** Whether the task was made from its service's current spec. */
  isUpToDate(task: Task): boolean;
}

export interface TaskFilter {
  readonly matches: Matcher<Task>;
  /** When given, only tasks of these services can match: look them up by index. */
  readonly serviceIds?: readonly string[];
  readonly nodeIds?: readonly string[];
}

/** @throws ApiError BAD_REQUEST; whatever the context throws for an unknown service or node */
export function taskFilters(given: Given, context: TaskFilterContext): TaskFilter {
  const filters = Filters.parse(given, [
    'id',
    'label',
    'name',
    'node',
    'service',
    'desired-state',
    'runtime',
    '_up-to-date',
  ]);
  for (const state of filters.values('desired-state')) {
    if (!isTaskState(state))
      filters.requireOneOf('desired-state', ['running', 'shutdown', 'accepted']);
  }
  const serviceIds = filters.values('service').map((value) => context.serviceId(value));
  const nodeIds = filters.values('node').map((value) => context.nodeId(value));
  const upToDate = filters.flag('_up-to-date');
  // As in Docker, the places of containers on networks are listed only for those who ask.
  const asksForRuntime = filters.values('runtime').length > 0;
  const hasRuntime = (task: Task) =>
    asksForRuntime
      ? filters.exact('runtime', task.Spec.Runtime ?? 'container')
      : !isAttachment(task);
  return {
    ...(serviceIds.length > 0 && { serviceIds: [...new Set(serviceIds)] }),
    ...(nodeIds.length > 0 && { nodeIds: [...new Set(nodeIds)] }),
    matches: (task) =>
      filters.prefix('id', task.ID) &&
      filters.prefix('name', task.Name) &&
      filters.labels('label', { ...task.ServiceLabels, ...task.Labels }) &&
      (serviceIds.length === 0 || serviceIds.includes(task.ServiceID)) &&
      (nodeIds.length === 0 || (task.NodeID !== undefined && nodeIds.includes(task.NodeID))) &&
      filters.exact('desired-state', task.DesiredState) &&
      hasRuntime(task) &&
      (upToDate !== true || context.isUpToDate(task)),
  };
}

/** @throws ApiError BAD_REQUEST */
export function secretFilters(given: Given): Matcher<Secret> {
  const filters = Filters.parse(given, ['id', 'label', 'name', 'names']);
  return (secret) =>
    filters.prefix('id', secret.ID) &&
    filters.prefix('name', secret.Spec.Name) &&
    filters.exact('names', secret.Spec.Name) &&
    filters.labels('label', secret.Spec.Labels);
}

/** @throws ApiError BAD_REQUEST */
export function configFilters(given: Given): Matcher<Config> {
  const filters = Filters.parse(given, ['id', 'label', 'name']);
  return (config) =>
    filters.prefix('id', config.ID) &&
    filters.prefix('name', config.Spec.Name) &&
    filters.labels('label', config.Spec.Labels);
}

/**
 * Ids and names match in part, as Docker's network list does.
 * @param isUnused whether neither a service nor a task uses the network
 * @throws ApiError BAD_REQUEST
 */
export function networkFilters(given: Given, isUnused: Matcher<Network>): Matcher<Network> {
  const filters = Filters.parse(given, [
    'driver',
    'id',
    'label',
    'name',
    'scope',
    'type',
    'dangling',
  ])
    .requireOneOf('type', ['custom', 'builtin'])
    .requireOneOf('scope', ['swarm', 'local', 'global']);
  const dangling = filters.flag('dangling');
  return (network) =>
    filters.exact('driver', network.Spec.Driver) &&
    filters.contains('id', network.ID) &&
    filters.contains('name', network.Spec.Name) &&
    filters.labels('label', network.Spec.Labels) &&
    filters.exact('scope', 'swarm') &&
    filters.exact('type', 'custom') &&
    // The ingress network is the cluster's own: it is in use even without a service.
    (dangling === undefined || dangling === (!network.Spec.Ingress && isUnused(network)));
}
