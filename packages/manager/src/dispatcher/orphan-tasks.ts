import { compareStates, type Task, type TaskStatus } from '@swarm/api';
import { formatTime, laterTime } from '../orchestrator/time.js';
import type { View } from '../store/store.js';
import type { BatchWriter, Change } from './batch-writer.js';

/**
 * Marks as orphaned all tasks that might still run on a node that will not report again.
 * @param now time of the store, milliseconds
 * @param stillWanted called for each try of a write: the node may have come back
 */
export async function orphanTasks(
  view: View,
  writer: BatchWriter,
  nodeId: string,
  message: string,
  now: () => number,
  stillWanted: () => boolean = () => true,
): Promise<void> {
  const changes: Change[] = [];
  for (const { ID } of view.tasksByNode(nodeId)) {
    changes.push((transaction) => {
      const task = transaction.get('task', ID);
      if (task === undefined || !mayRun(task) || !stillWanted()) return;
      const time = now();
      const Status: TaskStatus = {
        ...task.Status,
        State: 'orphaned',
        Message: message,
        Timestamp: laterTime(task.Status.Timestamp, time),
        AppliedAt: formatTime(time),
      };
      transaction.update('task', { ...task, Status });
    });
  }
  await writer.write(changes);
}

/** Whether a node may have the task, and has not said how it ended. */
export function mayRun(task: Task): boolean {
  const { State } = task.Status;
  return compareStates(State, 'assigned') >= 0 && compareStates(State, 'running') <= 0;
}
