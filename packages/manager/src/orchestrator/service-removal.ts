import type { Service } from '@swarm/api';
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
