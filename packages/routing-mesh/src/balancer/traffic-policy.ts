import type { TrafficPolicy } from '../port-options.js';

/**
 * The endpoints that a node leads its clients to.
 * @param nodeId the node's own
 */
export function eligible<T extends { readonly nodeId: string }>(
  endpoints: readonly T[],
  policy: TrafficPolicy,
  nodeId: string,
): readonly T[] {
  if (policy === 'cluster') return endpoints;
  const own = endpoints.filter((endpoint) => endpoint.nodeId === nodeId);
  return policy === 'local' || own.length > 0 ? own : endpoints;
}
