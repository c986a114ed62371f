import type { Cluster, Node } from '@swarm/api';
import type { Transaction } from '../store/store.js';

/** How long past its expiry a removed node's certificate is refused: clocks of hosts differ. */
const REFUSE_AFTER_EXPIRY_MS = 7 * 24 * 60 * 60 * 1000;
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
