import type {
  ContainerSpec,
  EndpointSpec,
  HealthConfig,
  Mount,
  PortConfig,
  Resources,
  ServiceMode,
  ServicePortConflict,
  ShownService,
  TaskSpec,
  UpdateConfig,
  UpdateStatus,
} from '@swarm/api';
import { shownRules } from '../flags/allow.js';
import { showControls } from '@swarm/api/client';
import { goDuration, humanBytes, humanDuration } from './time.js';

/**
 * Formats a service for people, in the order in which Docker prints it.
 * @param nowMs wall clock, for the age of an update
 * @param networkNames names of its networks, by their ids
 */
export function prettyService(
  service: ShownService,
  nowMs: number,
  networkNames: ReadonlyMap<string, string> = new Map(),
): string {
  const { Spec: spec } = service;
  const task = spec.TaskTemplate;
  const lines = ['', `ID:\t\t${service.ID}`, `Name:\t\t${spec.Name}`];
  const labels = Object.entries(spec.Labels ?? {});
  if (labels.length > 0) lines.push('Labels:', ...labels.map(([key, value]) => ` ${key}=${value}`));
  lines.push(...prettyMode(spec.Mode));
  if (service.UpdateStatus !== undefined) lines.push(...prettyStatus(service.UpdateStatus, nowMs));
  if (service.AllocationError !== undefined) lines.push(`Waiting for:\t${service.AllocationError}`);
  lines.push(...prettyPlacement(task));
  // A job is run again, not updated.
  if (spec.Mode.ReplicatedJob === undefined && spec.Mode.GlobalJob === undefined) {
    lines.push(
      ...prettyUpdate('Update', spec.UpdateConfig),
      ...prettyUpdate('Rollback', spec.RollbackConfig),
    );
  }
  lines.push(...prettyContainer(task.ContainerSpec), ...prettyResources(task));
  const nameOf = (id: string) => showControls(networkNames.get(id) ?? id);
  const networks = (task.Networks ?? []).map(({ Target }) => nameOf(Target));
  if (networks.length > 0) lines.push(`Networks:\t${networks.join(' ')}`);
  lines.push(`Endpoint Mode:\t${spec.EndpointSpec?.Mode ?? 'vip'}`);
  const allow = spec.EndpointSpec?.Allow;
  if (allow !== undefined) lines.push(`Allowed:\t${shownRules(allow).join(' ') || 'nobody'}`);
  const vips = service.Endpoint.VirtualIPs ?? [];
  if (vips.length > 0)
    lines.push('Virtual IPs:', ...vips.map((each) => ` ${nameOf(each.NetworkID)}:\t${each.Addr}`));
  lines.push(...prettyTraffic(spec.EndpointSpec));
  const ports = service.Endpoint.Ports ?? [];
  if (ports.length > 0)
    lines.push('Ports:', ...ports.flatMap((port) => prettyPort(port, service.PortConflicts ?? [])));
  const health = task.ContainerSpec?.Healthcheck;
  if (health !== undefined) lines.push(...prettyHealth(health));
  return `${lines.join('\n')}\n`;
}

function prettyMode(mode: ServiceMode): string[] {
  if (mode.Global !== undefined) return ['Service Mode:\tGlobal'];
  if (mode.GlobalJob !== undefined) return ['Service Mode:\tGlobal Job'];
  const job = mode.ReplicatedJob;
  if (job === undefined)
    return ['Service Mode:\tReplicated', ` Replicas:\t${mode.Replicated?.Replicas ?? 1}`];
  const concurrent = job.MaxConcurrent ?? 1;
  return [
    'Service Mode:\tReplicated Job',
    ` Max Concurrent:\t${concurrent}`,
    ` Total Completions:\t${job.TotalCompletions ?? concurrent}`,
  ];
}

function prettyStatus(status: UpdateStatus, nowMs: number): string[] {
  const ago = (at: string) => `${humanDuration(nowMs - Date.parse(at))} ago`;
  const lines = ['UpdateStatus:', ` State:\t\t${status.State}`];
  if (status.StartedAt !== undefined) lines.push(` Started:\t${ago(status.StartedAt)}`);
  if (status.CompletedAt !== undefined) lines.push(` Completed:\t${ago(status.CompletedAt)}`);
  return [...lines, ` Message:\t${status.Message}`];
}

function prettyPlacement({ Placement: placement }: TaskSpec): string[] {
  const lines = ['Placement:'];
  if (placement?.Constraints?.length)
    lines.push(` Constraints:\t[${placement.Constraints.join(' ')}]`);
  const spread = (placement?.Preferences ?? []).map((each) => each.Spread?.SpreadDescriptor ?? '');
  if (spread.length > 0) lines.push(` Preferences:\t[${spread.map((each) => `spread=${each}`)}]`);
  if (placement?.MaxReplicas) lines.push(` Max Replicas Per Node:\t${placement.MaxReplicas}`);
  return lines;
}

