import { isTerminal, type Service } from '@swarm/api';
import { nodeNameOf } from '../store/object-keys.js';
import type { Transaction, View } from '../store/store.js';
import type { Pass } from './pass.js';
import { isLost } from './placement.js';
import { isRevisionId } from './revisions.js';
import { SERVICE_REMOVED, stopTask } from './stop.js';

/** Whether the removal loop is in charge of the service. No other orchestrator then touches it. */
export function isPendingDelete(service: Service): boolean {
  return service.PendingDelete === true;
}

/**
 * Deletes a service: sets all its tasks to REMOVE, waits for the reaper to delete them once they have
 * stopped, and removes the service with its revisions after the last one. Only then are its name and ports
 * free, so nothing that takes them can meet what is left of it (MB#29293, #32552).
 *
 * It waits for no task on a node that is down: nobody knows when, or whether, the node comes back. Such a task
 * stays in the store without a service, with its addresses and whatever else it holds of its node. When the
 * node is back, it stops the task before it starts others, and the reaper deletes it.
 */
export function removeService(pass: Pass): void {
  let left = 0;
  for (const task of pass.tx.tasksByService(pass.service.ID)) {
    if (!isLost(pass.tx, task)) left++;
    if (task.DesiredState === 'remove') continue;
    if (!pass.hasRoom(1)) return;
    pass.stop(task, SERVICE_REMOVED, 'remove');
  }
  if (left > 0) return;
  for (const id of revisionIds(pass.tx, pass.service.ID)) {
    if (!pass.hasRoom(1)) return;
    pass.removeRevision(id);
  }
  if (pass.hasRoom(1)) pass.tx.remove('service', pass.service.ID);
}

/** What a service that is being removed waits for, as a sentence for who wants its name or port. */
export function removalWait(view: View, serviceId: string): string {
  const left = [...view.tasksByService(serviceId)].filter(
    (task) => !isTerminal(task.Status.State) && !isLost(view, task),
  );
  const [first] = left;
  if (first === undefined) return 'it is being removed, try again in a moment';
  const node = view.get('node', first.NodeID ?? '');
  const where = (node && nodeNameOf(node)) ?? first.NodeID ?? 'no node';
  const more = left.length === 1 ? '' : `, and ${left.length - 1} more`;
  return `it is being removed, and its task ${first.ID} still stops on ${where}${more}: try again when it has stopped`;
}

/** Ids of the service's revisions, unreadable ones included. */
function revisionIds(view: View, serviceId: string): string[] {
  const readable = [...view.revisionsByService(serviceId)].map(({ ID }) => ID);
  const aside = [...view.allSetAside('revision')].map(({ id }) => id);
  return [...readable, ...aside.filter((id) => isRevisionId(id, serviceId))];
}

/** Tasks of an unreadable service changed in one transaction. Few, because their specs may be large. */
const UNREADABLE_STEP = 50;

/**
 * Makes one step in removing a service that cannot be read: sets its tasks to REMOVE, then removes it. No
 * loop is in charge of such a service, and readers get no event for it, so the caller does the work.
 * @param nowMs time of the store
 * @returns whether this was the last step
 */
export function removeUnreadable(tx: Transaction, serviceId: string, nowMs: number): boolean {
  let left = UNREADABLE_STEP;
  for (const task of tx.tasksByService(serviceId)) {
    if (task.DesiredState === 'remove') continue;
    if (left === 0) return false;
    left -= 1;
    tx.update('task', stopTask(task, 'remove', SERVICE_REMOVED, nowMs));
  }
  for (const id of revisionIds(tx, serviceId)) tx.remove('revision', id);
  tx.remove('service', serviceId);
  return true;
}
