import type {
  ConfigReference,
  ContainerSpec,
  AllowedPort,
  AllowRule,
  ClientLimits,
  EndpointSpec,
  FailureAction,
  HealthConfig,
  Mount,
  NetworkAttachmentConfig,
  Placement,
  PortConfig,
  RestartPolicy,
  SecretReference,
  Service,
  ServiceEndpoint,
  ServiceMode,
  ServiceModes,
  ServiceRevisions,
  ServiceSpec,
  TaskSpec,
  UpdateConfig,
  UpdateOrder,
  UpdateState,
  UpdateStatus,
} from '../objects/service.js';
import { ALLOW_PORTS_LIMIT, ALLOW_RULES_LIMIT } from '../validate/allow.js';
import { PORTS_LIMIT } from '../validate/ports.js';
import {
  choice,
  count,
  decimal,
  duration,
  exactlyOne,
  flag,
  integer,
  ipAddress,
  jsonObject,
  list,
  map,
  objectId,
  optional,
  port,
  record,
  type Shape,
  signed,
  text,
  timestamp,
} from '../wire/shape.js';
import {
  CLIENT_CONNECTIONS_LIMIT,
  CLIENT_RATE_LIMIT,
  CLIENT_VERSIONED,
  CREATED,
  labelsShape,
  META,
  objectVersionShape,
  portProtocolShape,
  proxyProtocolShape,
  ratePeriodShape,
  ENDPOINT_WEIGHT_LIMIT,
} from './common.js';
import { resourcesShape } from './node.js';

const texts: Shape<readonly string[]> = list(text());
const options: Shape<Record<string, string>> = map(text());

type BindOptions = NonNullable<Mount['BindOptions']>;
type VolumeOptions = NonNullable<Mount['VolumeOptions']>;
type DriverConfig = NonNullable<VolumeOptions['DriverConfig']>;

export const mountShape = record<Mount>({
  Type: choice<Mount['Type']>({
    bind: true,
    volume: true,
    tmpfs: true,
    npipe: true,
    cluster: true,
  }),
  Source: optional(text()),
  Target: text(),
  ReadOnly: optional(flag),
  Consistency: optional(text()),
  BindOptions: optional(
    record<BindOptions>({
      Propagation: optional(text()),
      NonRecursive: optional(flag),
      CreateMountpoint: optional(flag),
    }),
  ),
  VolumeOptions: optional(
    record<VolumeOptions>({
      NoCopy: optional(flag),
      Labels: optional(labelsShape),
      DriverConfig: optional(
        record<DriverConfig>({ Name: optional(text()), Options: optional(options) }),
      ),
      Subpath: optional(text()),
    }),
  ),
  TmpfsOptions: optional(
    record<NonNullable<Mount['TmpfsOptions']>>({
      SizeBytes: optional(count),
      Mode: optional(count),
    }),
  ),
});

export const healthConfigShape = record<HealthConfig>({
  Test: optional(texts),
  Interval: optional(duration),
  Timeout: optional(duration),
  StartPeriod: optional(duration),
  StartInterval: optional(duration),
  Retries: optional(signed),
});

const fileShape = record<NonNullable<SecretReference['File']>>({
  Name: text(),
  UID: text(),
  GID: text(),
  Mode: count,
});

const secretReferenceShape = record<SecretReference>({
  SecretID: objectId,
  SecretName: text(),
  File: optional(fileShape),
});

const configReferenceShape = record<ConfigReference>({
  ConfigID: objectId,
  ConfigName: text(),
  File: optional(fileShape),
  Runtime: optional(jsonObject),
});