function prettyUpdate(kind: 'Update' | 'Rollback', config: UpdateConfig | undefined): string[] {
  if (config === undefined) return [];
  const lines = [`${kind}Config:`, ` Parallelism:\t${config.Parallelism}`];
  if (config.Delay) lines.push(` Delay:\t\t${goDuration(config.Delay)}`);
  if (config.FailureAction !== undefined) lines.push(` On failure:\t${config.FailureAction}`);
  if (config.Monitor) lines.push(` Monitoring Period: ${goDuration(config.Monitor)}`);
  lines.push(` Max failure ratio: ${config.MaxFailureRatio ?? 0}`);
  if (config.Order !== undefined) lines.push(`${` ${kind} order:`.padEnd(20)}${config.Order}`);
  return lines;
}

function prettyContainer(container: ContainerSpec | undefined): string[] {
  if (container === undefined) return ['ContainerSpec:'];
  const lines = ['ContainerSpec:', ` Image:\t\t${container.Image}`];
  const list = (title: string, items: readonly string[] | undefined) => {
    if (items?.length) lines.push(` ${title}:\t\t${items.join(' ')}`);
  };
  list('Command', container.Command);
  list('Args', container.Args);
  list('Env', container.Env);
  if (container.Dir) lines.push(` Dir:\t\t${container.Dir}`);
  if (container.User) lines.push(` User:\t\t${container.User}`);
  if (container.Init !== undefined) lines.push(` Init:\t\t${container.Init}`);
  list('Cap Add', container.CapabilityAdd);
  list('Cap Drop', container.CapabilityDrop);
  for (const [name, value] of Object.entries(container.Sysctls ?? {}))
    lines.push(` Sysctl:\t${name}=${value}`);
  for (const { Name: name, Soft: soft, Hard: hard } of container.Ulimits ?? [])
    lines.push(` Ulimit:\t${name}=${soft}:${hard}`);
  if (container.Mounts?.length) lines.push('Mounts:', ...container.Mounts.flatMap(prettyMount));
  return lines;
}

function prettyMount(mount: Mount): string[] {
  return [
    ` Target:\t${mount.Target}`,
    `  Source:\t${mount.Source ?? ''}`,
    `  ReadOnly:\t${mount.ReadOnly ?? false}`,
    `  Type:\t\t${mount.Type}`,
  ];
}

function prettyResources({ Resources: resources }: TaskSpec): string[] {
  const lines = ['Resources:'];
  const part = (title: string, given: (Resources & { Pids?: number }) | undefined) => {
    if (given === undefined || Object.keys(given).length === 0) return;
    lines.push(` ${title}:`);
    if (given.NanoCPUs) lines.push(`  CPU:\t\t${given.NanoCPUs / 1e9}`);
    if (given.MemoryBytes) lines.push(`  Memory:\t${humanBytes(given.MemoryBytes)}`);
    if (given.Pids) lines.push(`  Pids:\t\t${given.Pids}`);
  };
  part('Reservations', resources?.Reservations);
  part('Limits', resources?.Limits);
  return lines;
}

function prettyTraffic({ Affinity, TrafficPolicy, RevisionWeight }: EndpointSpec = {}): string[] {
  return [
    ...(Affinity === undefined ? [] : [`Affinity:\t${Affinity}`]),
    ...(TrafficPolicy === undefined ? [] : [`Traffic Policy:\t${TrafficPolicy}`]),
    ...(RevisionWeight === undefined ? [] : [`Revision Weight: ${RevisionWeight}`]),
  ];
}

function prettyPort(port: PortConfig, conflicts: readonly ServicePortConflict[]): string[] {
  const own = conflicts.filter(
    ({ Protocol, PublishedPort }) =>
      Protocol === port.Protocol && PublishedPort === port.PublishedPort,
  );
  return [
    ` PublishedPort = ${port.PublishedPort ?? '(any)'}`,
    `  Protocol = ${port.Protocol}`,
    `  TargetPort = ${port.TargetPort}`,
    `  PublishMode = ${port.PublishMode}`,
    ...(port.HostIP === undefined ? [] : [`  HostIP = ${port.HostIP}`]),
    ...prettyLimits(port.ClientLimits),
    ...(port.ProxyProtocol === undefined ? [] : [`  ProxyProtocol = ${port.ProxyProtocol}`]),
    ...own.map(({ Hostname, Reason }) => `  Not served on ${Hostname}: ${Reason}`),
  ];
}

function prettyLimits(limits: PortConfig['ClientLimits']): string[] {
  const { Connections, Rate, Per = 'second', Burst = Rate } = limits ?? {};
  return [
    ...(Connections === undefined ? [] : [`  Connections of a client = ${Connections}`]),
    ...(Rate === undefined ? [] : [`  Rate of a client = ${Rate}/${Per}, ${Burst} at once`]),
  ];
}

function prettyHealth(health: HealthConfig): string[] {
  return [
    ' Healthcheck:',
    `  Interval = ${goDuration(health.Interval ?? 0)}`,
    `  Retries = ${health.Retries ?? 0}`,
    `  StartPeriod =\t${goDuration(health.StartPeriod ?? 0)}`,
    `  Timeout =\t${goDuration(health.Timeout ?? 0)}`,
    ...(health.Test?.length ? ['  Tests:', ...health.Test.map((word) => `\t Test = ${word}`)] : []),
  ];
}
