import { setTimeout as delay } from 'node:timers/promises';
import {
  compareStates,
  isTerminal,
  MS,
  type Node,
  SECOND,
  showControls,
  type Service,
  type Task,
} from '@swarm/api';
import type { ApiClient } from './client/api-client.js';
import type { Output } from './output/output.js';

const POLL_MS = 200;
const DEFAULT_MONITOR_NS = 5 * SECOND;
/** A job whose tasks all ended without success gets this long to start others. */
const JOB_IDLE_MS = 3_000;

/** Stages a task passes before it runs: the one that is least far is told about. */
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

export interface WaitOptions {
  readonly quiet: boolean;
  /** The user asked for the previous specification: a completed rollback is what was wanted. */
  readonly rollback?: boolean;
  /** Time, and waiting: passed in by tests. */
  readonly now?: () => number;
  readonly sleep?: (ms: number) => Promise<void>;
}

/** Tells each kind of line when it changes. */
type Show = (kind: string, text: string) => void;

/**
 * Waits until a service converged and stayed so for its monitor period, or until a job is complete,
 * telling how it goes.
 * @returns the exit code: 1 when the update paused or was rolled back, or the job can not complete
 */
export async function waitForService(
  client: ApiClient,
  serviceId: string,
  output: Output,
  options: WaitOptions,
): Promise<number> {
  const { now = () => performance.now(), sleep = delay } = options;
  const shown = new Map<string, string>();
  const show: Show = (kind, text) => {
    if (options.quiet || shown.get(kind) === text) return;
    shown.set(kind, text);
    output.line(`${kind}: ${text}`);
  };
  let since: number | undefined;
  for (;;) {
    const service = await client.get<Service>(`/services/${serviceId}`);
    const update = service.UpdateStatus;
    if (update?.State === 'paused' || update?.State === 'rollback_paused') {
      const what = update.State === 'paused' ? 'update' : 'rollback';
      output.error(`service ${what} paused: ${showControls(update.Message)}`);
      return 1;
    }
    const tasks = await client.get<Task[]>('/tasks', {
      filters: { service: { [serviceId]: true }, '_up-to-date': { true: true } },
    });
    if (isJob(service)) {
      const job = measureJob(service, tasks);
      showJob(job, show);
      if (job.total > 0 && job.completed >= job.total) {
        show('verify', 'job complete');
        return 0;
      }
      if (job.active > 0 || tasks.length === 0) since = undefined;
      else {
        since ??= now();
        if (now() - since > JOB_IDLE_MS) {
          output.error(`job failed: ${job.waiting ?? 'tasks ended and are not started again'}`);
          return 1;
        }
      }
      await sleep(POLL_MS);
      continue;
    }
    const nodes = await client.get<Node[]>('/nodes');
    const progress = measure(service, tasks, nodes);
    show('overall progress', `${progress.running} out of ${progress.wanted} tasks`);
    if (progress.waiting !== undefined) show('waiting', progress.waiting);
    const moving = update?.State === 'updating' || update?.State === 'rollback_started';
    if (progress.running === progress.wanted && !moving) {
      since ??= now();
      const monitorMs = (service.Spec.UpdateConfig?.Monitor || DEFAULT_MONITOR_NS) / MS;
      const leftMs = monitorMs - (now() - since);
      if (leftMs <= 0) {
        if (update?.State === 'rollback_completed' && options.rollback !== true) {
          output.error(`service rolled back: ${showControls(update.Message)}`);
          return 1;
        }
        show('verify', `Service ${serviceId} converged`);
        return 0;
      }
      const seconds = Math.ceil(leftMs / 1000);
      show('verify', `Waiting ${seconds} seconds to verify that tasks are stable...`);
    } else {
      since = undefined;
    }
    await sleep(POLL_MS);
  }
}

function isJob({ Spec: { Mode: mode } }: Service): boolean {
  return mode.ReplicatedJob !== undefined || mode.GlobalJob !== undefined;
}

function showJob(job: JobProgress, show: Show): void {
  show('job progress', `${job.completed} out of ${job.total} complete`);
  if (job.completed < job.total)
    show('active tasks', `${job.active} out of ${job.concurrent} tasks`);
  if (job.waiting !== undefined) show('waiting', job.waiting);
}

export interface Progress {
  readonly running: number;
  readonly wanted: number;
  /** What the slowest task waits for. */
  readonly waiting: string | undefined;
}

/** How many tasks run of how many. */
export function measure(
  service: Service,
  tasks: readonly Task[],
  nodes: readonly Node[],
): Progress {
  const living = new Set(
    nodes.filter((node) => node.Status.State !== 'down').map((node) => node.ID),
  );
  const current = tasks.filter((task) => compareStates(task.DesiredState, 'running') <= 0);
  const bySlot = new Map<string, Task>();
  for (const task of current) {
    const slot = slotOf(task);
    const known = bySlot.get(slot);
    if (known === undefined || compareStates(task.Status.State, known.Status.State) > 0)
      bySlot.set(slot, task);
  }
  const running = [...bySlot.values()].filter(
    (task) =>
      task.Status.State === 'running' && (task.NodeID === undefined || living.has(task.NodeID)),
  ).length;
  const wanted = service.Spec.Mode.Replicated?.Replicas ?? bySlot.size;
  return {
    running: Math.min(running, wanted),
    wanted,
    waiting: waitingFor(service, [...bySlot.values()]),
  };
}

export interface JobProgress {
  readonly completed: number;
  /** Completions that make the job complete; 0 while no task of a global job is known. */
  readonly total: number;
  /** Tasks on their way, of how many at once. */
  readonly active: number;
  readonly concurrent: number;
  readonly waiting: string | undefined;
}

/** How far the present run of a job is. */
export function measureJob(service: Service, tasks: readonly Task[]): JobProgress {
  const iteration = service.JobStatus?.JobIteration.Index ?? 0;
  const current = tasks.filter((task) => (task.JobIteration?.Index ?? 0) === iteration);
  const places = new Set(current.map(slotOf));
  const done = new Set(
    current.filter((task) => task.Status.State === 'complete').map((task) => slotOf(task)),
  );
  const open = current.filter((task) => !done.has(slotOf(task)));
  const active = open.filter((task) => !isTerminal(task.Status.State));
  const mode = service.Spec.Mode.ReplicatedJob;
  const concurrent = mode === undefined ? places.size : (mode.MaxConcurrent ?? 1);
  const total = mode === undefined ? places.size : (mode.TotalCompletions ?? concurrent);
  return {
    completed: done.size,
    total,
    active: active.length,
    concurrent: Math.min(concurrent, total - done.size),
    waiting: waitingFor(service, active.length > 0 ? active : open),
  };
}

/** What the task that is least far says of itself. */
function waitingFor(service: Service, tasks: readonly Task[]): string | undefined {
  const stage = (task: Task) => STAGES.indexOf(task.Status.State as (typeof STAGES)[number]);
  const slowest = tasks
    .filter((task) => task.Status.State !== 'running')
    .sort((a, b) => stage(a) - stage(b))[0];
  const why = slowest?.Status.Err ?? service.AllocationError;
  return why === undefined || why === '' ? undefined : showControls(why);
}

function slotOf(task: Task): string {
  return (task.Slot ?? 0) > 0 ? String(task.Slot) : (task.NodeID ?? '');
}
