import type { Service, UpdateConfig } from '@swarm/api';
import { goDuration } from './time.js';

/** A service in a form for people, in the order Docker prints it. */
export function prettyService(service: Service): string {
  const { Spec: spec } = service;
  const container = spec.TaskTemplate.ContainerSpec;
  const lines = ['', `ID:\t\t${service.ID}`, `Name:\t\t${spec.Name}`];
  const labels = Object.entries(spec.Labels ?? {});
  if (labels.length > 0) lines.push('Labels:', ...labels.map(([key, value]) => ` ${key}=${value}`));
  lines.push(`Service Mode:\t${spec.Mode.Global === undefined ? 'Replicated' : 'Global'}`);
  if (spec.Mode.Replicated !== undefined)
    lines.push(` Replicas:\t${spec.Mode.Replicated.Replicas}`);
  const status = service.UpdateStatus;
  if (status !== undefined) {
    lines.push('UpdateStatus:', ` State:\t\t${status.State}`);
    if (status.StartedAt !== undefined) lines.push(` Started:\t${status.StartedAt}`);
    if (status.CompletedAt !== undefined) lines.push(` Completed:\t${status.CompletedAt}`);
    lines.push(` Message:\t${status.Message}`);
  }
  if (service.AllocationError !== undefined) lines.push(`Waiting for:\t${service.AllocationError}`);
  lines.push('Placement:');
  const placement = spec.TaskTemplate.Placement;
  if (placement?.Constraints?.length)
    lines.push(` Constraints:\t[${placement.Constraints.join(', ')}]`);
  if (placement?.MaxReplicas) lines.push(` Max Replicas Per Node:\t${placement.MaxReplicas}`);
  lines.push(
    ...prettyUpdate('UpdateConfig', spec.UpdateConfig),
    ...prettyUpdate('RollbackConfig', spec.RollbackConfig),
  );
  lines.push('ContainerSpec:', ` Image:\t\t${container?.Image ?? ''}`);
  if (container?.Command?.length) lines.push(` Command:\t${container.Command.join(' ')}`);
  if (container?.Args?.length) lines.push(` Args:\t\t${container.Args.join(' ')}`);
  if (container?.Env?.length) lines.push(` Env:\t\t${container.Env.join(' ')}`);
  const { Limits: limits, Reservations: reservations } = spec.TaskTemplate.Resources ?? {};
  lines.push('Resources:');
  for (const [title, part] of [
    ['Reservations', reservations],
    ['Limits', limits],
  ] as const) {
    if (part === undefined || Object.keys(part).length === 0) continue;
    lines.push(` ${title}:`);
    if (part.NanoCPUs) lines.push(`  CPU:\t\t${part.NanoCPUs / 1e9}`);
    if (part.MemoryBytes) lines.push(`  Memory:\t${part.MemoryBytes} bytes`);
  }
  lines.push(`Endpoint Mode:\t${spec.EndpointSpec?.Mode ?? 'vip'}`);
  const ports = service.Endpoint.Ports ?? [];
  if (ports.length > 0) lines.push('Ports:');
  for (const port of ports) {
    lines.push(
      ` PublishedPort = ${port.PublishedPort ?? '(any)'}`,
      `  Protocol = ${port.Protocol}`,
      `  TargetPort = ${port.TargetPort}`,
      `  PublishMode = ${port.PublishMode}`,
    );
  }
  return lines.join('\n');
}

function prettyUpdate(title: string, config: UpdateConfig | undefined): string[] {
  if (config === undefined) return [];
  const lines = [`${title}:`, ` Parallelism:\t${config.Parallelism}`];
  if (config.Delay) lines.push(` Delay:\t\t${goDuration(config.Delay)}`);
  if (config.FailureAction !== undefined) lines.push(` On failure:\t${config.FailureAction}`);
  if (config.Monitor) lines.push(` Monitoring Period: ${goDuration(config.Monitor)}`);
  lines.push(` Max failure ratio: ${config.MaxFailureRatio ?? 0}`);
  if (config.Order !== undefined) lines.push(` Update order:      ${config.Order}`);
  return lines;
}
