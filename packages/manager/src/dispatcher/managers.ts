import { formatHostPort, type ManagerAddress, parseHostPort } from '@swarm/api';
import type { View } from '../store/store.js';

/** Where agents find managers: every one that has its certificate and told its address. */
export function managerAddresses(view: View): ManagerAddress[] {
  const managers: ManagerAddress[] = [];
  for (const node of view.managers()) {
    if (node.Role !== 'manager') continue;
    // Agents dial it, so skips what is not an address.
    const address = parseHostPort(node.ManagerAddr);
    if (address !== undefined) managers.push({ nodeId: node.ID, address: formatHostPort(address) });
  }
  return managers;
}
