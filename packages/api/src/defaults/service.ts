import { ApiError } from '../errors.js';
import { SECOND } from '../objects/common.js';
import type {
  ClientLimits,
  ContainerSpec,
  AllowRule,
  EndpointSpec,
  Placement,
  RestartPolicy,
  ServiceMode,
  ServiceSpec,
  TaskSpec,
  UpdateConfig,
} from '../objects/service.js';
import { isJobMode, modeOf } from '../service-mode.js';
import { ALLOW_ANY } from '../values/allow-source.js';
import type { ServiceSpecInput } from '../validate/service-shape.js';
import { parseIpAddress } from '../values/address.js';

export const STOP_GRACE_PERIOD_DEFAULT = 10 * SECOND;

export const RESTART_POLICY_DEFAULT: Required<RestartPolicy> = {
  Condition: 'any',
  Delay: 5 * SECOND,
  MaxAttempts: 0,
  Window: 0,
};

/** Weight of a task of any revision, unless the service says otherwise of the current one. */
export const REVISION_WEIGHT_DEFAULT = 100;

export const UPDATE_CONFIG_DEFAULT: Required<UpdateConfig> = {
  Parallelism: 1,
  Delay: 0,
  FailureAction: 'pause',
  Monitor: 5 * SECOND,
  MaxFailureRatio: 0,
  Order: 'stop-first',
};

/**
 * The spec to store: what was sent, plus what Docker's server fills in before it stores. A section that is
 * missing (RestartPolicy, UpdateConfig, StopGracePeriod) stays missing, so that a client that reads, edits
 * and writes back the spec does not freeze today's defaults into it; `withDefaults` adds them. Unlike
 * Docker's server, an UpdateConfig without Parallelism means 1, not unlimited.
 * @param name used when the input has no name
 * @throws ApiError INVALID_ARGUMENT when it has more than one mode
 */
export function storedServiceSpec(input: ServiceSpecInput, name: string): ServiceSpec {
  const { UpdateConfig: update, RollbackConfig: rollback, EndpointSpec: endpoint } = input;
  return {
    Name: input.Name === undefined || input.Name === '' ? name : input.Name,
    Labels: input.Labels ?? {},
    TaskTemplate: storedTask(withNetworks(input)),
    Mode: storedMode(input.Mode ?? {}),
    ...(update !== undefined && { UpdateConfig: storedUpdate(update) }),
    ...(rollback !== undefined && { RollbackConfig: storedUpdate(rollback) }),
    EndpointSpec: storedEndpoint(endpoint ?? {}),
  };
}

/** The task template, with the networks that old clients give to the service (before Engine API 1.25). */
function withNetworks({ TaskTemplate: task = {}, Networks }: ServiceSpecInput) {
  const isOld = Networks !== undefined && Networks.length > 0;
  return isOld && (task.Networks ?? []).length === 0 ? { ...task, Networks } : task;
}

function storedTask(input: NonNullable<ServiceSpecInput['TaskTemplate']>): TaskSpec {
  const { ContainerSpec: container, Networks: networks, Resources: resources, ...rest } = input;
  return {
    ...rest,
    ...(container !== undefined && { ContainerSpec: storedContainer(container) }),
    Resources: { Limits: resources?.Limits ?? {}, Reservations: resources?.Reservations ?? {} },
    Placement: storedPlacement(input.Placement ?? {}),
    ...(networks !== undefined && { Networks: targets(networks) }),
    ForceUpdate: input.ForceUpdate ?? 0,
    Runtime: input.Runtime === undefined || input.Runtime === '' ? 'container' : input.Runtime,
  };
}

function storedPlacement(input: NonNullable<TaskInput['Placement']>): Placement {
  const { Preferences: preferences, ...rest } = input;
  if (preferences === undefined) return rest;
  return {
    ...rest,
    Preferences: preferences.map(({ Spread: spread }) =>
      spread === undefined ? {} : { Spread: { SpreadDescriptor: spread.SpreadDescriptor ?? '' } },
    ),
  };
}

type TaskInput = NonNullable<ServiceSpecInput['TaskTemplate']>;

function storedContainer(input: NonNullable<TaskInput['ContainerSpec']>): ContainerSpec {
  const { Mounts: mounts, Ulimits: ulimits, ...rest } = input;
  return {
    ...rest,
    Image: input.Image ?? '',
    ...(mounts !== undefined && {
      Mounts: mounts.map((mount) => ({
        ...mount,
        Type: mount.Type ?? 'volume',
        Target: mount.Target ?? '',
      })),
    }),
    ...(ulimits !== undefined && {
      Ulimits: ulimits.map((ulimit) => ({
        Name: ulimit.Name ?? '',
        Hard: ulimit.Hard ?? 0,
        Soft: ulimit.Soft ?? 0,
      })),
    }),
    DNSConfig: input.DNSConfig ?? {},
    Isolation: input.Isolation ?? 'default',
  };
}

function targets(attachments: NonNullable<ServiceSpecInput['Networks']>) {
  return attachments.map((attachment) => ({ ...attachment, Target: attachment.Target ?? '' }));
}

