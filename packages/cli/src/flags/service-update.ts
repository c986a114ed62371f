import type {
  ContainerSpec,
  Placement,
  PortConfig,
  ServiceMode,
  ServiceSpec,
  TaskSpec,
} from '@swarm/api';
import { type Arguments, type Flags, UsageError } from '../command.js';
import { withHelp } from './flag-help.js';
import { environment, hostLine, parsePreference, parseUlimit } from './lists.js';
import { parseMount } from './mount.js';
import { updatedNetworks } from './network.js';
import { parsePublish } from './publish.js';
import { COMMON_SERVICE_FLAGS, LIST_FLAGS } from './service-flags.js';
import {
  applyContainerFlags,
  applyTaskFlags,
  type Mutable,
  updateConfig,
} from './task-template.js';
import { parseCount, parsePairs, splitPair, splitWords } from './values.js';

export const UPDATE_FLAGS: Flags = withHelp({
  ...COMMON_SERVICE_FLAGS,
  ...Object.fromEntries(
    Object.entries(LIST_FLAGS)
      .filter(([name]) => name !== 'cap-add' && name !== 'cap-drop')
      .flatMap(([name, { about }]) => [
        [`${name}-add`, { type: 'list', about: `add or update: ${about}` } as const],
        [`${name}-rm`, { type: 'list', about: `remove: ${about}` } as const],
      ]),
  ),
  args: { type: 'string', about: 'command arguments' },
  'cap-add': { type: 'list', about: 'Linux capabilities to add' },
  'cap-drop': { type: 'list', about: 'Linux capabilities to drop' },
  force: { type: 'boolean', about: 'replace all tasks even if nothing changed' },
  image: { type: 'string', about: 'service image' },
  resume: { type: 'boolean', about: 'go on with the update or rollback that is paused' },
  rollback: { type: 'boolean', about: 'revert to the previous specification' },
  'with-registry-auth': { type: 'boolean', about: 'send registry authentication to the nodes' },
});

/** The spec after `service update`: the old one with the flags' changes, everything else kept. */
export function updateSpec(args: Arguments, old: ServiceSpec, env: NodeJS.ProcessEnv): ServiceSpec {
  const container: Mutable<ContainerSpec> = { ...old.TaskTemplate.ContainerSpec! };
  const image = args.string('image');
  if (image !== undefined) container.Image = image;
  const words = args.string('args');
  if (words !== undefined) container.Args = splitWords('args', words);
  applyContainerFlags(args, container);
  updateContainerLists(args, container, env);
  const task: Mutable<TaskSpec> = { ...old.TaskTemplate, ContainerSpec: container };
  applyTaskFlags(args, task);
  updatePlacement(args, task);
  if (changed(args, 'network'))
    task.Networks = updatedNetworks(args, old.TaskTemplate.Networks ?? []);
  if (args.boolean('force')) task.ForceUpdate += 1;
  const spec: Mutable<ServiceSpec> = { ...old, TaskTemplate: task };
  spec.Labels = updatePairs(args, 'label', old.Labels ?? {});
  spec.Mode = updatedMode(args, old.Mode);
  const update = updateConfig(args, 'update', old.UpdateConfig);
  if (update !== undefined) spec.UpdateConfig = update;
  const rollback = updateConfig(args, 'rollback', old.RollbackConfig);
  if (rollback !== undefined) spec.RollbackConfig = rollback;
  updateEndpoint(args, spec);
  return spec;
}

function updatedMode(args: Arguments, mode: ServiceMode): ServiceMode {
  const replicas = args.string('replicas');
  const concurrent = args.string('max-concurrent');
  if (concurrent !== undefined && mode.ReplicatedJob === undefined)
    throw new UsageError('max-concurrent can only be used with replicated-job mode');
  if (mode.ReplicatedJob !== undefined) {
    return {
      ReplicatedJob: {
        ...mode.ReplicatedJob,
        ...(replicas === undefined ? {} : { TotalCompletions: parseCount('replicas', replicas) }),
        ...(concurrent === undefined
          ? {}
          : { MaxConcurrent: parseCount('max-concurrent', concurrent) }),
      },
    };
  }
  if (replicas === undefined) return mode;
  if (mode.Replicated === undefined)
    throw new UsageError('replicas can only be used with replicated or replicated-job mode');
  return { Replicated: { Replicas: parseCount('replicas', replicas) } };
}

