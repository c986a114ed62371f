import type { Cluster, Node } from '@swarm/api';
import { isRemoved } from '../ca/removed.js';
import type { Transaction, View } from '../store/store.js';

/** How long past its expiry a removed node's certificate is refused: clocks of hosts differ. */
const REFUSE_AFTER_EXPIRY_MS = 7 * 24 * 60 * 60 * 1000;
/** Entries that one transaction moves. */
const AT_ONCE = 100;
/** Assumed lifetime of a certificate whose expiry is unknown: the longest default. */
const UNKNOWN_LIFE_MS = 90 * 24 * 60 * 60 * 1000;

/**
 * Removes a node and refuses its certificate from then on, in one transaction. The caller checks that the
 * node may be removed; the role manager cleans up its tasks and its Raft member.
 */
export function removeNode(transaction: Transaction, nodeId: string, nowMs: number): void {
  const node = transaction.get('node', nodeId);
  if (node === undefined) return;
  refuseNode(transaction, node, nowMs);
  transaction.remove('node', nodeId);
}

/** Refuses the certificates of a removed node, unless they are refused already. */
export function refuseNode(
  transaction: Transaction,
  node: Pick<Node, 'ID' | 'CertificateExpiresAt'>,
  nowMs: number,
): void {
  if (transaction.cluster() === undefined || isRemoved(transaction, node.ID)) return;
  const expires = Date.parse(node.CertificateExpiresAt ?? '');
  const untilMs =
    (Number.isNaN(expires) ? nowMs + UNKNOWN_LIFE_MS : expires) + REFUSE_AFTER_EXPIRY_MS;
  const Until = new Date(untilMs).toISOString();
  transaction.create('removed-node', { ID: node.ID, Until });
}

/**
 * Makes entries of the cluster's object, from before feature level 4, objects of their own.
 * @returns whether there may be more
 */
export function moveRemoved(transaction: Transaction): boolean {
  const cluster = transaction.cluster();
  if (cluster === undefined) return false;
  const all = Object.entries(cluster.Private.RemovedNodes);
  if (all.length === 0) return false;
  for (const [ID, { Until }] of all.slice(0, AT_ONCE)) {
    if (transaction.get('removed-node', ID) === undefined)
      transaction.create('removed-node', { ID, Until });
  }
  updateRemoved(transaction, cluster, Object.fromEntries(all.slice(AT_ONCE)));
  return all.length > AT_ONCE;
}

/** Ids of removed nodes whose certificates have expired: they may be forgotten. Looks at all. */
export function expiredRemoved(view: View, nowMs: number): string[] {
  const expired: string[] = [];
  for (const { ID, Until } of view.list('removed-node')) {
    if (Date.parse(Until) <= nowMs) expired.push(ID);
  }
  return expired;
}

function updateRemoved(
  transaction: Transaction,
  cluster: Cluster,
  RemovedNodes: Cluster['Private']['RemovedNodes'],
): void {
  transaction.update('cluster', { ...cluster, Private: { ...cluster.Private, RemovedNodes } });
}
