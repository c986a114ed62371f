import {
  cutText,
  isTerminal,
  MS,
  type PortConfig,
  STATUS_ERR_LIMIT_BYTES,
  STATUS_MESSAGE_LIMIT_BYTES,
  type Task,
  type TaskState,
  type TaskStatus,
} from '@swarm/api';
import type { PreparedTask, TaskEnd } from '../runtime/runtime.js';
import { DEFAULT_GRACE_MS } from './limits.js';

/** What changes in a status besides its time; keeps fields that are absent. Every change replaces `Err`. */
export interface StatusChange {
  readonly State?: TaskState;
  readonly Message: string;
  readonly Err?: string;
  readonly Ready?: boolean;
  readonly Ipv6?: boolean;
  readonly PID?: number;
  readonly ExitCode?: number;
  readonly prepared?: PreparedTask;
  /** Ports of its host that lead to it. */
  readonly ports?: readonly PortConfig[];
}

/** The next status of a task. The caller makes sure that the state never goes backwards. */
export function nextStatus(status: TaskStatus, change: StatusChange, nowMs: number): TaskStatus {
  const { Err: _, AppliedAt: __, PortStatus: had, ...kept } = status;
  const { prepared } = change;
  const State = change.State ?? status.State;
  const ports = prepared?.ports ?? change.ports ?? had?.Ports;
  const container = {
    ...kept.ContainerStatus,
    ...(prepared === undefined ? {} : { ContainerID: prepared.containerId }),
    ...(change.PID === undefined ? {} : { PID: change.PID }),
    ...(change.ExitCode === undefined ? {} : { ExitCode: change.ExitCode }),
  };
  return {
    ...kept,
    Timestamp: new Date(nowMs).toISOString(),
    State,
    Message: cutText(change.Message, STATUS_MESSAGE_LIMIT_BYTES),
    ...(change.Err === undefined ? {} : { Err: cutText(change.Err, STATUS_ERR_LIMIT_BYTES) }),
    ...(change.Ready === undefined ? {} : { Ready: change.Ready }),
    ...(change.Ipv6 === undefined ? {} : { Ipv6: change.Ipv6 }),
    ...(Object.keys(container).length === 0 ? {} : { ContainerStatus: container }),
    ...(prepared?.address === undefined ? {} : { Address: prepared.address }),
    // Nothing leads to a task that has ended.
    ...(ports === undefined || isTerminal(State) ? {} : { PortStatus: { Ports: ports } }),
  };
}

/**
 * How a task ended, the cause first: `exit code 3: LAST LINE`, without a full stop.
 * @param lastLine of its log; what the runtime knows says more
 */
export function endSentence(end: TaskEnd, lastLine?: string): string {
  if (end.kind === 'unhealthy') return end.message;
  const how =
    end.signal !== undefined
      ? `killed by ${end.signal}`
      : end.code >= 0
        ? `exit code ${end.code}`
        : 'ended';
  const why = end.error ?? lastLine;
  return why === undefined ? how : `${how}: ${why}`;
}

/** What a task says while it waits for the manager to let it start. */
export function readyMessage({ Restart }: Task, nowMs: number): string {
  if (Restart === undefined || Date.parse(Restart.NotBefore) <= nowMs)
    return 'ready: waits for the task that it replaces to stop';
  const streak = Restart.Failures > 1 ? ` (${Restart.Failures} failures in a row)` : '';
  return `ready: waits until ${Restart.NotBefore} before its restart${streak}`;
}

/** What a task says while it stops, and afterwards: `shut down: its node is drained`. */
export function stopMessage(what: string, { Stop }: Task): string {
  return Stop === undefined ? what : `${what}: ${Stop.Reason}`;
}

/** Grace period of the task's stop, milliseconds. A manager may have set another than the task's spec has. */
export function stopGraceMs({ Stop, Spec }: Task): number {
  const grace = Stop?.GracePeriod ?? Spec.ContainerSpec?.StopGracePeriod;
  return grace == null ? DEFAULT_GRACE_MS : grace / MS;
}

/** Signal of the task's stop; undefined for the runtime's default. */
export function stopSignal({ Stop, Spec }: Task): string | undefined {
  const signal = Stop?.Signal ?? Spec.ContainerSpec?.StopSignal;
  return signal === '' ? undefined : signal;
}
