import type { Service, ServiceSpec, Task } from '@swarm/api';
import { withDefaults } from '@swarm/api';
import type { View } from '../../store/store.js';

/** A spec as clients may see it: without registry credentials. */
export function presentSpec(spec: ServiceSpec): ServiceSpec {
  const { RegistryAuth: _, ...task } = spec.TaskTemplate;
  return { ...spec, TaskTemplate: task };
}

export interface ServiceOptions {
  /** Write out the defaults that hold. */
  readonly insertDefaults?: boolean;
  /** Count the tasks. */
  readonly status?: boolean;
}

/** A service as the API shows it. */
export function presentService(
  view: View,
  service: Service,
  { insertDefaults = false, status = false }: ServiceOptions = {},
): Service {
  const { PreviousSpec: previous, PreviousSpecVersion: _, ...shown } = service;
  const spec = presentSpec(service.Spec);
  return {
    ...shown,
    Spec: insertDefaults ? withDefaults(spec) : spec,
    ...(previous !== undefined && {
      PreviousSpec: insertDefaults ? withDefaults(presentSpec(previous)) : presentSpec(previous),
    }),
    ...(status && { ServiceStatus: countTasks(service, view.tasksByService(service.ID)) }),
  };
}

/** The numbers of `service ls`. */
export function countTasks(
  service: Service,
  tasks: Iterable<Task>,
): NonNullable<Service['ServiceStatus']> {
  const { Replicated: replicated, ReplicatedJob: job, GlobalJob: globalJob } = service.Spec.Mode;
  const isJob = job !== undefined || globalJob !== undefined;
  const iteration = service.JobStatus?.JobIteration.Index ?? 0;
  // A job's tasks are wanted until they are complete; those of earlier runs count no more.
  const goal = isJob ? 'complete' : 'running';
  let running = 0;
  let wanted = 0;
  let completed = 0;
  for (const task of tasks) {
    if (isJob && (task.JobIteration?.Index ?? 0) !== iteration) continue;
    // Clients of global jobs add the completed tasks to the wanted ones.
    const counted = globalJob !== undefined && task.Status.State === 'complete';
    if (task.DesiredState === goal && !counted) {
      wanted += 1;
      if (task.Status.State === 'running') running += 1;
    }
    if (isJob && task.Status.State === 'complete') completed += 1;
  }
  return {
    RunningTasks: running,
    DesiredTasks: replicated?.Replicas ?? job?.MaxConcurrent ?? wanted,
    CompletedTasks: completed,
  };
}
