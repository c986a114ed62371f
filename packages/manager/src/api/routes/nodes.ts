import {
  ApiError,
  type Cluster,
  decodeNodeSpec,
  isTerminal,
  type Node,
  nodeFilters,
  parseObjectVersion,
} from '@swarm/api';
import type { Transaction, View } from '../../store/store.js';
import { FORWARDED_HEADER, write, writeAgain } from '../gate.js';
import { find } from '../lookup.js';
import type { ManagerAccess, ManagerMember } from '../node-control.js';
import { presentNode } from '../present/node.js';
import { flagOf } from '../query.js';
import { sendEmpty, sendJson } from '../reply.js';
import type { Call, Route } from '../router.js';

/** Tasks orphaned by one transaction; the node and the cluster go with the first. */
const ORPHANS_PER_TRANSACTION = 150;
/** A removed node's certificate is refused this long past its end, against clocks that differ. */
const REMOVED_MARGIN_MS = 7 * 24 * 3600 * 1000;
/** When the node never said when its certificate ends: the longest that Docker's default gives. */
const CERTIFICATE_LIFE_MS = 90 * 24 * 3600 * 1000;

function list(call: Call, manager: ManagerAccess): void {
  const matches = nodeFilters(call.target.query.get('filters'));
  const members = manager.members();
  const nodes = [...manager.store.list('node')].filter(matches);
  sendJson(
    call.response,
    nodes.map((node) => presentNode(node, members)),
  );
}

/** The node a request means; `self` is the node the client talks to, also when it forwarded. */
function target(call: Call, view: View): Node {
  const given = call.params.id!;
  if (given !== 'self') return find(view, 'node', given);
  const forwardedBy = call.request.headers[FORWARDED_HEADER];
  const self =
    call.identity.kind === 'node' && typeof forwardedBy === 'string'
      ? forwardedBy
      : call.services.control.info().nodeId;
  return find(view, 'node', self);
}

function inspect(call: Call, manager: ManagerAccess): void {
  sendJson(call.response, presentNode(target(call, manager.store), manager.members()));
}

async function update(call: Call, manager: ManagerAccess): Promise<void> {
  const version = parseObjectVersion(call.target.query.get('version'), 'node');
  const spec = decodeNodeSpec(await call.services.bodies.readJson(call.request));
  await write(call.services, manager, (transaction) => {
    const node = target(call, transaction);
    if (node.Version.Index !== version) {
      throw new ApiError('OUT_OF_SEQUENCE', 'update out of sequence');
    }
    if (node.Spec.Role === 'manager' && spec.Role === 'worker') {
      checkDemotion(transaction, node, manager.members());
    }
    if (node.Spec.Role === 'worker' && spec.Role === 'manager' && node.Status.State !== 'ready') {
      throw new ApiError(
        'FAILED_PRECONDITION',
        `node ${node.ID} is ${node.Status.State}: only a node that is ready can become a manager`,
      );
    }
    transaction.update('node', { ...node, Spec: spec });
  });
  sendEmpty(call.response);
}

/**
 * A manager may stop being one when the others that can be reached are still a majority.
 * @throws ApiError FAILED_PRECONDITION
 */
export function checkDemotion(view: View, node: Node, members: readonly ManagerMember[]): void {
  const managers = [...view.list('node')].filter((one) => one.Spec.Role === 'manager');
  if (managers.length <= 1) {
    throw new ApiError(
      'FAILED_PRECONDITION',
      'attempting to demote the last manager of the swarm; promote another node first',
    );
  }
  // Those whose demotion is under way count as gone already.
  const staying = members.filter(
    (member) =>
      member.nodeId !== node.ID && managers.some((manager) => manager.ID === member.nodeId),
  );
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
  const nodeId = await writeAgain(services, manager, (transaction) => {
    const node = target(call, transaction);
    checkRemoval(node, manager.members(), force);
    refuseCertificate(transaction, node, services.clock.now());
    orphanTasks(transaction, node.ID, services.clock.now());
    transaction.remove('node', node.ID);
    return node.ID;
  });
  // Each write is one log entry of limited size, so the tasks of a full node take a few.
  let more = true;
  while (more) {
    more = await writeAgain(services, manager, (transaction) =>
      orphanTasks(transaction, nodeId, services.clock.now()),
    );
  }
  sendEmpty(call.response);
}

function checkRemoval(node: Node, members: readonly ManagerMember[], force: boolean): void {
  if (node.Spec.Role === 'manager' || members.some((member) => member.nodeId === node.ID)) {
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

/** Removed nodes are remembered for as long as their certificate could still be shown. */
function refuseCertificate(transaction: Transaction, node: Node, nowMs: number): void {
  const cluster = transaction.cluster() as Cluster;
  const ends =
    node.CertificateExpiresAt === undefined
      ? nowMs + CERTIFICATE_LIFE_MS
      : Date.parse(node.CertificateExpiresAt);
  const kept = Object.entries(cluster.Private.RemovedNodes).filter(
    ([, { Until }]) => Date.parse(Until) > nowMs,
  );
  transaction.update('cluster', {
    ...cluster,
    Private: {
      ...cluster.Private,
      RemovedNodes: {
        ...Object.fromEntries(kept),
        [node.ID]: { Until: new Date(ends + REMOVED_MARGIN_MS).toISOString() },
      },
    },
  });
}

/** Nobody will report on the tasks of a removed node again. Returns whether any were left. */
function orphanTasks(transaction: Transaction, nodeId: string, nowMs: number): boolean {
  let count = 0;
  for (const task of [...transaction.tasksByNode(nodeId)]) {
    if (isTerminal(task.Status.State)) continue;
    if (count === ORPHANS_PER_TRANSACTION) return true;
    const now = new Date(nowMs).toISOString();
    transaction.update('task', {
      ...task,
      Status: {
        ...task.Status,
        State: 'orphaned',
        Timestamp: now,
        AppliedAt: now,
        Message: 'the node of the task was removed from the cluster',
      },
    });
    count += 1;
  }
  return false;
}

export const nodeRoutes: readonly Route[] = [
  // Only the leader hears of every manager, so it says which can be reached.
  { method: 'GET', pattern: '/nodes', on: 'leader', handle: list },
  { method: 'GET', pattern: '/nodes/{id}', on: 'leader', handle: inspect },
  { method: 'DELETE', pattern: '/nodes/{id}', on: 'leader', handle: remove },
  { method: 'POST', pattern: '/nodes/{id}/update', on: 'leader', handle: update },
];
