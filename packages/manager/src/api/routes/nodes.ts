import {
  ApiError,
  checkNodeLabels,
  decodeNodeSpec,
  featureLevelProblem,
  type Node,
  nodeFilters,
  parseObjectVersion,
  pause,
  UNNAMED_PROGRAM,
} from '@swarm/api';
import { flagOf, sendEmpty, sendJson } from '@swarm/http';
import { refuseNode, removeNode } from '../../role-manager/remove-node.js';
import { levelOf } from '../../store/feature-levels.js';
import type { Transaction, View } from '../../store/store.js';
import { requireVersion, writeAgain } from '../gate.js';
import { find } from '../lookup.js';
import type { ManagerAccess, ManagerMember } from '../manager-access.js';
import { presentEach } from '../present/each.js';
import { memberOf, presentNode } from '../present/node.js';
import type { Call, Route } from '../router.js';

const DEPARTURE_POLL_MS = 50;

function list(call: Call, manager: ManagerAccess): void {
  const matches = nodeFilters(call.target.query.get('filters'));
  const members = manager.members();
  const nodes = manager.store.list('node');
  const { aside } = call.services;
  sendJson(
    call.response,
    presentEach(aside, 'node', nodes, matches, (node) => presentNode(node, members, manager)),
  );
}

/** The node that a request names. `self` is the node the client talks to, also when it forwards the request. */
function target(call: Call, view: View): Node {
  const given = call.params.id!;
  if (given !== 'self') return find(view, 'node', given);
  return find(view, 'node', call.caller.forwardedBy ?? call.services.self.nodeId);
}

function inspect(call: Call, manager: ManagerAccess): void {
  sendJson(call.response, presentNode(target(call, manager.store), manager.members(), manager));
}

async function update(call: Call, manager: ManagerAccess): Promise<void> {
  const version = parseObjectVersion(call.target.query.get('version'), 'node');
  const spec = decodeNodeSpec(await call.services.bodies.readJson(call.request));
  await writeAgain(call.services, manager, (transaction) => {
    const node = target(call, transaction);
    requireVersion(node, version);
    checkNodeLabels(spec.Labels, node.Spec.Labels);
    if (node.Spec.Role === 'manager' && spec.Role === 'worker') {
      checkDemotion(transaction, node, manager.members());
    }
    if (node.Spec.Role === 'worker' && spec.Role === 'manager' && node.Status.State !== 'ready') {
      throw new ApiError(
        'FAILED_PRECONDITION',
        `node ${node.ID} is ${node.Status.State}: only a node that is ready can become a manager`,
      );
    }
    if (node.Spec.Role === 'worker' && spec.Role === 'manager') checkPromotion(transaction, node);
    transaction.updateSpec('node', { ...node, Spec: spec });
  });
  sendEmpty(call.response);
}

/**
 * Checks that the node's program understands everything the cluster stores, so that it may become a manager.
 * @throws ApiError FAILED_PRECONDITION when it does not
 */
function checkPromotion(view: View, { ID, Description }: Node): void {
  const program = Description?.Program ?? UNNAMED_PROGRAM;
  const problem = featureLevelProblem(`node ${ID}`, program, levelOf(view.cluster()));
  if (problem !== undefined) throw new ApiError('FAILED_PRECONDITION', problem);
}

/**
 * Checks that a manager may be demoted: the other managers that can be reached must still be a majority.
 * @throws ApiError FAILED_PRECONDITION when they are not, or when the node is the last manager
 */
export function checkDemotion(view: View, node: Node, members: readonly ManagerMember[]): void {
  const managers = [...view.managers()].filter((one) => one.Spec.Role === 'manager');
  const last = 'attempting to demote the last manager of the swarm';
  if (managers.length <= 1)
    throw new ApiError('FAILED_PRECONDITION', `${last}; promote another node first`);
  const voters = members.filter(({ learner }) => learner !== true);
  // A node that did not join yet has no vote that could be missed.
  if (!voters.some(({ nodeId }) => nodeId === node.ID)) return;
  // Managers whose demotion is under way count as gone.
  const staying = voters.filter(
    (member) =>
      member.nodeId !== node.ID && managers.some((manager) => manager.ID === member.nodeId),
  );
  if (staying.length === 0) {
    const next = managers.find(({ ID }) => ID !== node.ID)!.ID;
    throw new ApiError(
      'FAILED_PRECONDITION',
      `${last}; node ${next} is still being promoted: wait until "docker node ls" shows its MANAGER STATUS`,
    );
  }
  const reachable = staying.filter((member) => member.reachability === 'reachable').length;
  if (reachable >= Math.floor(staying.length / 2) + 1) return;
  throw new ApiError(
    'FAILED_PRECONDITION',
    `can't remove member from the raft: this would result in a loss of quorum (${reachable} of the ` +
      `${staying.length} managers that would be left can be reached); bring the others back first`,
  );
}

