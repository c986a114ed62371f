import { type Task, taskFilters } from '@swarm/api';
import { sendJson } from '@swarm/http';
import type { View } from '../../store/store.js';
import { find } from '../lookup.js';
import type { ManagerAccess } from '../manager-access.js';
import { presentEach } from '../present/each.js';
import { presentTask } from '../present/task.js';
import type { Call, Route } from '../router.js';
import { isUpToDate } from '../rules.js';

function list(call: Call, manager: ManagerAccess): void {
  const { store } = manager;
  const { serviceIds, nodeIds, matches } = taskFilters(call.target.query.get('filters'), {
    serviceId: (given) => find(store, 'service', given).ID,
    nodeId: (given) =>
      given === 'self' ? call.services.self.nodeId : find(store, 'node', given).ID,
    isUpToDate: (task) => isUpToDate(store, task, store.timeMs()),
  });
  const now = store.timeMs();
  const tasks = candidates(store, serviceIds, nodeIds);
  const { aside } = call.services;
  sendJson(
    call.response,
    presentEach(aside, 'task', tasks, matches, (task) => presentTask(store, task, now)),
  );
}

/** Reads by index where a filter allows it: one service's tasks must not cost a pass over all tasks. */
function* candidates(
  view: View,
  serviceIds: readonly string[] | undefined,
  nodeIds: readonly string[] | undefined,
): Iterable<Task> {
  if (serviceIds !== undefined) {
    for (const id of serviceIds) yield* view.tasksByService(id);
  } else if (nodeIds !== undefined) {
    for (const id of nodeIds) yield* view.tasksByNode(id);
  } else yield* view.list('task');
}

function inspect(call: Call, manager: ManagerAccess): void {
  const task = find(manager.store, 'task', call.params.id!);
  sendJson(call.response, presentTask(manager.store, task, manager.store.timeMs()));
}

export const taskRoutes: readonly Route[] = [
  { method: 'GET', pattern: '/tasks', on: 'read', handle: list },
  { method: 'GET', pattern: '/tasks/{id}', on: 'read', handle: inspect },
];
