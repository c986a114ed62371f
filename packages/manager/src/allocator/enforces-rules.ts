import { type Node, runtimeCapabilities, type Service } from '@swarm/api';

/** Whether the node keeps out those whom no rule of a service admits (`EndpointSpec.Allow`). */
export function enforcesRules({ Description }: Node): boolean {
  return Description !== undefined && runtimeCapabilities(Description).includes('network-overlay');
}

/** Whether the service says who may connect to its tasks, and nobody enforces that on the node. */
export function isUnguarded({ Spec }: Pick<Service, 'Spec'>, node: Node | undefined): boolean {
  return Spec.EndpointSpec?.Allow !== undefined && node !== undefined && !enforcesRules(node);
}
