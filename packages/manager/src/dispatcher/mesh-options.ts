import {
  type ClientLimits,
  type MeshClientLimits,
  type MeshPort,
  type PortConfig,
  REVISION_WEIGHT_DEFAULT,
  type Service,
  type Task,
} from '@swarm/api';
import { specDifference } from '../orchestrator/task-dirty.js';

type Options = Omit<MeshPort, 'protocol' | 'publishedPort' | 'serviceId' | 'endpoints'>;

/** How nodes serve a port; empty unless the service says otherwise than by default. */
export function portOptions(
  { Spec }: Service,
  { HostIP, ClientLimits, ProxyProtocol }: PortConfig,
): Options {
  const { Affinity, TrafficPolicy } = Spec.EndpointSpec ?? {};
  return {
    ...(HostIP !== undefined && { hostIp: HostIP }),
    ...(Affinity !== undefined && { affinity: Affinity }),
    ...(TrafficPolicy !== undefined && { policy: TrafficPolicy }),
    ...(ProxyProtocol !== undefined && { proxyProtocol: ProxyProtocol }),
    ...(ClientLimits !== undefined && { limits: meshLimits(ClientLimits) }),
  };
}

function meshLimits({ Connections, Rate, Per, Burst }: ClientLimits): MeshClientLimits {
  return {
    ...(Connections !== undefined && { connections: Connections }),
    ...(Rate !== undefined && { rate: Rate }),
    ...(Per !== undefined && { per: Per }),
    ...(Burst !== undefined && { burst: Burst }),
  };
}

/** The weight of a task behind its service's virtual addresses, by its revision; undefined: that of all others. */
export function memberWeight(service: Service | undefined, task: Task): number | undefined {
  const weight = service?.Spec.EndpointSpec?.RevisionWeight;
  if (service === undefined || weight === undefined) return undefined;
  return specDifference(service, task) === 'none' ? weight : REVISION_WEIGHT_DEFAULT;
}

/**
 * The weights of tasks by their revision, where they differ: empty unless tasks of the current revision and of
 * others are there.
 */
export function revisionWeights(
  service: Service,
  tasks: readonly Task[],
): ReadonlyMap<string, number> {
  const weight = service.Spec.EndpointSpec?.RevisionWeight;
  if (weight === undefined) return new Map();
  const isCurrent = new Map(
    tasks.map((task) => [task.ID, specDifference(service, task) === 'none']),
  );
  if (new Set(isCurrent.values()).size < 2) return new Map();
  return new Map(
    [...isCurrent].map(([id, current]) => [id, current ? weight : REVISION_WEIGHT_DEFAULT]),
  );
}
