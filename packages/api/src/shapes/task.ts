import type {
  ContainerStatus,
  NetworkAttachment,
  Task,
  TaskRestart,
  TaskState,
  TaskStatus,
  TaskStop,
} from '../objects/task.js';
import {
  choice,
  cidr,
  count,
  cut,
  duration,
  type FieldShapes,
  flag,
  ipAddress,
  list,
  maybeObjectId,
  objectId,
  optional,
  record,
  signed,
  text,
  timestamp,
} from '../wire/shape.js';
import { hostPrivilegesShape } from './cluster.js';
import { labelsShape, META, objectVersionShape } from './common.js';
import { portsShape, taskSpecShape } from './service.js';

/**
 * Most bytes of a status's two texts in UTF-8; longer ones are cut. Without its ports a status stays below
 * 8 KiB.
 */
export const STATUS_MESSAGE_LIMIT_BYTES = 2 * 1024;
export const STATUS_ERR_LIMIT_BYTES = 4 * 1024;
/** Most bytes of the reason for a stop; a longer one is cut. */
const STOP_REASON_LIMIT_BYTES = 1024;
/** Most characters of a container's id. */
export const CONTAINER_ID_LIMIT = 256;
/** Most addresses of a task, and networks it is attached to. */
const ATTACHMENTS_LIMIT = 256;

/** States that a node reports: only managers orphan a task, and `remove` is only ever desired. */
export type ReportedState = Exclude<TaskState, 'remove' | 'orphaned'>;

const REPORTED_STATES: Readonly<Record<ReportedState, true>> = {
  new: true,
  pending: true,
  assigned: true,
  accepted: true,
  preparing: true,
  ready: true,
  starting: true,
  running: true,
  complete: true,
  shutdown: true,
  failed: true,
  rejected: true,
};

export const taskStateShape = choice<TaskState>({
  ...REPORTED_STATES,
  remove: true,
  orphaned: true,
});

export const containerStatusShape = record<ContainerStatus>({
  ContainerID: optional(text(CONTAINER_ID_LIMIT)),
  PID: optional(signed),
  ExitCode: optional(signed),
});

/** A status as its node may report it: the manager's times are the manager's. */
type ReportedStatus = Omit<TaskStatus, 'AppliedAt' | 'StartedAt'>;

const REPORTED: FieldShapes<ReportedStatus> = {
  Timestamp: timestamp,
  State: taskStateShape,
  Message: cut(STATUS_MESSAGE_LIMIT_BYTES),
  Err: optional(cut(STATUS_ERR_LIMIT_BYTES)),
  ContainerStatus: optional(containerStatusShape),
  PortStatus: optional(
    record<NonNullable<TaskStatus['PortStatus']>>({ Ports: optional(portsShape) }),
  ),
  Ready: optional(flag),
  Ipv6: optional(flag),
  Address: optional(ipAddress),
};

export const taskStatusShape = record<TaskStatus>({
  ...REPORTED,
  AppliedAt: optional(timestamp),
  StartedAt: optional(timestamp),
});

export const reportedStatusShape = record<ReportedStatus>({
  ...REPORTED,
  State: choice<ReportedState>(REPORTED_STATES),
});

export const networkAttachmentShape = record<NetworkAttachment>({
  Network: record<NetworkAttachment['Network']>({
    ID: objectId,
    Spec: record<NetworkAttachment['Network']['Spec']>({
      Name: text(),
      Ingress: optional(flag),
    }),
  }),
  Addresses: list(cidr, ATTACHMENTS_LIMIT),
});

export const taskRestartShape = record<TaskRestart>({
  Attempts: count,
  Failures: count,
  NotBefore: timestamp,
});

export const taskStopShape = record<TaskStop>({
  Reason: cut(STOP_REASON_LIMIT_BYTES),
  Moved: optional(flag),
  GracePeriod: optional(duration),
  Signal: optional(text()),
});

export const taskShape = record<Task>({
  ...META,
  Name: text(),
  Labels: labelsShape,
  Spec: taskSpecShape,
  SpecVersion: objectVersionShape,
  // Empty for a task without a service.
  ServiceID: maybeObjectId,
  ServiceName: text(),
  ServiceLabels: labelsShape,
  Slot: count,
  NodeID: optional(objectId),
  Status: taskStatusShape,
  DesiredState: taskStateShape,
  NetworksAttachments: optional(list(networkAttachmentShape, ATTACHMENTS_LIMIT)),
  Endpoint: record<Task['Endpoint']>({ Ports: portsShape }),
  JobIteration: optional(objectVersionShape),
  Restart: optional(taskRestartShape),
  HostPrivileges: optional(hostPrivilegesShape),
  Stop: optional(taskStopShape),
});
