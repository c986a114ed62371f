import type { Cluster, Node } from '@swarm/api';
import type { Transaction } from '../store/store.js';

/** Certificates of removed nodes are refused this long beyond their end: clocks of hosts differ. */
const REFUSE_AFTER_EXPIRY_MS = 7 * 24 * 60 * 60 * 1000;
/** When a certificate's end is not known: as long as the longest default life. */
const UNKNOWN_LIFE_MS = 90 * 24 * 60 * 60 * 1000;

/**
 * Removes a node, and sees to it that its certificate is refused from then on, in one transaction. What
 * may be removed is the caller's to check; its tasks and its Raft member are left to the role manager.
 */
export function removeNode(transaction: Transaction, nodeId: string, nowMs: number): void {
  const node = transaction.get('node', nodeId);
  if (node === undefined) return;
  refuseNode(transaction, node, nowMs);
  transaction.remove('node', nodeId);
}

/** Refuses the certificates of a node that is gone. Does nothing when they are refused already. */
export function refuseNode(
  transaction: Transaction,
  node: Pick<Node, 'ID' | 'CertificateExpiresAt'>,
  nowMs: number,
): void {
  const cluster = transaction.cluster();
  if (cluster === undefined || Object.hasOwn(cluster.Private.RemovedNodes, node.ID)) return;
  const expires = Date.parse(node.CertificateExpiresAt ?? '');
  const untilMs =
    (Number.isNaN(expires) ? nowMs + UNKNOWN_LIFE_MS : expires) + REFUSE_AFTER_EXPIRY_MS;
  updateRemoved(transaction, cluster, {
    ...cluster.Private.RemovedNodes,
    [node.ID]: { Until: new Date(untilMs).toISOString() },
  });
}

/** Forgets removed nodes whose certificates have expired. */
export function pruneRemoved(transaction: Transaction, nowMs: number): void {
  const cluster = transaction.cluster();
  if (cluster === undefined) return;
  const removed = Object.entries(cluster.Private.RemovedNodes);
  const kept = removed.filter(([, { Until }]) => Date.parse(Until) > nowMs);
  if (kept.length < removed.length) updateRemoved(transaction, cluster, Object.fromEntries(kept));
}

function updateRemoved(
  transaction: Transaction,
  cluster: Cluster,
  RemovedNodes: Cluster['Private']['RemovedNodes'],
): void {
  transaction.update('cluster', { ...cluster, Private: { ...cluster.Private, RemovedNodes } });
}
