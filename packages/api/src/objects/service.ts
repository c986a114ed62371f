import type {
  ClientVersioned,
  Created,
  ExactlyOne,
  Labels,
  Meta,
  Nanoseconds,
  ObjectVersion,
  Timestamp,
} from './common.js';
import type { Platform, Resources } from './node.js';

export interface Mount {
  readonly Type: 'bind' | 'volume' | 'tmpfs' | 'npipe' | 'cluster';
  readonly Source?: string;
  readonly Target: string;
  readonly ReadOnly?: boolean;
  readonly Consistency?: string;
  readonly BindOptions?: {
    readonly Propagation?: string;
    readonly NonRecursive?: boolean;
    readonly CreateMountpoint?: boolean;
  };
  readonly VolumeOptions?: {
    readonly NoCopy?: boolean;
    readonly Labels?: Labels;
    readonly DriverConfig?: { readonly Name?: string; readonly Options?: Record<string, string> };
    readonly Subpath?: string;
  };
  readonly TmpfsOptions?: { readonly SizeBytes?: number; readonly Mode?: number };
}

export interface HealthConfig {
  /** `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", command]`. */
  readonly Test?: readonly string[];
  readonly Interval?: Nanoseconds;
  readonly Timeout?: Nanoseconds;
  readonly StartPeriod?: Nanoseconds;
  readonly StartInterval?: Nanoseconds;
  readonly Retries?: number;
}

export interface SecretReference {
  readonly SecretID: string;
  readonly SecretName: string;
  readonly File?: {
    readonly Name: string;
    readonly UID: string;
    readonly GID: string;
    readonly Mode: number;
  };
}

export interface ConfigReference {
  readonly ConfigID: string;
  readonly ConfigName: string;
  readonly File?: {
    readonly Name: string;
    readonly UID: string;
    readonly GID: string;
    readonly Mode: number;
  };
  readonly Runtime?: object;
}

export interface ContainerSpec {
  readonly Image: string;
  readonly Labels?: Labels;
  /** Replaces the image's entrypoint. */
  readonly Command?: readonly string[];
  readonly Args?: readonly string[];
  readonly Hostname?: string;
  readonly Env?: readonly string[];
  readonly Dir?: string;
  readonly User?: string;
  readonly Groups?: readonly string[];
  readonly Privileges?: object;
  readonly TTY?: boolean;
  readonly OpenStdin?: boolean;
  readonly ReadOnly?: boolean;
  readonly Mounts?: readonly Mount[];
  readonly StopSignal?: string;
  readonly StopGracePeriod?: Nanoseconds;
  readonly Healthcheck?: HealthConfig;
  /** `/etc/hosts` lines: `IP host [alias…]`. */
  readonly Hosts?: readonly string[];
  readonly DNSConfig?: {
    readonly Nameservers?: readonly string[];
    readonly Search?: readonly string[];
    readonly Options?: readonly string[];
  };
  readonly Secrets?: readonly SecretReference[];
  readonly Configs?: readonly ConfigReference[];
  readonly Init?: boolean;
  readonly Isolation?: string;
  readonly Sysctls?: Record<string, string>;
  readonly CapabilityAdd?: readonly string[];
  readonly CapabilityDrop?: readonly string[];
  readonly Ulimits?: readonly {
    readonly Name: string;
    readonly Hard: number;
    readonly Soft: number;
  }[];
  readonly OomScoreAdj?: number;
}

export interface RestartPolicy {
  readonly Condition?: 'none' | 'on-failure' | 'any';
  readonly Delay?: Nanoseconds;
  /** 0 or absent: no limit. */
  readonly MaxAttempts?: number;
  readonly Window?: Nanoseconds;
}

export interface Placement {
  readonly Constraints?: readonly string[];
  readonly Preferences?: readonly { readonly Spread?: { readonly SpreadDescriptor: string } }[];
  readonly MaxReplicas?: number;
  readonly Platforms?: readonly Partial<Platform>[];
}

export interface NetworkAttachmentConfig {
  readonly Target: string;
  readonly Aliases?: readonly string[];
  readonly DriverOpts?: Record<string, string>;
}

export interface TaskSpec {
  readonly ContainerSpec?: ContainerSpec;
  readonly Resources?: {
    readonly Limits?: Resources & { readonly Pids?: number };
    readonly Reservations?: Resources;
  };
  readonly RestartPolicy?: RestartPolicy;
  readonly Placement?: Placement;
  readonly Networks?: readonly NetworkAttachmentConfig[];
  /** Only of a task that is a container's place on networks, see `isAttachment`. */
  readonly NetworkAttachmentSpec?: { readonly ContainerID: string };
  readonly LogDriver?: { readonly Name?: string; readonly Options?: Record<string, string> };
  /** Any change to it makes every task out of date. */
  readonly ForceUpdate: number;
  readonly Runtime?: string;
  /** Base64 of the registry credentials given with the request (`X-Registry-Auth`). Not shown. */
  readonly RegistryAuth?: string;
}

export type FailureAction = 'pause' | 'continue' | 'rollback';
export type UpdateOrder = 'stop-first' | 'start-first';

export interface UpdateConfig {
  /** Tasks updated at once; 0 is all. */
  readonly Parallelism: number;
  readonly Delay?: Nanoseconds;
  readonly FailureAction?: FailureAction;
  readonly Monitor?: Nanoseconds;
  readonly MaxFailureRatio?: number;
  readonly Order?: UpdateOrder;
}

export type PortProtocol = 'tcp' | 'udp' | 'sctp';

