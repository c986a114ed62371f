import type { PortConfig, Revision, Service, Task } from '@swarm/api';
import type { View } from '../store/store.js';
import { isFixed, isIngress } from './publish-conflict.js';

/**
 * The ports that a task publishes: those of its service, or, where it is made of an earlier revision (while
 * an update is paused), those that this revision asks for. A port that the cluster chose for the service is
 * then the same; one that the service no longer has is left out.
 */
export function taskPorts(view: View, task: Task, service: Service): readonly PortConfig[] {
  const ports = service.Endpoint.Ports ?? [];
  const revision = earlierRevision(view, task, service);
  if (revision === undefined) return ports;
  return (revision.Spec.EndpointSpec?.Ports ?? []).flatMap((port) => {
    if (isFixed(port) || !isIngress(port)) return [port];
    const given = ports.find(
      (one) =>
        isIngress(one) && one.Protocol === port.Protocol && one.TargetPort === port.TargetPort,
    );
    return given === undefined ? [] : [given];
  });
}

/** The revision that the task is made of, unless its service is of the same spec. */
export function earlierRevision(view: View, task: Task, service: Service): Revision | undefined {
  if (task.SpecVersion.Index === service.SpecVersion.Index) return undefined;
  for (const revision of view.revisionsByService(service.ID)) {
    if (revision.SpecVersion.Index === task.SpecVersion.Index) return revision;
  }
  return undefined;
}
