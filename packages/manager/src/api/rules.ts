import type { EndpointSpec, Service, ServiceSpec, Task } from '@swarm/api';
import { ApiError } from '@swarm/api';
import type { View } from '../store/store.js';

/** What the API asks of the parts that own these rules. */

/** @throws ApiError INVALID_ARGUMENT when a placement constraint does not parse */
export function checkConstraint(expression: string): void {
  if (/^\s*[a-zA-Z_][\w.-]+\s*[!=]=\s*\S/.test(expression)) return;
  throw new ApiError('INVALID_ARGUMENT', `constraint: ${expression}`);
}

export function publishConflict(
  _view: View,
  _endpoint: EndpointSpec | undefined,
  _ownId: string | undefined,
): string | undefined {
  return undefined;
}

export function updatedService(service: Service, spec: ServiceSpec, _nowMs: number): Service {
  return { ...service, Spec: spec, PreviousSpec: service.Spec, SpecVersion: service.Version };
}

export function rolledBackService(service: Service, _nowMs: number): Service {
  return service;
}

export function isUpToDate(view: View, task: Task): boolean {
  return view.get('service', task.ServiceID)?.SpecVersion.Index === task.SpecVersion.Index;
}
