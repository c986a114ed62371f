import type { ManagerAddress } from '@swarm/api';
import type { View } from '../store/store.js';

/** Where agents find managers: every node whose certificate makes it one and that told its address. */
export function managerAddresses(view: View): ManagerAddress[] {
  const managers: ManagerAddress[] = [];
  for (const node of view.list('node')) {
    if (node.Role !== 'manager' || node.ManagerAddr === undefined) continue;
    managers.push({ nodeId: node.ID, address: node.ManagerAddr });
  }
  return managers;
}
