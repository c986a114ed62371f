import type { ManagerStatus, Node, NodeStatus } from '@swarm/api';
import { roleChange } from '../../role-manager/role-change.js';
import type { ManagerAccess, ManagerMember } from '../manager-access.js';
import { notesOf, withPathNotes } from './path-notes.js';
import { withConflicts } from './port-conflicts.js';
import { presentVersion } from './version.js';

/**
 * A node as the API shows it: with its status as a manager and what a change of its role waits for, without its
 * Raft id.
 */
export function presentNode(
  node: Node,
  members: readonly ManagerMember[],
  manager: Partial<Pick<ManagerAccess, 'roleNote' | 'store'>> = {},
): Node {
  const { RaftID: _, ManagerAddr: __, ManagerStatus: ___, ...rest } = presentVersion(node);
  const member = memberOf(members, node.ID);
  const change = roleChange(node, member, manager.roleNote?.(node.ID));
  const notes = manager.store === undefined ? [] : notesOf(manager.store, node);
  const status = withPathNotes(withConflicts(node), notes);
  const shown = { ...rest, Status: change === undefined ? status : withMessage(status, change) };
  // One that is still joining is no manager yet.
  if (member === undefined || member.learner === true) return shown;
  const place: ManagerStatus = {
    ...(member.leader && { Leader: true }),
    Reachability: member.reachability,
    Addr: member.address,
  };
  return { ...shown, ManagerStatus: place };
}

/** The node's place in the Raft group. It has two while it comes back under a new id: the voter counts. */
export function memberOf(
  members: readonly ManagerMember[],
  nodeId: string,
): ManagerMember | undefined {
  const own = members.filter((one) => one.nodeId === nodeId);
  return own.find(({ learner }) => learner !== true) ?? own[0];
}

function withMessage(status: NodeStatus, more: string): NodeStatus {
  const { Message } = status;
  return { ...status, Message: Message === undefined ? more : `${Message}; ${more}` };
}