async function remove(call: Call, manager: ManagerAccess): Promise<void> {
  const force = flagOf(call.target.query, 'force');
  const { services } = call;
  await untilLeft(call, manager);
  // The role manager marks its tasks as orphaned, and removes what remains of it in the Raft group.
  await writeAgain(services, manager, (transaction) => {
    const aside = transaction.setAside('node', call.params.id!);
    if (aside !== undefined && force) {
      removeUnreadable(transaction, aside.id, manager.members(), services.clock.now());
      return;
    }
    const node = target(call, transaction);
    checkRemoval(node, manager, force);
    removeNode(transaction, node.ID, services.clock.now());
  });
  sendEmpty(call.response);
}

/** Removes a node whose stored object cannot be read: only its id is known. */
function removeUnreadable(
  transaction: Transaction,
  nodeId: string,
  members: readonly ManagerMember[],
  nowMs: number,
): void {
  if (members.some((member) => member.nodeId === nodeId)) {
    throw new ApiError(
      'FAILED_PRECONDITION',
      `node ${nodeId} is a member of the raft cluster: run "docker swarm leave --force" on it first`,
    );
  }
  refuseNode(transaction, { ID: nodeId }, nowMs);
  transaction.remove('node', nodeId);
}

/** Waits while a node that was demoted leaves the Raft group, which mostly takes less than a second. */
async function untilLeft(call: Call, manager: ManagerAccess): Promise<void> {
  const { clock, limits } = call.services;
  const until = clock.monotonicMs() + limits.departureMs;
  const isLeaving = () => {
    // One that cannot be read is not waited for.
    if (manager.store.setAside('node', call.params.id!) !== undefined) return false;
    const { ID, Spec } = target(call, manager.store);
    return Spec.Role === 'worker' && memberOf(manager.members(), ID) !== undefined;
  };
  while (manager.isLeader() && isLeaving()) {
    if (clock.monotonicMs() >= until || call.response.destroyed) return;
    await pause(clock, DEPARTURE_POLL_MS);
  }
}

function checkRemoval(node: Node, manager: ManagerAccess, force: boolean): void {
  const isMember = memberOf(manager.members(), node.ID) !== undefined;
  if (node.Spec.Role === 'worker' && isMember) {
    const why = manager.roleNote?.(node.ID);
    throw new ApiError(
      'FAILED_PRECONDITION',
      `node ${node.ID} was demoted and has not left the managers yet${why === undefined ? '' : ` (${why})`}: ` +
        'try again when its MANAGER STATUS in "docker node ls" is empty',
    );
  }
  if (node.Spec.Role === 'manager' && !isMember) {
    throw new ApiError(
      'FAILED_PRECONDITION',
      `node ${node.ID} is being promoted to a manager: run "docker node demote ${node.ID}" first`,
    );
  }
  if (node.Spec.Role === 'manager') {
    throw new ApiError(
      'FAILED_PRECONDITION',
      `node ${node.ID} is a cluster manager and is a member of the raft cluster. It must be demoted ` +
        'to worker before removal',
    );
  }
  if (!force && node.Status.State === 'ready') {
    throw new ApiError(
      'FAILED_PRECONDITION',
      `node ${node.ID} is not down and can't be removed; run "docker swarm leave" on it first, or use ` +
        '--force',
    );
  }
}

export const nodeRoutes: readonly Route[] = [
  // Only the leader hears from every manager, so only it knows which can be reached.
  { method: 'GET', pattern: '/nodes', on: 'leader', handle: list },
  { method: 'GET', pattern: '/nodes/{id}', on: 'leader', handle: inspect },
  { method: 'DELETE', pattern: '/nodes/{id}', on: 'leader', repeat: 'removal', handle: remove },
  {
    method: 'POST',
    pattern: '/nodes/{id}/update',
    on: 'leader',
    repeat: 'version',
    handle: update,
  },
];
