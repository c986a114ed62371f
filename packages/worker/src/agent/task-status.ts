import {
  cutText,
  STATUS_ERR_LIMIT_BYTES,
  STATUS_MESSAGE_LIMIT_BYTES,
  type TaskState,
  type TaskStatus,
} from '@swarm/api';
import type { PreparedTask, TaskEnd } from '../runtime/runtime.js';

/** What changes in a status besides its time; keeps fields that are absent. Every change replaces `Err`. */
export interface StatusChange {
  readonly State?: TaskState;
  readonly Message: string;
  readonly Err?: string;
  readonly Ready?: boolean;
  readonly PID?: number;
  readonly ExitCode?: number;
  readonly prepared?: PreparedTask;
}

/** The next status of a task. The caller makes sure that the state never goes backwards. */
export function nextStatus(status: TaskStatus, change: StatusChange, nowMs: number): TaskStatus {
  const { Err: _, AppliedAt: __, ...kept } = status;
  const { prepared } = change;
  const container = {
    ...kept.ContainerStatus,
    ...(prepared === undefined ? {} : { ContainerID: prepared.containerId }),
    ...(change.PID === undefined ? {} : { PID: change.PID }),
    ...(change.ExitCode === undefined ? {} : { ExitCode: change.ExitCode }),
  };
  return {
    ...kept,
    Timestamp: new Date(nowMs).toISOString(),
    State: change.State ?? status.State,
    Message: cutText(change.Message, STATUS_MESSAGE_LIMIT_BYTES),
    ...(change.Err === undefined ? {} : { Err: cutText(change.Err, STATUS_ERR_LIMIT_BYTES) }),
    ...(change.Ready === undefined ? {} : { Ready: change.Ready }),
    ...(Object.keys(container).length === 0 ? {} : { ContainerStatus: container }),
    ...(prepared?.address === undefined ? {} : { Address: prepared.address }),
    ...(prepared?.ports === undefined ? {} : { PortStatus: { Ports: prepared.ports } }),
  };
}

/** How a task ended, as a sentence without its full stop. */
export function endSentence(end: TaskEnd): string {
  if (end.kind === 'unhealthy') return end.message;
  const how =
    end.signal !== undefined
      ? `killed by ${end.signal}`
      : end.code >= 0
        ? `exited with code ${end.code}`
        : 'ended';
  return end.error === undefined ? how : `${how}: ${end.error}`;
}