export const containerSpecShape = record<ContainerSpec>({
  Image: text(),
  Labels: optional(labelsShape),
  Command: optional(texts),
  Args: optional(texts),
  Hostname: optional(text()),
  Env: optional(texts),
  Dir: optional(text()),
  User: optional(text()),
  Groups: optional(texts),
  Privileges: optional(jsonObject),
  TTY: optional(flag),
  OpenStdin: optional(flag),
  ReadOnly: optional(flag),
  Mounts: optional(list(mountShape)),
  StopSignal: optional(text()),
  StopGracePeriod: optional(duration),
  Healthcheck: optional(healthConfigShape),
  Hosts: optional(texts),
  DNSConfig: optional(
    record<NonNullable<ContainerSpec['DNSConfig']>>({
      Nameservers: optional(texts),
      Search: optional(texts),
      Options: optional(texts),
    }),
  ),
  Secrets: optional(list(secretReferenceShape)),
  Configs: optional(list(configReferenceShape)),
  Init: optional(flag),
  Isolation: optional(text()),
  Sysctls: optional(options),
  CapabilityAdd: optional(texts),
  CapabilityDrop: optional(texts),
  Ulimits: optional(
    list(
      record<NonNullable<ContainerSpec['Ulimits']>[number]>({
        Name: text(),
        Hard: signed,
        Soft: signed,
      }),
    ),
  ),
  OomScoreAdj: optional(signed),
});

export const restartPolicyShape = record<RestartPolicy>({
  Condition: optional(
    choice<NonNullable<RestartPolicy['Condition']>>({ none: true, 'on-failure': true, any: true }),
  ),
  Delay: optional(duration),
  MaxAttempts: optional(count),
  Window: optional(duration),
});

type Preference = NonNullable<Placement['Preferences']>[number];

export const placementShape = record<Placement>({
  Constraints: optional(texts),
  Preferences: optional(
    list(
      record<Preference>({
        Spread: optional(record<NonNullable<Preference['Spread']>>({ SpreadDescriptor: text() })),
      }),
    ),
  ),
  MaxReplicas: optional(count),
  Platforms: optional(
    list(
      record<NonNullable<Placement['Platforms']>[number]>({
        Architecture: optional(text()),
        OS: optional(text()),
      }),
    ),
  ),
});

export const networkAttachmentConfigShape = record<NetworkAttachmentConfig>({
  Target: text(),
  Aliases: optional(texts),
  DriverOpts: optional(options),
});

type TaskResources = NonNullable<TaskSpec['Resources']>;

export const taskSpecShape = record<TaskSpec>({
  ContainerSpec: optional(containerSpecShape),
  Resources: optional(
    record<TaskResources>({
      Limits: optional(
        record<NonNullable<TaskResources['Limits']>>({
          NanoCPUs: optional(signed),
          MemoryBytes: optional(signed),
          Pids: optional(signed),
        }),
      ),
      Reservations: optional(resourcesShape),
    }),
  ),
  RestartPolicy: optional(restartPolicyShape),
  Placement: optional(placementShape),
  Networks: optional(list(networkAttachmentConfigShape)),
  NetworkAttachmentSpec: optional(
    record<NonNullable<TaskSpec['NetworkAttachmentSpec']>>({ ContainerID: text() }),
  ),
  LogDriver: optional(
    record<NonNullable<TaskSpec['LogDriver']>>({
      Name: optional(text()),
      Options: optional(options),
    }),
  ),
  ForceUpdate: count,
  Runtime: optional(text()),
  RegistryAuth: optional(text()),
});

export const updateConfigShape = record<UpdateConfig>({
  Parallelism: count,
  Delay: optional(duration),
  FailureAction: optional(choice<FailureAction>({ pause: true, continue: true, rollback: true })),
  Monitor: optional(duration),
  MaxFailureRatio: optional(decimal()),
  Order: optional(choice<UpdateOrder>({ 'stop-first': true, 'start-first': true })),
});

/** Most characters of a port's name. */
export const PORT_NAME_LIMIT = 255;

const clientLimitsShape = record<ClientLimits>({
  Connections: optional(integer(1, CLIENT_CONNECTIONS_LIMIT)),
  Rate: optional(integer(1, CLIENT_RATE_LIMIT)),
  Per: optional(ratePeriodShape),
  Burst: optional(integer(1, CLIENT_RATE_LIMIT)),
});

export const portConfigShape = record<PortConfig>({
  Name: optional(text(PORT_NAME_LIMIT)),
  Protocol: portProtocolShape,
  TargetPort: port,
  // In a spec, 0 asks the allocator to choose.
  PublishedPort: optional(integer(0, 65_535)),
  PublishMode: choice<PortConfig['PublishMode']>({ ingress: true, host: true }),
  HostIP: optional(ipAddress),
  ClientLimits: optional(clientLimitsShape),
  ProxyProtocol: optional(proxyProtocolShape),
});

