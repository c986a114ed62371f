import {
  isJobMode,
  type Mode,
  modeOf,
  type Service,
  type ServiceSpec,
  type ShownService,
  type Task,
  withDefaults,
} from '@swarm/api';
import { RevisionLedger, rolledBackSpec } from '../../orchestrator/revisions.js';
import type { View } from '../../store/store.js';
import { conflictsOf } from './port-conflicts.js';
import { presentVersion } from './version.js';

/** A spec as clients may see it: without registry credentials. */
export function presentSpec(spec: ServiceSpec): ServiceSpec {
  const { RegistryAuth: _, ...task } = spec.TaskTemplate;
  return { ...spec, TaskTemplate: task };
}

export interface ServiceOptions {
  /** Write out the defaults that apply. */
  readonly insertDefaults?: boolean;
  /** Count the tasks. */
  readonly status?: boolean;
}

/** The spec that a rollback would go to. */
export function previousSpec(view: View, service: Service): ServiceSpec | undefined {
  // Fast path: it never changed.
  if (service.Revisions === undefined && service.PreviousSpec === undefined) return undefined;
  const target = new RevisionLedger(view, service, 0).rollbackTarget();
  return target === undefined ? undefined : rolledBackSpec(service, target);
}

/** A service as the API shows it. */
export function presentService(
  view: View,
  service: Service,
  { insertDefaults = false, status = false }: ServiceOptions = {},
): ShownService {
  const {
    PreviousSpec: _,
    PreviousSpecVersion: __,
    Creation: ___,
    ...shown
  } = presentVersion(service);
  const previous = previousSpec(view, service);
  const spec = presentSpec(service.Spec);
  const PortConflicts = conflictsOf(view, service);
  return {
    ...shown,
    Spec: insertDefaults ? withDefaults(spec) : spec,
    ...(previous !== undefined && {
      PreviousSpec: insertDefaults ? withDefaults(presentSpec(previous)) : presentSpec(previous),
    }),
    ...(PortConflicts !== undefined && { PortConflicts }),
    ...(status && { ServiceStatus: countTasks(service, view.tasksByService(service.ID)) }),
  };
}

/** The numbers of `service ls`. */
export function countTasks(
  service: Service,
  tasks: Iterable<Task>,
): NonNullable<Service['ServiceStatus']> {
  const mode = modeOf(service.Spec);
  const isJob = isJobMode(mode);
  const iteration = service.JobStatus?.JobIteration.Index ?? 0;
  // A job's tasks are wanted until they are complete. Tasks of earlier runs do not count.
  const goal = isJob ? 'complete' : 'running';
  let running = 0;
  let wanted = 0;
  let completed = 0;
  for (const task of tasks) {
    if (isJob && (task.JobIteration?.Index ?? 0) !== iteration) continue;
    // Clients of global jobs add the completed tasks to the wanted ones.
    const counted = mode.kind === 'global-job' && task.Status.State === 'complete';
    if (task.DesiredState === goal && !counted) {
      wanted += 1;
      if (task.Status.State === 'running') running += 1;
    }
    if (isJob && task.Status.State === 'complete') completed += 1;
  }
  return {
    RunningTasks: running,
    DesiredTasks: desiredTasks(mode) ?? wanted,
    CompletedTasks: completed,
  };
}

/** The number that the spec gives; undefined where it depends on the nodes. */
function desiredTasks(mode: Mode): number | undefined {
  if (mode.kind === 'replicated') return mode.replicas;
  return mode.kind === 'replicated-job' ? mode.maxConcurrent : undefined;
}
