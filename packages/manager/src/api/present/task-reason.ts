import { compareStates, isTerminal, type Task } from '@swarm/api';
import { nodeNameOf } from '../../store/object-keys.js';
import type { View } from '../../store/store.js';
import { taskConflict } from './port-conflicts.js';

/** Why a task is not, or not yet, as it should be. */
export interface TaskReason {
  readonly text: string;
  /** Whether it is more than a step on the task's way. */
  readonly isProblem: boolean;
}

/**
 * Why the task is not as the cluster wants it: what it waits for, and from whom; why it stops or was stopped; how
 * it ended. Undefined when it runs and serves, or has ended well. The status alone does not say this: what agents
 * reported last is all that is known of a node that does not answer, and allocator and scheduler write a reason
 * only when they cannot go on.
 * @param nowMs the store's time, milliseconds since the epoch
 */
export function taskReason(view: View, task: Task, nowMs: number): TaskReason | undefined {
  const { State } = task.Status;
  if (isTerminal(State)) return ended(task);
  const away = compareStates(State, 'assigned') < 0 ? undefined : absence(view, task);
  if (compareStates(task.DesiredState, 'complete') > 0) return step(stopping(task, away));
  if (away !== undefined) return problem(`its node ${away}`);
  if (State === 'running') return running(view, task);
  const { Err, Message } = task.Status;
  const wait = restartWait(task, nowMs);
  if (Err || wait !== undefined) return problem(Err || (wait as string));
  switch (State) {
    case 'new':
      return step('waiting for its ports and addresses to be allocated');
    case 'pending':
      return step(
        task.NodeID === undefined || task.NodeID === ''
          ? 'waiting for the scheduler to choose a node'
          : `waiting for the scheduler to confirm node ${nodeName(view, task)}`,
      );
    case 'assigned':
      return step(`waiting for node ${nodeName(view, task)} to accept it`);
    default:
      return step(sentence(Message) ?? `${State} on node ${nodeName(view, task)}`);
  }
}

function step(text: string): TaskReason {
  return { text, isProblem: false };
}

function problem(text: string): TaskReason {
  return { text, isProblem: true };
}

/** The message if it says more than the state: one word does not. */
function sentence(message: string): string | undefined {
  return message.includes(' ') ? message : undefined;
}

/** How a task ended. Of one that was stopped, an error may be about something else. */
function ended({ Status, Stop }: Task): TaskReason | undefined {
  const { State, Err, Message, ContainerStatus } = Status;
  // A service that wants it to run on may have no restarts left.
  if (State === 'complete') return Err ? problem(Err) : undefined;
  if (State === 'shutdown') {
    const why = Stop?.Reason ?? 'the cluster did not want it any more';
    // An older agent knows no reasons.
    const isSaid = Message.includes(why) || (Stop === undefined && Message.includes(':'));
    return step(isSaid ? Message : `shut down: ${why}`);
  }
  if (State === 'orphaned') return step(sentence(Message) ?? 'its node was lost');
  const code = ContainerStatus?.ExitCode;
  if (Err) return problem(Err);
  if (code !== undefined) return problem(`exit code ${code}`);
  return problem(sentence(Message) ?? `${State}; its node did not say why`);
}

/** What a task says that should stop and has not. */
function stopping({ Status, Stop }: Task, away: string | undefined): string {
  const why = Stop?.Reason ?? 'the cluster does not want it any more';
  if (away !== undefined) return `stopping: ${why}; it may run on, because its node ${away}`;
  // The agent says how far it is.
  const isSaid = /^(stopping|draining|could not stop)/.test(Status.Message);
  return isSaid ? Status.Message : `stopping: ${why}`;
}

function running(view: View, task: Task): TaskReason | undefined {
  const { Err, Message, Ready } = task.Status;
  const conflict = Err || taskConflict(view, task);
  if (conflict) return problem(conflict);
  // Clients that its service's rules keep out are news of a task that runs well.
  if (Ready !== false) return Message.startsWith('running; ') ? step(Message) : undefined;
  return step(sentence(Message) ?? 'running, but not ready: it gets no traffic');
}

/** What keeps the task's node from doing anything; undefined when nothing does. */
function absence(view: View, task: Task): string | undefined {
  const id = task.NodeID ?? '';
  if (id === '') return undefined;
  const node = view.get('node', id);
  const aside = node === undefined ? view.setAside('node', id) : undefined;
  if (aside !== undefined) return `${id} cannot be read (${aside.reason})`;
  if (node === undefined) return `${id} was removed`;
  const name = nodeNameOf(node) ?? id;
  switch (node.Status.State) {
    case 'down':
      return `${name} is down`;
    case 'disconnected':
      return `${name} is not connected`;
    case 'unknown':
      return `${name} has not connected yet`;
    case 'ready':
      return undefined;
  }
}

function nodeName(view: View, { NodeID = '' }: Task): string {
  const node = view.get('node', NodeID);
  return (node && nodeNameOf(node)) ?? NodeID;
}

/** `waiting 5s before restart 2 of 3 (2 failures in a row)`; undefined when no restart delay applies. */
function restartWait(
  { DesiredState, Status, Restart, Spec }: Task,
  nowMs: number,
): string | undefined {
  if (Restart === undefined || DesiredState !== 'ready') return undefined;
  if (compareStates(Status.State, 'ready') > 0) return undefined;
  const leftMs = Date.parse(Restart.NotBefore) - nowMs;
  if (!(leftMs > 0)) return undefined;
  const failures = Restart.Failures > 1 ? ` (${Restart.Failures} failures in a row)` : '';
  const limit = Spec.RestartPolicy?.MaxAttempts ?? 0;
  const which = limit > 0 && Restart.Attempts > 0 ? ` ${Restart.Attempts} of ${limit}` : '';
  return `waiting ${Math.ceil(leftMs / 1000)}s before restart${which}${failures}`;
}
