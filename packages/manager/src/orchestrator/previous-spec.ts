import { ApiError, type Service, type ServiceSpec } from '@swarm/api';
import { formatTime } from './time.js';

/** What a cluster below the level of revisions does: a service knows its previous spec only. */

/** Returns the service with the new spec, the old one as previous, and a SpecVersion of its own. */
export function replaceSpec(service: Service, spec: ServiceSpec): Service {
  const { UpdateStatus: _status, ...rest } = service;
  return {
    ...rest,
    Spec: spec,
    PreviousSpec: service.Spec,
    PreviousSpecVersion: service.SpecVersion,
    // Not the version this write gets, but one that no other update can have.
    SpecVersion: service.Version,
  };
}

/**
 * Returns the service with both specs swapped.
 * @throws ApiError FAILED_PRECONDITION when it has no previous one
 */
export function swapSpecs(service: Service, nowMs: number): Service {
  if (service.PreviousSpec === undefined) throw noPreviousSpec(service);
  return {
    ...service,
    Spec: service.PreviousSpec,
    SpecVersion: service.PreviousSpecVersion ?? { Index: 0 },
    PreviousSpec: service.Spec,
    PreviousSpecVersion: service.SpecVersion,
    UpdateStatus: {
      State: 'rollback_started',
      StartedAt: formatTime(nowMs),
      Message: 'manually requested rollback',
    },
  };
}

export function noPreviousSpec(service: Service): ApiError {
  return new ApiError(
    'FAILED_PRECONDITION',
    `service ${service.Spec.Name} does not have a previous spec; only an updated service can be rolled back`,
  );
}
