import type {
  AllowedPort,
  AllowRule,
  ClientLimits,
  EndpointSpec,
  NetworkAttachmentConfig,
  Placement,
  PortConfig,
  Resources,
  RestartPolicy,
  Service,
  ServiceEndpoint,
  ServicePortConflict,
  ShownService,
  ServiceModes,
  ServiceSpec,
  TaskSpec,
  UpdateConfig,
  UpdateStatus,
} from '@swarm/api';
import {
  ANY,
  BOOL,
  DURATION,
  FLOAT,
  INT,
  pointerTo,
  STRING,
  STRING_MAP,
  STRINGS,
  sliceOf,
  struct,
  TIME,
} from '../../template/types.js';
import { ANNOTATIONS, type Common, META, VERSION } from './common.js';
import { CONTAINER_SPEC } from './container.js';

const RESOURCES = struct<Resources>('Resources', {
  NanoCPUs: INT,
  MemoryBytes: INT,
  GenericResources: sliceOf(ANY),
});

const LIMIT = struct<Resources & { Pids?: number }>('Limit', {
  NanoCPUs: INT,
  MemoryBytes: INT,
  Pids: INT,
});

const NETWORKS = sliceOf(
  struct<NetworkAttachmentConfig>('NetworkAttachmentConfig', {
    Target: STRING,
    Aliases: STRINGS,
    DriverOpts: STRING_MAP,
  }),
);

const PLACEMENT = struct<Placement>('Placement', {
  Constraints: STRINGS,
  Preferences: sliceOf(
    struct('PlacementPreference', {
      Spread: pointerTo(struct('SpreadOver', { SpreadDescriptor: STRING })),
    }),
  ),
  MaxReplicas: INT,
  Platforms: sliceOf(struct('Platform', { Architecture: STRING, OS: STRING })),
});

const RESTART_POLICY = struct<RestartPolicy>('RestartPolicy', {
  Condition: STRING,
  Delay: pointerTo(DURATION),
  MaxAttempts: pointerTo(INT),
  Window: pointerTo(DURATION),
});

const TASK_SPEC = struct<Omit<TaskSpec, 'RegistryAuth'>>('TaskSpec', {
  ContainerSpec: pointerTo(CONTAINER_SPEC),
  PluginSpec: pointerTo(struct('PluginSpec', {})),
  NetworkAttachmentSpec: pointerTo(struct('NetworkAttachmentSpec', { ContainerID: STRING })),
  Resources: pointerTo(
    struct<NonNullable<TaskSpec['Resources']>>('ResourceRequirements', {
      Limits: pointerTo(LIMIT),
      Reservations: pointerTo(RESOURCES),
    }),
  ),
  RestartPolicy: pointerTo(RESTART_POLICY),
  Placement: pointerTo(PLACEMENT),
  Networks: NETWORKS,
  LogDriver: pointerTo(struct('Driver', { Name: STRING, Options: STRING_MAP })),
  ForceUpdate: INT,
  Runtime: STRING,
});

const UPDATE_CONFIG = struct<UpdateConfig>('UpdateConfig', {
  Parallelism: INT,
  Delay: DURATION,
  FailureAction: STRING,
  Monitor: DURATION,
  MaxFailureRatio: FLOAT,
  Order: STRING,
});

const PORTS = sliceOf(
  struct<PortConfig>(
    'PortConfig',
    {
      Name: STRING,
      Protocol: STRING,
      TargetPort: INT,
      PublishedPort: INT,
      PublishMode: STRING,
      HostIP: STRING,
      ProxyProtocol: STRING,
      ClientLimits: pointerTo(
        struct<ClientLimits>('ClientLimits', {
          Connections: INT,
          Rate: INT,
          Per: STRING,
          Burst: INT,
        }),
      ),
    },
    { ours: ['HostIP', 'ClientLimits', 'ProxyProtocol'] },
  ),
);

