import {
  compareStates,
  isTerminal,
  type Node,
  type RestartPolicy,
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
  /** Why the place is not as it should be: its last failure, else what its task waits for. */
  readonly error: string;
}

export interface Progress {
  /** Tasks that run, or that ended well and are not meant to run again. */
  readonly running: number;
  readonly wanted: number;
  /** What the slowest task waits for. */
  readonly waiting: string | undefined;
  /** Why tasks of places that do not run ended, each cause once, the latest first. */
  readonly failures: readonly string[];
  /** Every task that is missing ended, and the restart policy may not allow another. */
  readonly isOver: boolean;
  readonly tasks: readonly TaskProgress[];
}

/** Most causes of failures to show. */
const FAILURES_LIMIT = 3;

/** Counts how many of the wanted tasks run. */
export function measure(
  service: Service,
  tasks: readonly Task[],
  nodes: readonly Node[],
): Progress {
  const living = new Map(
    nodes.filter((node) => node.Status.State !== 'down').map((node) => [node.ID, node]),
  );
  const policy = service.Spec.TaskTemplate?.RestartPolicy ?? {};
  const isLiving = (task: Task) => task.NodeID === undefined || living.has(task.NodeID);
  const bySlot = currentOf(tasks);
  const places = [...bySlot.values()];
  const running = places.filter(
    (task) => isDone(policy, task) || (task.Status.State === 'running' && isLiving(task)),
  ).length;
  const open = places.filter((task) => !isDone(policy, task));
  // A task that ended and may restart, but did not, is on a node where the service is not wanted any more.
  const isWanted = (task: Task) =>
    !isTerminal(task.Status.State) ||
    isDone(policy, task) ||
    (isLiving(task) && mayNotRestart(policy, task));
  const wanted = service.Spec.Mode.Replicated?.Replicas ?? places.filter(isWanted).length;
  return {
    running: Math.min(running, wanted),
    wanted,
    waiting: waitingFor(
      service,
      open.filter((task) => !isTerminal(task.Status.State)),
    ),
    failures: failuresOf(bySlot, tasks, nodes),
    isOver:
      bySlot.size >= wanted &&
      open.some((task) => isTerminal(task.Status.State)) &&
      open.every(
        (task) =>
          task.Status.State === 'running' ||
          (isTerminal(task.Status.State) && mayNotRestart(policy, task)),
      ),
    tasks: placesOf(bySlot, tasks, nodes),
  };
}

export interface JobProgress {
  readonly completed: number;
  /** Completions that make the job complete; 0 while no task of a global job is known. */
  readonly total: number;
  /** Tasks in progress, of how many at once. */
  readonly active: number;
  readonly concurrent: number;
  readonly waiting: string | undefined;
  readonly failures: readonly string[];
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
    waiting: waitingFor(service, active),
    failures: failuresOf(latest(current), current, nodes),
    tasks: placesOf(latest(current), current, nodes),
  };
}

export function isJob({ Spec: { Mode: mode } }: Service): boolean {
  return mode.ReplicatedJob !== undefined || mode.GlobalJob !== undefined;
}

/**
 * The task that stands for each slot: the most advanced one that should run and has not ended, else the last
 * one that ended, unless it was asked to.
 */
function currentOf(tasks: readonly Task[]): Map<string, Task> {
  const bySlot = new Map<string, Task>();
  for (const task of tasks) {
    const { State: state } = task.Status;
    const isOpen = compareStates(task.DesiredState, 'running') <= 0 && !isTerminal(state);
    const endedAlone = ENDED_ALONE.includes(state) && task.DesiredState !== 'remove';
    if (!isOpen && !endedAlone) continue;
    const known = bySlot.get(slotOf(task));
    const isAhead = () => {
      const ended = isTerminal(known!.Status.State);
      if (isOpen) return ended || compareStates(state, known!.Status.State) > 0;
      return ended && !isOlder(task, known!);
    };
    if (known === undefined || isAhead()) bySlot.set(slotOf(task), task);
  }
  return bySlot;
}

/** States of tasks that ended without being asked to. */
const ENDED_ALONE: readonly TaskState[] = ['complete', 'failed', 'rejected'];

/** Whether the task ended well and the policy restarts only failures. */
function isDone({ Condition: condition = 'any' }: RestartPolicy, { Status }: Task): boolean {
  return Status.State === 'complete' && condition !== 'any';
}

