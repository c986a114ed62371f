import {
  compareStates,
  isTerminal,
  type Node,
  type Service,
  showControls,
  type Task,
  type TaskState,
} from '@swarm/api/client';

/** Stages a task passes before it runs; progress reports the least advanced one. */
export const STAGES = [
  'new',
  'pending',
  'assigned',
  'accepted',
  'preparing',
  'ready',
  'starting',
  'running',
] as const;

/** One slot of a service, or its place on a node, with its most advanced task. */
export interface TaskProgress {
  /** The slot's number, or the node's name. */
  readonly place: string;
  readonly state: TaskState;
  readonly error: string;
}

export interface Progress {
  /** Tasks that run, or have done their work: they ended well and are not restarted. */
  readonly running: number;
  readonly wanted: number;
  /** Of each slot whose last task ended otherwise and was not replaced yet: why it ended. */
  readonly ended: readonly string[];
  /** What the slowest task waits for. */
  readonly waiting: string | undefined;
  readonly tasks: readonly TaskProgress[];
}

/** Counts how many of the wanted tasks run. */
export function measure(
  service: Service,
  tasks: readonly Task[],
  nodes: readonly Node[],
): Progress {
  const living = new Map(
    nodes.filter((node) => node.Status.State !== 'down').map((node) => [node.ID, node]),
  );
  const bySlot = furthest(tasks.filter((task) => compareStates(task.DesiredState, 'running') <= 0));
  const over = [...lastEnded(tasks)].filter(([slot]) => !bySlot.has(slot)).map(([, task]) => task);
  const done = [...over, ...bySlot.values()].filter(hasDoneItsWork);
  const running = [...bySlot.values()].filter(
    (task) =>
      task.Status.State === 'running' && (task.NodeID === undefined || living.has(task.NodeID)),
  ).length;
  const ended = over.filter((task) => !hasDoneItsWork(task));
  const wanted = service.Spec.Mode.Replicated?.Replicas ?? bySlot.size + over.length;
  for (const task of over) bySlot.set(slotOf(task), task);
  return {
    running: Math.min(running + done.length, wanted),
    wanted,
    ended: ended.map(({ Status: { State: state, Err: error } }) => showControls(error || state)),
    waiting: waitingFor(service, [...bySlot.values()]),
    tasks: placesOf(bySlot, nodes),
  };
}

/** The last task of each slot that has ended by itself. */
function lastEnded(tasks: readonly Task[]): Map<string, Task> {
  const bySlot = new Map<string, Task>();
  for (const task of tasks) {
    const last = bySlot.get(slotOf(task));
    if (last === undefined || last.CreatedAt <= task.CreatedAt) bySlot.set(slotOf(task), task);
  }
  for (const [slot, { Status, DesiredState }] of bySlot) {
    const byItself = ['complete', 'failed', 'rejected'].includes(Status.State);
    if (!byItself || DesiredState === 'remove') bySlot.delete(slot);
  }
  return bySlot;
}

/** Whether the task ended well, and its restart policy leaves it at that. */
function hasDoneItsWork({ Status, Spec }: Task): boolean {
  const condition = Spec?.RestartPolicy?.Condition;
  return Status.State === 'complete' && (condition === 'none' || condition === 'on-failure');
}

export interface JobProgress {
  readonly completed: number;
  /** Completions that make the job complete; 0 while no task of a global job is known. */
  readonly total: number;
  /** Tasks in progress, of how many at once. */
  readonly active: number;
  readonly concurrent: number;
  readonly waiting: string | undefined;
  readonly tasks: readonly TaskProgress[];
}

/** Measures the current run of a job. */
export function measureJob(
  service: Service,
  tasks: readonly Task[],
  nodes: readonly Node[] = [],
): JobProgress {
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
    tasks: placesOf(latest(current), nodes),
  };
}

export function isJob({ Spec: { Mode: mode } }: Service): boolean {
  return mode.ReplicatedJob !== undefined || mode.GlobalJob !== undefined;
}

function furthest(tasks: readonly Task[]): Map<string, Task> {
  const bySlot = new Map<string, Task>();
  for (const task of tasks) {
    const known = bySlot.get(slotOf(task));
    if (known === undefined || compareStates(task.Status.State, known.Status.State) > 0)
      bySlot.set(slotOf(task), task);
  }
  return bySlot;
}

/** A job's place is done for good; otherwise its task that has not ended counts. */
function latest(tasks: readonly Task[]): Map<string, Task> {
  const bySlot = new Map<string, Task>();
  const rank = ({ Status: { State: state } }: Task) =>
    state === 'complete' ? 2 : isTerminal(state) ? 0 : 1;
  for (const task of tasks) {
    const known = bySlot.get(slotOf(task));
    if (known === undefined || rank(task) >= rank(known)) bySlot.set(slotOf(task), task);
  }
  return bySlot;
}

function placesOf(bySlot: ReadonlyMap<string, Task>, nodes: readonly Node[]): TaskProgress[] {
  const names = new Map(nodes.map((node) => [node.ID, node.Description?.Hostname ?? node.ID]));
  return [...bySlot.values()]
    .sort((a, b) => (a.Slot ?? 0) - (b.Slot ?? 0) || (slotOf(a) < slotOf(b) ? -1 : 1))
    .map((task) => ({
      place: showControls(names.get(slotOf(task)) ?? slotOf(task)),
      state: task.Status.State,
      error: showControls(task.Status.Err ?? ''),
    }));
}

/** What the least advanced task says about itself. */
function waitingFor(service: Service, tasks: readonly Task[]): string | undefined {
  const slowest = tasks
    .filter((task) => task.Status.State !== 'running' && !hasDoneItsWork(task))
    .sort((a, b) => stageOf(a.Status.State) - stageOf(b.Status.State))[0];
  const why = slowest?.Status.Err ?? service.AllocationError;
  return why === undefined || why === '' ? undefined : showControls(why);
}

/** How many stages a task has passed; -1 when it has ended. */
export function stageOf(state: TaskState): number {
  return STAGES.indexOf(state as (typeof STAGES)[number]);
}

function slotOf(task: Task): string {
  return (task.Slot ?? 0) > 0 ? String(task.Slot) : (task.NodeID ?? '');
}