function updateContainerLists(
  args: Arguments,
  container: Mutable<ContainerSpec>,
  env: NodeJS.ProcessEnv,
): void {
  if (changed(args, 'env')) {
    const added = environment(args.list('env-add'), env);
    const gone = new Set([...args.list('env-rm'), ...added.map((item) => splitPair(item)[0])]);
    container.Env = [
      ...(container.Env ?? []).filter((item) => !gone.has(splitPair(item)[0])),
      ...added,
    ];
  }
  if (changed(args, 'container-label'))
    container.Labels = updatePairs(args, 'container-label', container.Labels ?? {});
  if (changed(args, 'sysctl'))
    container.Sysctls = updatePairs(args, 'sysctl', container.Sysctls ?? {});
  if (changed(args, 'group')) container.Groups = updateTexts(args, 'group', container.Groups ?? []);
  if (changed(args, 'host')) {
    const gone = new Set(
      args.list('host-rm').map((item) => (item.includes(':') ? hostLine(item) : item)),
    );
    const kept = (container.Hosts ?? []).filter(
      (line) => !gone.has(line) && !gone.has(line.split(' ')[1] ?? ''),
    );
    container.Hosts = [...kept, ...args.list('host-add').map(hostLine)];
  }
  if (changed(args, 'mount')) {
    const added = args.list('mount-add').map(parseMount);
    const gone = new Set([...args.list('mount-rm'), ...added.map((mount) => mount.Target)]);
    container.Mounts = [
      ...(container.Mounts ?? []).filter((mount) => !gone.has(mount.Target)),
      ...added,
    ];
  }
  if (changed(args, 'ulimit')) {
    const added = args.list('ulimit-add').map(parseUlimit);
    const gone = new Set([...args.list('ulimit-rm'), ...added.map((limit) => limit.Name)]);
    container.Ulimits = [
      ...(container.Ulimits ?? []).filter((limit) => !gone.has(limit.Name)),
      ...added,
    ];
  }
  if (args.has('cap-add') || args.has('cap-drop')) {
    const added = args.list('cap-add');
    const dropped = args.list('cap-drop');
    container.CapabilityAdd = unique([
      ...(container.CapabilityAdd ?? []).filter((cap) => !dropped.includes(cap)),
      ...added,
    ]);
    container.CapabilityDrop = unique([
      ...(container.CapabilityDrop ?? []).filter((cap) => !added.includes(cap)),
      ...dropped,
    ]);
  }
  if (['dns', 'dns-option', 'dns-search'].some((flag) => changed(args, flag))) {
    const dns = container.DNSConfig ?? {};
    container.DNSConfig = {
      ...dns,
      Nameservers: updateTexts(args, 'dns', dns.Nameservers ?? []),
      Options: updateTexts(args, 'dns-option', dns.Options ?? []),
      Search: updateTexts(args, 'dns-search', dns.Search ?? []),
    };
  }
}

function updatePlacement(args: Arguments, task: Mutable<TaskSpec>): void {
  const placement: Mutable<Placement> = { ...task.Placement };
  if (changed(args, 'constraint'))
    placement.Constraints = updateTexts(args, 'constraint', placement.Constraints ?? []);
  if (changed(args, 'placement-pref')) {
    const gone = new Set(args.list('placement-pref-rm').map((item) => splitPair(item)[1]));
    placement.Preferences = [
      ...(placement.Preferences ?? []).filter(
        (each) => !gone.has(each.Spread?.SpreadDescriptor ?? ''),
      ),
      ...args.list('placement-pref-add').map(parsePreference),
    ];
  }
  const most = args.string('replicas-max-per-node');
  if (most !== undefined) placement.MaxReplicas = parseCount('replicas-max-per-node', most);
  if (Object.keys(placement).length > 0) task.Placement = placement;
}

function updateEndpoint(args: Arguments, spec: Mutable<ServiceSpec>): void {
  const mode = args.string('endpoint-mode') as 'vip' | undefined;
  if (mode === undefined && !changed(args, 'publish')) return;
  const added = args.list('publish-add').flatMap(parsePublish);
  const gone = args.list('publish-rm').flatMap(parsePublish);
  const kept = (spec.EndpointSpec?.Ports ?? []).filter(
    (port) =>
      !gone.some((rule) => removes(rule, port)) && !added.some((each) => sameTarget(each, port)),
  );
  spec.EndpointSpec = {
    ...spec.EndpointSpec,
    ...(mode === undefined ? {} : { Mode: mode }),
    Ports: [...kept, ...added],
  };
}

/** `--publish-rm 80` names the target port; `8080:80` also names the published one. */
function removes(rule: PortConfig, port: PortConfig): boolean {
  return (
    rule.TargetPort === port.TargetPort &&
    rule.Protocol === port.Protocol &&
    (rule.PublishedPort === undefined || rule.PublishedPort === port.PublishedPort)
  );
}

function sameTarget(a: PortConfig, b: PortConfig): boolean {
  return (
    a.TargetPort === b.TargetPort &&
    a.Protocol === b.Protocol &&
    a.PublishedPort === b.PublishedPort
  );
}

function changed(args: Arguments, flag: string): boolean {
  return args.has(`${flag}-add`) || args.has(`${flag}-rm`);
}

function updateTexts(args: Arguments, flag: string, old: readonly string[]): string[] {
  const gone = new Set(args.list(`${flag}-rm`));
  return unique([...old.filter((item) => !gone.has(item)), ...args.list(`${flag}-add`)]);
}

function updatePairs(
  args: Arguments,
  flag: string,
  old: Readonly<Record<string, string>>,
): Record<string, string> {
  const gone = new Set(args.list(`${flag}-rm`));
  const kept = Object.entries(old).filter(([key]) => !gone.has(key));
  return { ...Object.fromEntries(kept), ...parsePairs(args.list(`${flag}-add`)) };
}

function unique(items: readonly string[]): string[] {
  return [...new Set(items)];
}
