import type { Node } from '@swarm/api';

/**
 * Says how far a change of role is, and what it waits for; undefined while a node has the role that it should
 * have. Goes by what is: the spec is the wish, `Role` the certificate, and the member its place in the Raft
 * group.
 * @param why what the leader last met with on the way
 */
export function roleChange(
  { Spec, Role, Status }: Pick<Node, 'Spec' | 'Role' | 'Status'>,
  member: { readonly learner?: boolean } | undefined,
  why: string | undefined,
): string | undefined {
  const isUp = Status.State === 'ready';
  if (Spec.Role === 'worker') {
    if (member !== undefined)
      return `being demoted: ${why === undefined ? 'it leaves the managers' : `it cannot leave the managers yet (${why})`}`;
    // One that is down gets its certificate when it is back; until then nothing waits for it.
    if (Role === 'worker' || !isUp) return undefined;
    return "being demoted: it has left the managers and fetches a worker's certificate";
  }
  if (member !== undefined && member.learner !== true) return undefined;
  const failed = why === undefined ? '' : ` (last try: ${why})`;
  if (!isUp) return `being promoted: it becomes a manager once it is back${failed}`;
  if (member !== undefined) return `being promoted: it copies the managers' state${failed}`;
  if (Role === 'worker') return `being promoted: it fetches a manager's certificate${failed}`;
  return `being promoted: it has a manager's certificate, and joins the managers${failed}; 'docker info' on it says what it waits for`;
}
