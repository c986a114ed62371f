import type { Node } from '@swarm/api';

/**
 * Whether a node reads the log, or will. One that was demoted while it was down keeps its certificate, and its
 * `Role`, for ever.
 */
export function countsAsManager({ Spec, RaftID }: Node): boolean {
  return Spec.Role === 'manager' || RaftID !== undefined;
}
