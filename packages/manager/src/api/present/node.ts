import type { ManagerStatus, Node } from '@swarm/api';
import type { ManagerMember } from '../manager-access.js';
import { withConflicts } from './port-conflicts.js';
import { presentVersion } from './version.js';

/** A node as the API shows it: with its status as a manager, without its Raft id. */
export function presentNode(node: Node, members: readonly ManagerMember[]): Node {
  const { RaftID: _, ManagerAddr: __, ManagerStatus: ___, ...rest } = presentVersion(node);
  const shown = { ...rest, Status: withConflicts(node) };
  const member = members.find((one) => one.nodeId === node.ID);
  if (member === undefined) return shown;
  const status: ManagerStatus = {
    ...(member.leader && { Leader: true }),
    Reachability: member.reachability,
    Addr: member.address,
  };
  return { ...shown, ManagerStatus: status };
}