export interface PortConfig {
  readonly Name?: string;
  readonly Protocol: PortProtocol;
  readonly TargetPort: number;
  /** Absent in a spec: chosen from 30000–32767. */
  readonly PublishedPort?: number;
  readonly PublishMode: 'ingress' | 'host';
  /**
   * Ours: the only address that it is published on, where a node has it; `0.0.0.0` or `::` for all of one family.
   * Absent: on every address.
   */
  readonly HostIP?: string;
  /** Ours, in ingress mode: what each client may do at each node. Absent: anything. */
  readonly ClientLimits?: ClientLimits;
  /** Ours, of TCP in ingress mode: what tasks learn each client's address by, before its first byte. */
  readonly ProxyProtocol?: ProxyProtocol;
}

/** Versions of the PROXY protocol. */
export type ProxyProtocol = 'v1' | 'v2';

/** Ours: limits of one client of a published port, by its address: for IPv6, by its /64 network. */
export interface ClientLimits {
  /** Connections at a time; of UDP, flows that are remembered. */
  readonly Connections?: number;
  /** New connections in each `Per`. */
  readonly Rate?: number;
  /** Absent: `second`. */
  readonly Per?: RatePeriod;
  /** New connections at once by a client that was silent; absent: as many as `Rate`. */
  readonly Burst?: number;
}

export type RatePeriod = 'second' | 'minute' | 'hour';

/** Ours: somebody who may open connections to a service's tasks. */
export interface AllowRule {
  /** `any`, an outside network or address, or the name or id of a service that shares a network with them. */
  readonly From: string;
  /** Ports that the tasks listen on; absent: all of them, of every protocol. */
  readonly Ports?: readonly AllowedPort[];
}

export interface AllowedPort {
  readonly Protocol: PortProtocol;
  readonly Port: number;
}
/** How nodes choose among the tasks behind a published port. */
export type TrafficPolicy = 'cluster' | 'local' | 'prefer-local';

export interface EndpointSpec {
  readonly Mode?: 'vip' | 'dnsrr';
  readonly Ports?: readonly PortConfig[];
  /**
   * Ours: who may open connections to its tasks. Absent: tasks of its networks, and all clients of its published
   * ports. When empty, nobody.
   */
  readonly Allow?: readonly AllowRule[];
  /** Ours: a client gets the same task each time, by its address, as long as that task serves. */
  readonly Affinity?: 'client';
  /**
   * Ours: a node leads its clients to its own tasks alone (`local`), or to them while it has any (`prefer-local`).
   * Absent: to all tasks.
   */
  readonly TrafficPolicy?: Exclude<TrafficPolicy, 'cluster'>;
  /**
   * Ours: while tasks of several revisions serve, the weight of each task of the current one; each other has 100.
   * 0 to 1000. Absent: 100.
   */
  readonly RevisionWeight?: number;
}

export interface ServiceModes {
  readonly Replicated: { readonly Replicas: number };
  readonly Global: Record<string, never>;
  readonly ReplicatedJob: { readonly MaxConcurrent?: number; readonly TotalCompletions?: number };
  readonly GlobalJob: Record<string, never>;
}

/** Exactly one of the modes, as in Docker's JSON. `modeOf` reads it. */
export type ServiceMode = ExactlyOne<ServiceModes>;

export interface ServiceSpec {
  readonly Name: string;
  readonly Labels: Labels;
  readonly TaskTemplate: TaskSpec;
  readonly Mode: ServiceMode;
  readonly UpdateConfig?: UpdateConfig;
  readonly RollbackConfig?: UpdateConfig;
  readonly Networks?: readonly NetworkAttachmentConfig[];
  readonly EndpointSpec?: EndpointSpec;
}

export type UpdateState =
  | 'updating'
  | 'paused'
  | 'completed'
  | 'rollback_started'
  | 'rollback_paused'
  | 'rollback_completed';

export interface UpdateStatus {
  readonly State: UpdateState;
  readonly StartedAt?: Timestamp;
  readonly CompletedAt?: Timestamp;
  readonly Message: string;
}

/** What the allocator gave the service. `Spec` is the spec these ports were allocated for. */
export interface ServiceEndpoint {
  readonly Spec: EndpointSpec;
  readonly Ports?: readonly PortConfig[];
  readonly VirtualIPs?: readonly { readonly NetworkID: string; readonly Addr: string }[];
}

/** Where a service is among its revisions, by their numbers. */
export interface ServiceRevisions {
  /** The one whose roll-out is under way, paused, or ended last. */
  readonly Current: number;
  /** The one that completed last; absent while none did. */
  readonly Completed?: number;
  /** The highest number given so far. */
  readonly Last: number;
}

export interface Service extends Meta, ClientVersioned, Created {
  readonly Spec: ServiceSpec;
  /** Stored by clusters from before there were revisions. Otherwise the API shows here what a rollback would go to. */
  readonly PreviousSpec?: ServiceSpec;
  /** Version of the service whose spec tasks should have; see Task.SpecVersion. */
  readonly SpecVersion: ObjectVersion;
  /** Stored by clusters from before there were revisions. */
  readonly PreviousSpecVersion?: ObjectVersion;
  /** Absent until the service changes for the first time. */
  readonly Revisions?: ServiceRevisions;
  readonly Endpoint: ServiceEndpoint;
  readonly UpdateStatus?: UpdateStatus;
  /** Computed when listed with `status=true`; not stored. */
  readonly ServiceStatus?: {
    readonly RunningTasks: number;
    readonly DesiredTasks: number;
    readonly CompletedTasks: number;
  };
  readonly JobStatus?: { readonly JobIteration: ObjectVersion; readonly LastExecution?: Timestamp };
  /** Set while the service is being removed: its tasks stop first, then it is deleted. */
  readonly PendingDelete?: boolean;
  /** What the allocator could not allocate, as a sentence for the user. */
  readonly AllocationError?: string;
}
