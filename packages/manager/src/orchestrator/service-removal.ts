import type { Service } from '@swarm/api';
import type { Transaction } from '../store/store.js';
import type { Pass } from './pass.js';

/** Whether the removal loop is in charge of the service; no other orchestrator touches it then. */
export function isPendingDelete(service: Service): boolean {
  return service.PendingDelete === true;
}

/**
 * Ends a service that is to be deleted: all its tasks are wished away, the reaper deletes them when they
 * have stopped, and with the last one goes the service. Only then are its name and its ports free, so
 * nothing that takes them can meet what is left of it (MB#29293, #32552).
 */
export function removeService(pass: Pass): void {
  let left = 0;
  for (const task of pass.tx.tasksByService(pass.service.ID)) {
    left++;
    if (task.DesiredState === 'remove') continue;
    if (!pass.hasRoom(1)) return;
    pass.setDesired(task, 'remove');
  }
  if (left === 0) pass.tx.remove('service', pass.service.ID);
}

/** Tasks of an unreadable service that one transaction takes leave of: their specs may be of any size. */
const UNREADABLE_STEP = 50;

/**
 * One step in the removal of a service that can not be read, of which no loop is in charge: its tasks are wished
 * away, then it goes. Readers hear nothing of that, so the tasks can not be left to be found.
 * @returns whether that was the last step
 */
export function removeUnreadable(tx: Transaction, serviceId: string): boolean {
  let left = UNREADABLE_STEP;
  for (const task of tx.tasksByService(serviceId)) {
    if (task.DesiredState === 'remove') continue;
    if (left === 0) return false;
    left -= 1;
    tx.update('task', { ...task, DesiredState: 'remove' });
  }
  tx.remove('service', serviceId);
  return true;
}