const ALLOW = sliceOf(
  struct<AllowRule>('AllowRule', {
    From: STRING,
    Ports: sliceOf(struct<AllowedPort>('AllowedPort', { Protocol: STRING, Port: INT })),
  }),
);

const ENDPOINT_SPEC = struct<EndpointSpec>(
  'EndpointSpec',
  {
    Mode: STRING,
    Ports: PORTS,
    Allow: ALLOW,
    Affinity: STRING,
    TrafficPolicy: STRING,
    RevisionWeight: pointerTo(INT),
  },
  { ours: ['Allow', 'Affinity', 'TrafficPolicy', 'RevisionWeight'] },
);

const JOB = struct<ServiceModes['ReplicatedJob']>('ReplicatedJob', {
  MaxConcurrent: pointerTo(INT),
  TotalCompletions: pointerTo(INT),
});

const SERVICE_SPEC = struct<Omit<ServiceSpec, 'Name' | 'Labels'>>('ServiceSpec', {
  '...Annotations': ANNOTATIONS,
  TaskTemplate: TASK_SPEC,
  Mode: struct<ServiceModes>('ServiceMode', {
    Replicated: pointerTo(struct('ReplicatedService', { Replicas: pointerTo(INT) })),
    Global: pointerTo(struct('GlobalService', {})),
    ReplicatedJob: pointerTo(JOB),
    GlobalJob: pointerTo(struct('GlobalJob', {})),
  }),
  UpdateConfig: pointerTo(UPDATE_CONFIG),
  RollbackConfig: pointerTo(UPDATE_CONFIG),
  Networks: NETWORKS,
  EndpointSpec: pointerTo(ENDPOINT_SPEC),
});

const UPDATE_STATUS = struct<UpdateStatus>('UpdateStatus', {
  State: STRING,
  StartedAt: pointerTo(TIME),
  CompletedAt: pointerTo(TIME),
  Message: STRING,
});

const ENDPOINT = struct<ServiceEndpoint>('Endpoint', {
  Spec: ENDPOINT_SPEC,
  Ports: PORTS,
  VirtualIPs: sliceOf(struct('EndpointVirtualIP', { NetworkID: STRING, Addr: STRING })),
});

const SERVICE_STATUS = struct<NonNullable<Service['ServiceStatus']>>('ServiceStatus', {
  RunningTasks: INT,
  DesiredTasks: INT,
  CompletedTasks: INT,
});

const REVISIONS = struct('ServiceRevisions', {
  Current: INT,
  Completed: pointerTo(INT),
  Last: INT,
});

const PORT_CONFLICT = struct<ServicePortConflict>('ServicePortConflict', {
  Protocol: STRING,
  PublishedPort: INT,
  Reason: STRING,
  NodeID: STRING,
  Hostname: STRING,
});

/** A service as `service inspect` shows it. The fields from `SpecVersion` on are ours. */
export const SERVICE = struct<Omit<ShownService, Common>>(
  'Service',
  {
    ID: STRING,
    '...Meta': META,
    Spec: SERVICE_SPEC,
    PreviousSpec: pointerTo(SERVICE_SPEC),
    Endpoint: ENDPOINT,
    UpdateStatus: pointerTo(UPDATE_STATUS),
    ServiceStatus: pointerTo(SERVICE_STATUS),
    JobStatus: pointerTo(
      struct<NonNullable<Service['JobStatus']>>('JobStatus', {
        JobIteration: VERSION,
        LastExecution: TIME,
      }),
    ),
    SpecVersion: VERSION,
    PreviousSpecVersion: pointerTo(VERSION),
    Revisions: pointerTo(REVISIONS),
    PendingDelete: BOOL,
    AllocationError: STRING,
    PortConflicts: sliceOf(PORT_CONFLICT),
  },
  {
    ours: [
      'SpecVersion',
      'PreviousSpecVersion',
      'Revisions',
      'PendingDelete',
      'AllocationError',
      'PortConflicts',
    ],
  },
);
