import { type Node, runtimeCapabilities } from '@swarm/api';

/** Whether the node keeps out those whom no rule of a service admits (`EndpointSpec.Allow`). */
export function enforcesRules({ Description }: Node): boolean {
  return Description !== undefined && runtimeCapabilities(Description).includes('network-overlay');
}
