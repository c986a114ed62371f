import type { HostPrivileges } from './cluster.js';
import type { Labels, Meta, Nanoseconds, ObjectVersion, Timestamp } from './common.js';
import type { PortConfig, TaskSpec } from './service.js';

/** In order of progress. Observed state never goes back; see task-state.ts. */
export type TaskState =
  | 'new'
  | 'pending'
  | 'assigned'
  | 'accepted'
  | 'preparing'
  | 'ready'
  | 'starting'
  | 'running'
  | 'complete'
  | 'shutdown'
  | 'failed'
  | 'rejected'
  | 'remove'
  | 'orphaned';

export interface ContainerStatus {
  readonly ContainerID?: string;
  readonly PID?: number;
  readonly ExitCode?: number;
}

export interface TaskStatus {
  readonly Timestamp: Timestamp;
  readonly State: TaskState;
  /** What it does or waits for, as a sentence: nothing waits in silence. */
  readonly Message: string;
  /** Why it failed, or why it cannot proceed. */
  readonly Err?: string;
  readonly ContainerStatus?: ContainerStatus;
  /**
   * Ports published in host mode, as allocated; with the userspace backend all ports, with the `TargetPort`
   * that the task really listens on. The mesh accepts it within SHARED_PORT_FIRST to SHARED_PORT_LAST, at
   * the node's own address.
   */
  readonly PortStatus?: { readonly Ports?: readonly PortConfig[] };
  /**
   * Ours: false while a running task does not listen on its published ports yet; only ready tasks get
   * traffic. Absent counts as true.
   */
  readonly Ready?: boolean;
  /** Ours: it listens on all its ports over IPv6 too, so nodes lead such clients to it. Absent counts as false. */
  readonly Ipv6?: boolean;
  /**
   * Ours, for information only: where the task listens when that is not its network attachment. The process
   * runtime without root has no namespaces, so the task shares its host's network. The mesh sends no
   * traffic here: an endpoint's address is the one that was allocated, or the one at which the managers
   * know the node.
   */
  readonly Address?: string;
  /** Manager's time when the state was stored. */
  readonly AppliedAt?: Timestamp;
  /** Ours: manager's time when RUNNING was stored. Absent when the managers never saw it run. */
  readonly StartedAt?: Timestamp;
}

export interface NetworkAttachment {
  readonly Network: {
    readonly ID: string;
    readonly Spec: {
      readonly Name: string;
      /** From feature level 5 on. Where it is absent, the network is the ingress network if it has INGRESS_SUBNET. */
      readonly Ingress?: boolean;
    };
  };
  /** With prefix length: `10.240.3.7/32`. */
  readonly Addresses: readonly string[];
}

/** Ours: the restarts that led to a task, and how long it has to wait. */
export interface TaskRestart {
  /**
   * Restarts of this slot (or node) under this spec since it was last healthy, the one that made this task
   * included. The history need not be kept to count them.
   */
  readonly Attempts: number;
  /** Consecutive failures before this restart; 0 when the previous task ended well. */
  readonly Failures: number;
  /** The task does not start before this time. */
  readonly NotBefore: Timestamp;
}

/** Ours: why the cluster stops a task, and how; set together with a desired state beyond RUNNING. */
export interface TaskStop {
  /** For people, without a full stop: `its node is drained`. */
  readonly Reason: string;
  /**
   * The cluster moves what the task did to another node, and the task did nothing wrong: its end is not a
   * failure, its replacement not an attempt.
   */
  readonly Moved?: boolean;
  /** Grace period of this stop, when it differs from that of the task's spec. */
  readonly GracePeriod?: Nanoseconds;
  /** Signal of this stop, when it differs from that of the task's spec. */
  readonly Signal?: string;
}

export interface Task extends Meta {
  /** `service.slot.id`, for global services `service.node.id`. */
  readonly Name: string;
  readonly Labels: Labels;
  readonly Spec: TaskSpec;
  /** The service's SpecVersion that Spec came from. */
  readonly SpecVersion: ObjectVersion;
  readonly ServiceID: string;
  readonly ServiceName: string;
  readonly ServiceLabels: Labels;
  /** From 1; 0 for global services. */
  readonly Slot: number;
  readonly NodeID?: string;
  readonly Status: TaskStatus;
  readonly DesiredState: TaskState;
  readonly NetworksAttachments?: readonly NetworkAttachment[];
  /** The service's ports as allocated when the task was made. */
  readonly Endpoint: { readonly Ports: readonly PortConfig[] };
  readonly JobIteration?: ObjectVersion;
  /**
   * Ours: the cluster's policy for image `host` when the task was placed. It stays with the task, so that
   * the node can restart it without a manager. Absent means `none`.
   */
  readonly HostPrivileges?: HostPrivileges;
  /** Only where the task that it replaces, or an earlier one, ended by itself. */
  readonly Restart?: TaskRestart;
  /** Absent while the task is wanted, and when it ended by itself. */
  readonly Stop?: TaskStop;
}