function storedMode(input: NonNullable<ServiceSpecInput['Mode']>): ServiceMode {
  const { Replicated: replicated, Global, ReplicatedJob: job, GlobalJob } = input;
  const given = [replicated, Global, job, GlobalJob].filter((mode) => mode !== undefined);
  if (given.length > 1) {
    throw new ApiError('INVALID_ARGUMENT', 'must specify only one service mode');
  }
  if (job !== undefined) return { ReplicatedJob: storedJob(job) };
  if (Global !== undefined) return { Global: {} };
  if (GlobalJob !== undefined) return { GlobalJob: {} };
  return { Replicated: { Replicas: replicated?.Replicas ?? 1 } };
}

/** Defaults of Docker's server: one task at a time, and as many completions as run at a time. */
function storedJob(input: { readonly MaxConcurrent?: number; readonly TotalCompletions?: number }) {
  const concurrent = input.MaxConcurrent ?? 1;
  return { MaxConcurrent: concurrent, TotalCompletions: input.TotalCompletions ?? concurrent };
}

function storedUpdate(input: NonNullable<ServiceSpecInput['UpdateConfig']>): UpdateConfig {
  return {
    ...input,
    Parallelism: input.Parallelism ?? UPDATE_CONFIG_DEFAULT.Parallelism,
    FailureAction: input.FailureAction ?? UPDATE_CONFIG_DEFAULT.FailureAction,
    MaxFailureRatio: input.MaxFailureRatio ?? UPDATE_CONFIG_DEFAULT.MaxFailureRatio,
    Order: input.Order ?? UPDATE_CONFIG_DEFAULT.Order,
  };
}

type AllowRuleInput = NonNullable<NonNullable<ServiceSpecInput['EndpointSpec']>['Allow']>[number];

function storedEndpoint(input: NonNullable<ServiceSpecInput['EndpointSpec']>): EndpointSpec {
  const { Ports: ports, Allow: allow, Affinity, TrafficPolicy, RevisionWeight } = input;
  return {
    Mode: input.Mode ?? 'vip',
    ...(allow !== undefined && !allow.some(isOpen) && { Allow: allow.map(storedRule) }),
    ...(ports !== undefined &&
      ports.length > 0 && {
        Ports: ports.map(({ Name: name = '', PublishedPort: published = 0, ...port }) => ({
          ...(name !== '' && { Name: name }),
          Protocol: port.Protocol ?? 'tcp',
          TargetPort: port.TargetPort ?? 0,
          // Docker's clients send 0 for "choose one".
          ...(published !== 0 && { PublishedPort: published }),
          PublishMode: port.PublishMode ?? 'ingress',
          ...(port.HostIP && { HostIP: parseIpAddress(port.HostIP) ?? port.HostIP }),
          ...storedLimits(port.ClientLimits),
          ...(port.ProxyProtocol !== undefined &&
            port.ProxyProtocol !== 'none' && { ProxyProtocol: port.ProxyProtocol }),
        })),
      }),
    ...(Affinity === 'client' && { Affinity }),
    ...(TrafficPolicy !== undefined && TrafficPolicy !== 'cluster' && { TrafficPolicy }),
    ...(RevisionWeight !== undefined &&
      RevisionWeight !== REVISION_WEIGHT_DEFAULT && { RevisionWeight }),
  };
}

/** Numbers of 0 limit nothing; limits of nothing are none. */
function storedLimits(input: ClientLimits = {}): { readonly ClientLimits?: ClientLimits } {
  const { Connections = 0, Rate = 0, Per = 'second', Burst = 0 } = input;
  const ClientLimits = {
    ...(Connections > 0 && { Connections }),
    ...(Rate > 0 && { Rate }),
    ...(Rate > 0 && Per !== 'second' && { Per }),
    ...(Burst > 0 && { Burst }),
  };
  return Object.keys(ClientLimits).length === 0 ? {} : { ClientLimits };
}

/** Everybody may connect to every port: that is as without rules. */
function isOpen({ From, Ports: ports = [] }: AllowRuleInput): boolean {
  return From === ALLOW_ANY && ports.length === 0;
}

function storedRule({ From = '', Ports: ports = [] }: AllowRuleInput): AllowRule {
  if (ports.length === 0) return { From };
  return {
    From,
    Ports: ports.map(({ Protocol = 'tcp', Port = 0 }) => ({ Protocol, Port })),
  };
}

/**
 * The spec with every default written out: what `insertDefaults=true` returns, and what the control loops
 * act on.
 */
export function withDefaults(spec: ServiceSpec): ServiceSpec {
  const task = spec.TaskTemplate;
  const container = task.ContainerSpec;
  const isJob = isJobMode(modeOf(spec));
  return {
    ...spec,
    TaskTemplate: {
      ...task,
      ...(container !== undefined && {
        ContainerSpec: {
          ...container,
          StopGracePeriod: container.StopGracePeriod ?? STOP_GRACE_PERIOD_DEFAULT,
          DNSConfig: container.DNSConfig ?? {},
        },
      }),
      RestartPolicy: {
        ...RESTART_POLICY_DEFAULT,
        // A job that has completed does not run again.
        ...(isJob && { Condition: 'on-failure' as const }),
        ...task.RestartPolicy,
      },
    },
    ...(!isJob && {
      UpdateConfig: { ...UPDATE_CONFIG_DEFAULT, ...spec.UpdateConfig },
      RollbackConfig: { ...UPDATE_CONFIG_DEFAULT, ...spec.RollbackConfig },
    }),
    EndpointSpec: { ...spec.EndpointSpec, Mode: spec.EndpointSpec?.Mode ?? 'vip' },
  };
}