/** Whether the policy has a limit that a task that ended may have reached. */
function mayNotRestart(policy: RestartPolicy, { DesiredState: desired }: Task): boolean {
  // It was rejected while it waited for its own start, after which it is restarted.
  if (desired === 'ready') return false;
  return policy.Condition === 'none' || (policy.MaxAttempts ?? 0) > 0;
}

function isOlder(a: Task, b: Task): boolean {
  return (a.CreatedAt ?? '') < (b.CreatedAt ?? '');
}

/** The last failure of each place that does not run, by place. */
function lastFailures(
  bySlot: ReadonlyMap<string, Task>,
  tasks: readonly Task[],
): ReadonlyMap<string, Task> {
  const failures = new Map<string, Task>();
  for (const task of tasks) {
    const { State: state } = task.Status;
    if (state !== 'failed' && state !== 'rejected') continue;
    const slot = slotOf(task);
    const now = bySlot.get(slot)?.Status.State;
    if (now === undefined || now === 'running' || now === 'complete') continue;
    const known = failures.get(slot);
    if (known === undefined || !isOlder(task, known)) failures.set(slot, task);
  }
  return failures;
}

function failuresOf(
  bySlot: ReadonlyMap<string, Task>,
  tasks: readonly Task[],
  nodes: readonly Node[],
): string[] {
  const byCause = new Map<string, Task[]>();
  const latestFirst = [...lastFailures(bySlot, tasks).values()].sort((a, b) =>
    isOlder(a, b) ? 1 : -1,
  );
  for (const task of latestFirst) {
    const cause = causeOf(task);
    byCause.set(cause, [...(byCause.get(cause) ?? []), task]);
  }
  const names = namesOf(nodes);
  return [...byCause].slice(0, FAILURES_LIMIT).map(([cause, [task, ...others]]) => {
    const slot = (task!.Slot ?? 0) > 0 ? `task ${task!.Slot}` : 'the task';
    const node =
      task!.NodeID === undefined || task!.NodeID === '' ? '' : ` on ${names(task!.NodeID)}`;
    const more = others.length === 0 ? '' : `, and ${others.length} more`;
    return `${cause} (${slot}${node}${more})`;
  });
}

/** Why a task failed. */
function causeOf({
  Status: { Err: error, State: state, ContainerStatus: container },
}: Task): string {
  if (error !== undefined && error !== '') return showControls(error);
  return container?.ExitCode === undefined ? state : `exited with code ${container.ExitCode}`;
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

function placesOf(
  bySlot: ReadonlyMap<string, Task>,
  tasks: readonly Task[],
  nodes: readonly Node[],
): TaskProgress[] {
  const names = namesOf(nodes);
  const failures = lastFailures(bySlot, tasks);
  return [...bySlot.values()]
    .sort((a, b) => (a.Slot ?? 0) - (b.Slot ?? 0) || (slotOf(a) < slotOf(b) ? -1 : 1))
    .map((task) => {
      const failure = failures.get(slotOf(task));
      return {
        place: names(slotOf(task)),
        state: task.Status.State,
        error: failure === undefined ? showControls(problemOf(task) ?? '') : causeOf(failure),
      };
    });
}

/** Names nodes by their hosts, safe for a terminal. */
function namesOf(nodes: readonly Node[]): (id: string) => string {
  const names = new Map(nodes.map((node) => [node.ID, node.Description?.Hostname ?? node.ID]));
  return (id) => showControls(names.get(id) ?? id);
}

/** What the least advanced task says about itself, or why one that runs gets no traffic yet. */
function waitingFor(service: Service, tasks: readonly Task[]): string | undefined {
  const slowest = tasks
    .filter((task) => task.Status.State !== 'running')
    .sort((a, b) => stageOf(a.Status.State) - stageOf(b.Status.State))[0];
  const deaf = tasks.find(({ Status: { State: state, Ready: isReady } }) => {
    return state === 'running' && isReady === false;
  });
  const why = (slowest && problemOf(slowest)) ?? service.AllocationError ?? deaf?.Status.Message;
  return why === undefined || why === '' ? undefined : showControls(why);
}

/** What a task cannot get over by itself. What is its message, too, is just the step that it is at. */
function problemOf({ Status: { Err: error, Message: message } }: Task): string | undefined {
  return error === '' || error === message ? undefined : error;
}

/** How many stages a task has passed; -1 when it has ended. */
export function stageOf(state: TaskState): number {
  return STAGES.indexOf(state as (typeof STAGES)[number]);
}

function slotOf(task: Task): string {
  return (task.Slot ?? 0) > 0 ? String(task.Slot) : (task.NodeID ?? '');
}
