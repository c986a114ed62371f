import { ApiError, isJobMode, modeOf, type Service, type ServiceSpec } from '@swarm/api';
import { formatTime } from './time.js';

export interface ServiceUpdateOptions {
  /** `previous` swaps the spec with the previous one and ignores `newSpec`. */
  readonly rollback?: 'previous' | undefined;
  /** Wall clock, milliseconds. */
  readonly nowMs: number;
}

/** What a user can do about a change that no update can make. */
const UNCHANGEABLE = 'remove the service and create it again';

/**
 * Returns the service as `service update` leaves it (SwarmKit controlapi/service.go UpdateService): the
 * new spec, the old one as previous, a SpecVersion of its own, and no update status, so that the updater
 * starts afresh. A rollback swaps the two specs. The caller validates the spec and checks port conflicts
 * and the version. Pure.
 * @throws ApiError FAILED_PRECONDITION when there is nothing to roll back to, UNIMPLEMENTED when the name
 *   or the mode would change
 */
export function applyServiceUpdate(
  service: Service,
  newSpec: ServiceSpec,
  options: ServiceUpdateOptions,
): Service {
  if (service.PendingDelete === true) {
    throw new ApiError(
      'FAILED_PRECONDITION',
      `service ${service.Spec.Name} is being removed; create it again when it is gone`,
    );
  }
  const swapped = options.rollback === 'previous' ? rollBack(service, options.nowMs) : undefined;
  const updated = swapped ?? replaceSpec(service, newSpec);
  return isJobMode(modeOf(updated.Spec)) ? nextIteration(updated, options.nowMs) : updated;
}

function replaceSpec(service: Service, spec: ServiceSpec): Service {
  if (spec.Name !== service.Spec.Name) {
    throw new ApiError('UNIMPLEMENTED', `renaming services is not supported; ${UNCHANGEABLE}`);
  }
  if (modeOf(spec).kind !== modeOf(service.Spec).kind) {
    throw new ApiError('UNIMPLEMENTED', `service mode change is not allowed; ${UNCHANGEABLE}`);
  }
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

function rollBack(service: Service, nowMs: number): Service {
  if (service.PreviousSpec === undefined) {
    throw new ApiError(
      'FAILED_PRECONDITION',
      `service ${service.Spec.Name} does not have a previous spec; only an updated service can be rolled back`,
    );
  }
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

function nextIteration(service: Service, nowMs: number): Service {
  const iteration = (service.JobStatus?.JobIteration.Index ?? 0) + 1;
  return {
    ...service,
    JobStatus: { JobIteration: { Index: iteration }, LastExecution: formatTime(nowMs) },
  };
}
