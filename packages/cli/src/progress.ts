import { setTimeout as delay } from 'node:timers/promises';
import { compareStates, MS, type Node, SECOND, type Service, type Task } from '@swarm/api';
import type { ApiClient } from './client/api-client.js';
import type { Output } from './command.js';

const POLL_MS = 200;
const DEFAULT_MONITOR_NS = 5 * SECOND;

/** Stages a task passes before it runs, for the bar. */
const STAGES = [
  'new',
  'pending',
  'assigned',
  'accepted',
  'preparing',
  'ready',
  'starting',
  'running',
] as const;

/**
 * Waits until a service converged and stayed so for its monitor period, telling how it goes.
 * @returns the exit code: 1 when the update paused, or was rolled back
 */
export async function waitForService(
  client: ApiClient,
  serviceId: string,
  output: Output,
  quiet: boolean,
): Promise<number> {
  const shown = new Map<string, string>();
  /** Tells each kind of line when it changes. */
  const show = (kind: string, text: string) => {
    if (quiet || shown.get(kind) === text) return;
    shown.set(kind, text);
    output.line(`${kind}: ${text}`);
  };
  let convergedSince: number | undefined;
  for (;;) {
    const service = await client.get<Service>(`/services/${serviceId}`);
    const update = service.UpdateStatus;
    if (update?.State === 'paused') {
      output.error(`service update paused: ${update.Message}`);
      return 1;
    }
    if (update?.State === 'rollback_paused') {
      output.error(`service rollback paused: ${update.Message}`);
      return 1;
    }
    const tasks = await client.get<Task[]>('/tasks', {
      filters: { service: { [serviceId]: true }, '_up-to-date': { true: true } },
    });
    const nodes = await client.get<Node[]>('/nodes');
    const progress = measure(service, tasks, nodes);
    show('overall progress', `${progress.running} out of ${progress.wanted} tasks`);
    if (progress.waiting !== undefined) show('waiting', progress.waiting);
    const moving = update?.State === 'updating' || update?.State === 'rollback_started';
    if (progress.running === progress.wanted && !moving) {
      convergedSince ??= performance.now();
      const monitorMs = (service.Spec.UpdateConfig?.Monitor || DEFAULT_MONITOR_NS) / MS;
      const leftMs = monitorMs - (performance.now() - convergedSince);
      if (leftMs <= 0) {
        if (update?.State === 'rollback_completed') {
          output.error(`service rolled back: ${update.Message}`);
          return 1;
        }
        show('verify', `Service ${serviceId} converged`);
        return 0;
      }
      show(
        'verify',
        `Waiting ${Math.ceil(leftMs / 1000)} seconds to verify that tasks are stable...`,
      );
    } else {
      convergedSince = undefined;
    }
    await delay(POLL_MS);
  }
}

/** How many tasks run of how many, and what the slowest waits for. */
export function measure(
  service: Service,
  tasks: readonly Task[],
  nodes: readonly Node[],
): { running: number; wanted: number; waiting: string | undefined } {
  const living = new Set(
    nodes.filter((node) => node.Status.State !== 'down').map((node) => node.ID),
  );
  const current = tasks.filter((task) => compareStates(task.DesiredState, 'running') <= 0);
  const bySlot = new Map<string, Task>();
  for (const task of current) {
    const slot = (task.Slot ?? 0) > 0 ? String(task.Slot) : (task.NodeID ?? '');
    const known = bySlot.get(slot);
    if (known === undefined || compareStates(task.Status.State, known.Status.State) > 0)
      bySlot.set(slot, task);
  }
  const running = [...bySlot.values()].filter(
    (task) =>
      task.Status.State === 'running' && (task.NodeID === undefined || living.has(task.NodeID)),
  ).length;
  const replicas = service.Spec.Mode.Replicated?.Replicas;
  const wanted = replicas ?? bySlot.size;
  const slowest = [...bySlot.values()]
    .filter((task) => task.Status.State !== 'running')
    .sort(
      (a, b) => STAGES.indexOf(a.Status.State as 'new') - STAGES.indexOf(b.Status.State as 'new'),
    )[0];
  const why = slowest?.Status.Err ?? service.AllocationError;
  return {
    running: Math.min(running, wanted),
    wanted,
    waiting: why === undefined || why === '' ? undefined : why,
  };
}
