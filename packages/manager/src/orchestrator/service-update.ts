import {
  ApiError,
  isJobMode,
  modeOf,
  type Service,
  type ServiceSpec,
  withDefaults,
} from '@swarm/api';
import type { Transaction, View } from '../store/store.js';
import { meansSame } from './means-same.js';
import { endpointMeaning, mapMeaning, taskMeaning } from './task-meaning.js';
import { RevisionLedger, rolledBackSpec } from './revisions.js';
import { formatTime } from './time.js';
import { isPaused, isUpdating } from './update-config.js';

export interface ServiceUpdateOptions {
  /**
   * Ignores `newSpec` and goes back: to the revision of this number, or with `previous` to the one that
   * completed last.
   */
  readonly rollback?: 'previous' | number | undefined;
  /** Time of the store, milliseconds. */
  readonly nowMs: number;
}

/** A service as an update leaves it, and its revisions; undefined when they do not change. */
export interface ServiceUpdate {
  readonly service: Service;
  readonly ledger: RevisionLedger | undefined;
}

/** What a user can do about a change that no update can make. */
const UNCHANGEABLE = 'remove the service and create it again';

/**
 * Works out what `service update` makes of a service. The caller validates the spec and checks port conflicts
 * and the version.
 *
 * - A change of what tasks are made of is a new revision: it gets a SpecVersion of its own and no update
 *   status, so that the updater starts afresh.
 * - A change of labels, or of how tasks stop and what follows their end, is a new revision that goes on where
 *   the current one is, as no task has to change.
 * - Everything else (number of replicas, settings of updates and rollbacks) belongs to the service. It takes
 *   effect at once, also on a roll-out that is under way, and neither resumes nor restarts one.
 *
 * @throws ApiError FAILED_PRECONDITION when there is nothing to roll back to, UNIMPLEMENTED when the name
 *   or the mode would change
 */
export function planServiceUpdate(
  view: View,
  service: Service,
  newSpec: ServiceSpec,
  options: ServiceUpdateOptions,
): ServiceUpdate {
  refuseLeaving(service);
  const { rollback, nowMs } = options;
  if (rollback === undefined) refuseUnchangeable(service, newSpec);
  const plan =
    rollback === undefined
      ? change(view, service, newSpec, nowMs)
      : rollBack(view, service, rollback, nowMs);
  if (!isJobMode(modeOf(plan.service.Spec))) return plan;
  return { ...plan, service: nextIteration(plan.service, nowMs) };
}

/** Stages an update by a client. */
export function writeServiceUpdate(tx: Transaction, { service, ledger }: ServiceUpdate): void {
  if (ledger === undefined) tx.updateSpec('service', service);
  else ledger.write(tx, service, 'client');
}

/**
 * Returns the service with its paused update or rollback under way again. What failed before no longer counts.
 * @throws ApiError FAILED_PRECONDITION when nothing is paused
 */
export function resumeService(service: Service, nowMs: number): Service {
  refuseLeaving(service);
  if (!isPaused(service)) {
    throw new ApiError(
      'FAILED_PRECONDITION',
      `no update of service ${service.Spec.Name} is paused: there is nothing to resume`,
    );
  }
  const isBack = service.UpdateStatus?.State === 'rollback_paused';
  return {
    ...service,
    UpdateStatus: {
      State: isBack ? 'rollback_started' : 'updating',
      StartedAt: formatTime(nowMs),
      Message: isBack ? 'rollback in progress' : 'update in progress',
    },
  };
}

function change(view: View, service: Service, spec: ServiceSpec, nowMs: number): ServiceUpdate {
  const { UpdateStatus: status, ...rest } = service;
  const { Spec: old } = service;
  if (!isSameToTasks(old, spec)) {
    const ledger = new RevisionLedger(view, service, nowMs);
    // Not the version this write gets, but one that no other update can have.
    const SpecVersion = service.Version;
    ledger.open(spec, SpecVersion);
    return { service: { ...rest, Spec: spec, SpecVersion }, ledger };
  }
  // What has ended is not what this update did.
  const isOpen = isUpdating(service) || isPaused(service);
  const updated = {
    ...rest,
    Spec: spec,
    ...(isOpen && status !== undefined && { UpdateStatus: status }),
  };
  const isSame =
    meansSame(mapMeaning(old.Labels), mapMeaning(spec.Labels)) &&
    meansSame(trafficOf(old), trafficOf(spec)) &&
    meansSame(endOf(old), endOf(spec));
  if (isSame) return { service: updated, ledger: undefined };
  const ledger = new RevisionLedger(view, service, nowMs);
  ledger.succeed(spec);
  return { service: updated, ledger };
}