export const portsShape = list(portConfigShape, PORTS_LIMIT);

const allowRuleShape = record<AllowRule>({
  From: text(),
  Ports: optional(
    list(record<AllowedPort>({ Protocol: portProtocolShape, Port: port }), ALLOW_PORTS_LIMIT),
  ),
});

export const allowShape = list(allowRuleShape, ALLOW_RULES_LIMIT);

export const endpointSpecShape = record<EndpointSpec>({
  Mode: optional(choice<NonNullable<EndpointSpec['Mode']>>({ vip: true, dnsrr: true })),
  Ports: optional(portsShape),
  Allow: optional(allowShape),
  Affinity: optional(choice<NonNullable<EndpointSpec['Affinity']>>({ client: true })),
  TrafficPolicy: optional(
    choice<NonNullable<EndpointSpec['TrafficPolicy']>>({ local: true, 'prefer-local': true }),
  ),
  RevisionWeight: optional(integer(0, ENDPOINT_WEIGHT_LIMIT)),
});

const nothing = record<Record<string, never>>({});

/** Most replicas of one service, and completions of one job: orchestrators make a list of that length. */
export const REPLICAS_LIMIT = 100_000;

const replicas = integer(0, REPLICAS_LIMIT);

/** With two modes, two orchestrators would undo each other's work forever; with none, nobody is in charge. */
export const serviceModeShape: Shape<ServiceMode> = exactlyOne<ServiceModes>({
  Replicated: record<ServiceModes['Replicated']>({ Replicas: replicas }),
  Global: nothing,
  ReplicatedJob: record<ServiceModes['ReplicatedJob']>({
    MaxConcurrent: optional(replicas),
    TotalCompletions: optional(replicas),
  }),
  GlobalJob: nothing,
});

export const serviceSpecShape = record<ServiceSpec>({
  Name: text(),
  Labels: labelsShape,
  TaskTemplate: taskSpecShape,
  Mode: serviceModeShape,
  UpdateConfig: optional(updateConfigShape),
  RollbackConfig: optional(updateConfigShape),
  Networks: optional(list(networkAttachmentConfigShape)),
  EndpointSpec: optional(endpointSpecShape),
});

export const updateStatusShape = record<UpdateStatus>({
  State: choice<UpdateState>({
    updating: true,
    paused: true,
    completed: true,
    rollback_started: true,
    rollback_paused: true,
    rollback_completed: true,
  }),
  StartedAt: optional(timestamp),
  CompletedAt: optional(timestamp),
  Message: text(),
});

export const serviceEndpointShape = record<ServiceEndpoint>({
  Spec: endpointSpecShape,
  Ports: optional(portsShape),
  VirtualIPs: optional(
    list(
      record<NonNullable<ServiceEndpoint['VirtualIPs']>[number]>({
        NetworkID: objectId,
        Addr: text(),
      }),
    ),
  ),
});

export const serviceShape = record<Service>({
  ...META,
  ...CLIENT_VERSIONED,
  ...CREATED,
  Spec: serviceSpecShape,
  PreviousSpec: optional(serviceSpecShape),
  SpecVersion: objectVersionShape,
  PreviousSpecVersion: optional(objectVersionShape),
  Revisions: optional(
    record<ServiceRevisions>({ Current: count, Completed: optional(count), Last: count }),
  ),
  Endpoint: serviceEndpointShape,
  UpdateStatus: optional(updateStatusShape),
  ServiceStatus: optional(
    record<NonNullable<Service['ServiceStatus']>>({
      RunningTasks: count,
      DesiredTasks: count,
      CompletedTasks: count,
    }),
  ),
  JobStatus: optional(
    record<NonNullable<Service['JobStatus']>>({
      JobIteration: objectVersionShape,
      LastExecution: optional(timestamp),
    }),
  ),
  PendingDelete: optional(flag),
  AllocationError: optional(text()),
});
