import type { Transaction } from '../store/store.js';

/**
 * Makes the node of a member that left the Raft group a worker. As a write of the spec: a client that read the
 * node before has to read it again, or it would ask for a manager again.
 */
export function makeWorker(transaction: Transaction, nodeId: string): void {
  const node = transaction.get('node', nodeId);
  if (node === undefined) return;
  const { RaftID: _id, ManagerAddr: _address, ...rest } = node;
  transaction.updateSpec('node', {
    ...rest,
    Role: 'worker',
    Spec: { ...node.Spec, Role: 'worker' },
  });
}
