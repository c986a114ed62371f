import {
  compareStates,
  type EndpointSpec,
  type Node,
  type PortConfig,
  type Service,
  type Task,
  type TaskSpec,
} from '@swarm/api';
import { isUnguarded } from '../allocator/enforces-rules.js';
import { meansSame } from './means-same.js';
import { constraintsMeaning, taskMeaning } from './task-meaning.js';
import type { NodeMatcher } from './placement.js';

/** How far a task's spec is from its service's. */
export type SpecDifference = 'none' | 'credentials' | 'constraints' | 'other';

/** Compares specs. The result holds as long as neither object's spec changes. */
export function specDifference(service: Service, task: Task): SpecDifference {
  if (service.SpecVersion.Index === task.SpecVersion.Index) return 'none';
  if (service.Spec.TaskTemplate === task.Spec) return 'none';
  const wanted = parts(service.Spec.TaskTemplate);
  const found = parts(task.Spec);
  if (!meansSame(wanted.rest, found.rest)) return 'other';
  const isPlaced = meansSame(wanted.constraints, found.constraints);
  const isKnown = meansSame(wanted.credentials, found.credentials);
  if (!isPlaced) return isKnown ? 'constraints' : 'other';
  return isKnown ? 'none' : 'credentials';
}

/** A spec by what differences in it mean. */
function parts({ RegistryAuth, Placement, ...rest }: TaskSpec) {
  const { Constraints, ...placement } = Placement ?? {};
  return {
    rest: taskMeaning({ ...rest, Placement: placement }),
    constraints: constraintsMeaning(Constraints),
    credentials: RegistryAuth,
  };
}

/**
 * Whether an update has to replace the task (SwarmKit orchestrator/task.go IsTaskDirty). A task of the
 * service's SpecVersion is clean, and so is one that would come out the same, in whatever words (`taskMeaning`):
 * new labels, replicas and settings of update, restart and stop replace nothing; new constraints restart nothing while the node satisfies them; new
 * registry credentials restart nothing that has pulled its image. Rules about who may connect replace a task only
 * where its node does not enforce them.
 * @param difference `specDifference(service, task)`, which callers may cache
 */
export function isTaskDirty(
  service: Service,
  task: Task,
  node: Node | undefined,
  nodeMatches: NodeMatcher,
  difference: SpecDifference = specDifference(service, task),
): boolean {
  if (service.SpecVersion.Index === task.SpecVersion.Index) return false;
  if (difference === 'other' || isUnguarded(service, node)) return true;
  if (difference === 'constraints' && (node === undefined || !nodeMatches(service, node)))
    return true;
  if (difference === 'credentials') {
    const state = task.Status.State;
    if (compareStates(state, 'ready') < 0 || compareStates(state, 'running') > 0) return true;
  }
  // A task has no ports to compare before the allocator has seen it.
  return task.Status.State !== 'new' && !hasPorts(task.Endpoint.Ports, service.Spec.EndpointSpec);
}

/** Whether the allocated ports are those the spec asks for; a port it leaves open may be any. */
function hasPorts(allocated: readonly PortConfig[], spec: EndpointSpec | undefined): boolean {
  const left = [...allocated];
  const wanted = [...(spec?.Ports ?? [])];
  if (left.length !== wanted.length) return false;
  // Fixed ports first: an open one must not take what a fixed one needs.
  wanted.sort((a, b) => Number(b.PublishedPort ?? 0) - Number(a.PublishedPort ?? 0));
  return wanted.every((port) => {
    const index = left.findIndex(
      (other) =>
        other.Protocol === port.Protocol &&
        other.TargetPort === port.TargetPort &&
        other.PublishMode === port.PublishMode &&
        // Nodes learn an ingress port's address with the mesh, not with its tasks.
        (port.PublishMode === 'ingress' || other.HostIP === port.HostIP) &&
        (!port.PublishedPort || other.PublishedPort === port.PublishedPort),
    );
    if (index < 0) return false;
    left.splice(index, 1);
    return true;
  });
}
