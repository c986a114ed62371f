import {
  CLIENT_CONNECTIONS_LIMIT,
  CLIENT_RATE_LIMIT,
  ENDPOINT_WEIGHT_LIMIT,
} from '../shapes/common.js';
import { PORT_NAME_LIMIT, REPLICAS_LIMIT } from '../shapes/service.js';
import {
  anything,
  choice,
  type Decoded,
  decimal,
  duration,
  flag,
  integer,
  list,
  map,
  object,
  text,
  unserved,
} from './field.js';

/** Most characters of an address. */
const ADDRESS_LIMIT = 64;

const labels = map(text());

const mount = object({
  Type: choice('bind', 'volume', 'tmpfs', 'npipe', 'cluster'),
  Source: text(),
  Target: text(),
  ReadOnly: flag(),
  Consistency: text(),
  BindOptions: object({
    Propagation: text(),
    NonRecursive: flag(),
    CreateMountpoint: flag(),
    ReadOnlyNonRecursive: unserved('recursive read-only options of bind mounts are not served'),
    ReadOnlyForceRecursive: unserved('recursive read-only options of bind mounts are not served'),
  }),
  VolumeOptions: object({
    NoCopy: flag(),
    Labels: labels,
    DriverConfig: object({ Name: text(), Options: labels }),
    Subpath: text(),
  }),
  TmpfsOptions: object({
    SizeBytes: integer(),
    Mode: integer({ max: 0o7777 }),
    Options: unserved('tmpfs options other than size and mode are not served'),
  }),
  ImageOptions: unserved('mounts of images are not served'),
  ClusterOptions: unserved('cluster volumes are not served'),
});

const health = object({
  Test: list(text()),
  Interval: duration(),
  Timeout: duration(),
  StartPeriod: duration(),
  StartInterval: duration(),
  Retries: integer({ min: Number.MIN_SAFE_INTEGER }),
});

const containerSpec = object({
  Image: text({ max: 1024 }),
  Labels: labels,
  Command: list(text()),
  Args: list(text()),
  Hostname: text({ max: 253 }),
  Env: list(text()),
  Dir: text(),
  User: text(),
  Groups: list(text()),
  Privileges: anything(),
  TTY: flag(),
  OpenStdin: flag(),
  ReadOnly: flag(),
  Mounts: list(mount),
  StopSignal: text({ max: 32 }),
  StopGracePeriod: duration(),
  Healthcheck: health,
  Hosts: list(text()),
  DNSConfig: object({ Nameservers: list(text()), Search: list(text()), Options: list(text()) }),
  Secrets: unserved('secrets are not served yet; give the service its data by a bind mount'),
  Configs: unserved('configs are not served yet; give the service its data by a bind mount'),
  Init: flag(),
  Isolation: choice('default', 'process', 'hyperv'),
  Sysctls: labels,
  CapabilityAdd: list(text()),
  CapabilityDrop: list(text()),
  Ulimits: list(object({ Name: text(), Hard: integer({ min: -1 }), Soft: integer({ min: -1 }) })),
  OomScoreAdj: integer({ min: -1000, max: 1000 }),
});

const signed = integer({ min: Number.MIN_SAFE_INTEGER });
const noGenericResources = unserved(
  'generic resources are not served; reserve CPU and memory, or place by a node label',
);
const noSwap = unserved('swap settings are not served; limit memory instead');

const networkAttachment = object({ Target: text(), Aliases: list(text()), DriverOpts: labels });

const updateConfig = object({
  Parallelism: integer(),
  Delay: duration(),
  FailureAction: choice('pause', 'continue', 'rollback'),
  Monitor: duration(),
  MaxFailureRatio: decimal(),
  Order: choice('stop-first', 'start-first'),
});

/** The types in the body of service create and update. The rules are in service-rules.ts. */
const serviceBody = object({
  Name: text(),
  Labels: labels,
  TaskTemplate: object({
    ContainerSpec: containerSpec,
    PluginSpec: unserved('services of plugins are not served; install the plugin on each node'),
    NetworkAttachmentSpec: unserved('tasks that only attach a network are not served'),
    Resources: object({
      Limits: object({
        NanoCPUs: signed,
        MemoryBytes: signed,
        Pids: signed,
        GenericResources: noGenericResources,
      }),
      Reservations: object({
        NanoCPUs: signed,
        MemoryBytes: signed,
        GenericResources: noGenericResources,
      }),
      SwapBytes: noSwap,
      MemorySwappiness: noSwap,
    }),
    RestartPolicy: object({
      Condition: choice('none', 'on-failure', 'any'),
      Delay: duration(),
      MaxAttempts: integer(),
      Window: duration(),
    }),
    Placement: object({
      Constraints: list(text()),
      Preferences: list(object({ Spread: object({ SpreadDescriptor: text() }) })),
      MaxReplicas: integer(),
      Platforms: list(object({ Architecture: text(), OS: text() })),
    }),
    Networks: list(networkAttachment),
    LogDriver: object({ Name: text(), Options: labels }),
    ForceUpdate: integer(),
    Runtime: text(),
  }),
  Mode: object({
    Replicated: object({ Replicas: integer({ max: REPLICAS_LIMIT }) }),
    Global: object({}),
    ReplicatedJob: object({
      MaxConcurrent: integer({ max: REPLICAS_LIMIT }),
      TotalCompletions: integer({ max: REPLICAS_LIMIT }),
    }),
    GlobalJob: object({}),
  }),
  UpdateConfig: updateConfig,
  RollbackConfig: updateConfig,
  Networks: list(networkAttachment),
  EndpointSpec: object({
    Mode: choice('vip', 'dnsrr'),
    Ports: list(
      object({
        Name: text({ max: PORT_NAME_LIMIT }),
        Protocol: choice('tcp', 'udp', 'sctp'),
        TargetPort: integer({ max: 65_535 }),
        PublishedPort: integer({ max: 65_535 }),
        PublishMode: choice('ingress', 'host'),
        HostIP: text({ max: ADDRESS_LIMIT }),
        ProxyProtocol: choice('none', 'v1', 'v2'),
        ClientLimits: object({
          Connections: integer({ max: CLIENT_CONNECTIONS_LIMIT }),
          Rate: integer({ max: CLIENT_RATE_LIMIT }),
          Per: choice('second', 'minute', 'hour'),
          Burst: integer({ max: CLIENT_RATE_LIMIT }),
        }),
      }),
    ),
    Allow: list(
      object({
        From: text(),
        Ports: list(
          object({ Protocol: choice('tcp', 'udp', 'sctp'), Port: integer({ max: 65_535 }) }),
        ),
      }),
    ),
    Affinity: choice('client', 'none'),
    TrafficPolicy: choice('cluster', 'local', 'prefer-local'),
    RevisionWeight: integer({ max: ENDPOINT_WEIGHT_LIMIT }),
  }),
});

/** A service spec as sent: types checked, nothing filled in. */
export type ServiceSpecInput = Decoded<typeof serviceBody>;

/** @throws ApiError, see Field. */
export function decodeServiceSpec(body: unknown): ServiceSpecInput {
  return serviceBody.read(body ?? {}, '') ?? {};
}