function rollBack(
  view: View,
  service: Service,
  to: 'previous' | number,
  nowMs: number,
): ServiceUpdate {
  const ledger = new RevisionLedger(view, service, nowMs);
  const target = to === 'previous' ? ledger.rollbackTarget() : ledger.get(to);
  if (target === undefined) {
    throw to === 'previous' ? noPreviousSpec(service) : noRevision(service, ledger, to);
  }
  if (target.Number === ledger.current.Number) {
    throw new ApiError(
      'FAILED_PRECONDITION',
      `service ${service.Spec.Name} is at revision ${target.Number} already` +
        (isPaused(service) ? ': resume its update, or roll back to another revision' : ''),
    );
  }
  ledger.reopen(target.Number, 'rollback');
  const { UpdateStatus: _status, ...rest } = service;
  const Spec = rolledBackSpec(service, target);
  const back = { ...rest, Spec, SpecVersion: target.SpecVersion };
  // A job is run again, not rolled out.
  if (isJobMode(modeOf(Spec))) return { service: back, ledger };
  const UpdateStatus = {
    State: 'rollback_started' as const,
    StartedAt: formatTime(nowMs),
    Message: 'manually requested rollback',
  };
  return { service: { ...back, UpdateStatus }, ledger };
}

/** Whether tasks made from the one spec are as tasks made from the other. */
function isSameToTasks(a: ServiceSpec, b: ServiceSpec): boolean {
  return (
    meansSame(taskMeaning(a.TaskTemplate), taskMeaning(b.TaskTemplate)) &&
    meansSame(endpointMeaning(a.EndpointSpec), endpointMeaning(b.EndpointSpec)) &&
    meansSame(a.Networks, b.Networks) &&
    // Where nobody enforces rules, tasks have to go. Other rules reach the nodes with the mesh.
    (a.EndpointSpec?.Allow !== undefined || b.EndpointSpec?.Allow === undefined)
  );
}

/** How tasks stop, and what follows their end: no task has to change for it. */
function endOf(spec: ServiceSpec): object {
  const { ContainerSpec, RestartPolicy } = withDefaults(spec).TaskTemplate;
  const { StopSignal, StopGracePeriod } = ContainerSpec ?? {};
  return { StopSignal, StopGracePeriod, RestartPolicy };
}

/** How nodes choose among tasks: no task has to change for it. */
function trafficOf({ EndpointSpec = {} }: ServiceSpec): object {
  const { Affinity, TrafficPolicy, RevisionWeight } = EndpointSpec;
  return { Affinity, TrafficPolicy, RevisionWeight };
}

function refuseLeaving(service: Service): void {
  if (service.PendingDelete !== true) return;
  throw new ApiError(
    'FAILED_PRECONDITION',
    `service ${service.Spec.Name} is being removed; create it again when it is gone`,
  );
}

function refuseUnchangeable(service: Service, spec: ServiceSpec): void {
  if (spec.Name !== service.Spec.Name) {
    throw new ApiError('UNIMPLEMENTED', `renaming services is not supported; ${UNCHANGEABLE}`);
  }
  if (modeOf(spec).kind !== modeOf(service.Spec).kind) {
    throw new ApiError('UNIMPLEMENTED', `service mode change is not allowed; ${UNCHANGEABLE}`);
  }
}

function noPreviousSpec(service: Service): ApiError {
  return new ApiError(
    'FAILED_PRECONDITION',
    `service ${service.Spec.Name} does not have a previous spec; only an updated service can be rolled back`,
  );
}

function noRevision(service: Service, ledger: RevisionLedger, number: number): ApiError {
  const kept = ledger.all().map((revision) => revision.Number);
  return new ApiError(
    'NOT_FOUND',
    `service ${service.Spec.Name} has no revision ${number}: it keeps ${kept.join(', ')}`,
  );
}

function nextIteration(service: Service, nowMs: number): Service {
  const iteration = (service.JobStatus?.JobIteration.Index ?? 0) + 1;
  return {
    ...service,
    JobStatus: { JobIteration: { Index: iteration }, LastExecution: formatTime(nowMs) },
  };
}
