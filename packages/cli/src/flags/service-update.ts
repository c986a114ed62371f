import type {
  ContainerSpec,
  Placement,
  PortConfig,
  ServiceMode,
  ServiceSpec,
  TaskSpec,
} from '@swarm/api';
import { type Arguments, type Flags, UsageError } from '../command.js';
import { ALLOW, changedAllow } from './allow.js';
import { withHelp } from './flag-help.js';
import { changeList, distinct, type ListFlag } from './list-change.js';
import { assign, environment, hostLine, parsePreference, parseUlimit } from './lists.js';
import { parseMount } from './mount.js';
import {
  HOST,
  hostLines,
  MOUNT,
  networkList,
  PREFERENCE,
  portList,
  ULIMIT,
} from './object-lists.js';
import { parseNetwork } from './network.js';
import { parsePublish } from './publish.js';
import { ALLOW_ABOUT, COMMON_SERVICE_FLAGS, LIST_FLAGS } from './service-flags.js';
import { trafficOf } from './traffic.js';
import {
  applyContainerFlags,
  applyTaskFlags,
  type Mutable,
  updateConfig,
} from './task-template.js';
import {
  CAPABILITY,
  CONSTRAINT,
  CONTAINER_LABEL,
  capability,
  DNS,
  DNS_OPTION,
  DNS_SEARCH,
  ENV,
  GROUP,
  LABEL,
  type Pair,
  SYSCTL,
} from './text-lists.js';
import { parseCount, splitPair, splitWords } from './values.js';

export const UPDATE_FLAGS: Flags = withHelp({
  ...COMMON_SERVICE_FLAGS,
  ...Object.fromEntries(
    Object.entries(LIST_FLAGS)
      .filter(([name]) => name !== 'cap-add' && name !== 'cap-drop')
      .flatMap(([name, { about, completes }]) => {
        const flag = { type: 'list', ...(completes !== undefined && { completes }) } as const;
        return [
          [`${name}-add`, { ...flag, about: `add or update: ${about}` }] as const,
          [`${name}-rm`, { ...flag, about: `remove: ${about}` }] as const,
        ];
      }),
  ),
  allow: { type: 'list', about: ALLOW_ABOUT },
  'allow-rm': {
    type: 'list',
    about: 'remove rules: a source with a port, or a source for all of its rules',
  },
  args: { type: 'string', about: 'command arguments' },
  'cap-add': { type: 'list', about: 'Linux capabilities to add' },
  'cap-drop': { type: 'list', about: 'Linux capabilities to drop' },
  force: { type: 'boolean', about: 'replace all tasks even if nothing changed' },
  image: { type: 'string', about: 'service image' },
  resume: { type: 'boolean', about: 'go on with the update or rollback that is paused' },
  rollback: { type: 'boolean', about: 'revert to the previous specification' },
  'with-registry-auth': { type: 'boolean', about: 'send registry authentication to the nodes' },
});

/**
 * The spec after `service update`: the old one with the flags' changes, everything else kept.
 * @param assigned ports of the service's endpoint, as the cluster chose them
 * @param networkNames names of the service's networks, by their ids
 * @throws UsageError for a `--*-rm` that matches nothing
 */
export function updateSpec(
  args: Arguments,
  old: ServiceSpec,
  env: NodeJS.ProcessEnv,
  assigned: readonly PortConfig[] = [],
  networkNames: ReadonlyMap<string, string> = new Map(),
): ServiceSpec {
  const change = changes(args, `service ${old.Name}`);
  const container: Mutable<ContainerSpec> = { ...old.TaskTemplate.ContainerSpec! };
  const image = args.string('image');
  if (image !== undefined) container.Image = image;
  const words = args.string('args');
  if (words !== undefined) container.Args = splitWords('args', words);
  applyContainerFlags(args, container);
  updateContainerLists(args, change, container, env);
  const task: Mutable<TaskSpec> = { ...old.TaskTemplate, ContainerSpec: container };
  applyTaskFlags(args, task);
  updatePlacement(args, change, task);
  assign(task, 'Networks', change(networkList(networkNames), task.Networks, parseNetwork));
  if (args.boolean('force')) task.ForceUpdate += 1;
  const spec: Mutable<ServiceSpec> = { ...old, TaskTemplate: task };
  spec.Labels = changePairs(change, LABEL, old.Labels) ?? old.Labels ?? {};
  spec.Mode = updatedMode(args, old.Mode);
  const update = updateConfig(args, 'update', old.UpdateConfig);
  if (update !== undefined) spec.UpdateConfig = update;
  const rollback = updateConfig(args, 'rollback', old.RollbackConfig);
  if (rollback !== undefined) spec.RollbackConfig = rollback;
  updateEndpoint(args, change, spec, assigned);
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

/** Changes a list by its `-add` and `-rm` flags; undefined if neither is given. */
type Change = <Item>(
  flag: ListFlag<Item>,
  old: readonly Item[] | undefined,
  parse: (text: string) => Item | readonly Item[],
) => Item[] | undefined;

function changes(args: Arguments, owner: string): Change {
  return (flag, old, parse) => {
    const removed = args.list(`${flag.name}-rm`);
    const texts = args.list(`${flag.name}-add`);
    if (removed.length === 0 && texts.length === 0) return undefined;
    return changeList(flag, owner, old ?? [], { removed, added: texts.flatMap(parse) as never });
  };
}

function updateContainerLists(
  args: Arguments,
  change: Change,
  container: Mutable<ContainerSpec>,
  env: NodeJS.ProcessEnv,
): void {
  assign(
    container,
    'Env',
    change(ENV, container.Env, (text) => environment([text], env)),
  );
  assign(container, 'Labels', changePairs(change, CONTAINER_LABEL, container.Labels));
  assign(container, 'Sysctls', changePairs(change, SYSCTL, container.Sysctls));
  assign(container, 'Groups', change(GROUP, container.Groups, asWritten));
  const hosts = args.has('host-rm') ? hostLines(container.Hosts ?? []) : container.Hosts;
  assign(container, 'Hosts', change(HOST, hosts, hostLine));
  assign(container, 'Mounts', change(MOUNT, container.Mounts, parseMount));
  assign(container, 'Ulimits', change(ULIMIT, container.Ulimits, parseUlimit));
  if (args.has('cap-add') || args.has('cap-drop')) {
    const added = args.list('cap-add');
    const dropped = args.list('cap-drop');
    const changed = (
      own: readonly string[] | undefined,
      other: readonly string[],
      more: readonly string[],
    ) => {
      const gone = new Set(other.map(capability));
      const kept = (own ?? []).filter((cap) => !gone.has(capability(cap)));
      return distinct(CAPABILITY, [...kept, ...more]);
    };
    container.CapabilityAdd = changed(container.CapabilityAdd, dropped, added);
    container.CapabilityDrop = changed(container.CapabilityDrop, added, dropped);
  }
  const dns: Mutable<NonNullable<ContainerSpec['DNSConfig']>> = { ...container.DNSConfig };
  assign(dns, 'Nameservers', change(DNS, dns.Nameservers, asWritten));
  assign(dns, 'Options', change(DNS_OPTION, dns.Options, asWritten));
  assign(dns, 'Search', change(DNS_SEARCH, dns.Search, asWritten));
  if (Object.keys(dns).length > 0) container.DNSConfig = dns;
}

function changePairs(
  change: Change,
  flag: ListFlag<Pair>,
  old: Readonly<Record<string, string>> | undefined,
): Record<string, string> | undefined {
  const pairs = change(flag, Object.entries(old ?? {}), (text) => [splitPair(text)]);
  return pairs === undefined ? undefined : Object.fromEntries(pairs);
}

function updatePlacement(args: Arguments, change: Change, task: Mutable<TaskSpec>): void {
  const placement: Mutable<Placement> = { ...task.Placement };
  assign(placement, 'Constraints', change(CONSTRAINT, placement.Constraints, asWritten));
  assign(placement, 'Preferences', change(PREFERENCE, placement.Preferences, parsePreference));
  const most = args.string('replicas-max-per-node');
  if (most !== undefined) placement.MaxReplicas = parseCount('replicas-max-per-node', most);
  if (Object.keys(placement).length > 0) task.Placement = placement;
}

function updateEndpoint(
  args: Arguments,
  change: Change,
  spec: Mutable<ServiceSpec>,
  assigned: readonly PortConfig[],
): void {
  const mode = args.string('endpoint-mode') as 'vip' | undefined;
  const ports = change(portList(assigned), spec.EndpointSpec?.Ports, parsePublish);
  const before = spec.EndpointSpec?.Ports ?? [];
  const traffic = trafficOf(args);
  const rules = { added: args.list('allow'), removed: args.list('allow-rm') };
  const changesRules = rules.added.length + rules.removed.length > 0;
  const isSame = mode === undefined && ports === undefined && Object.keys(traffic).length === 0;
  if (isSame && !changesRules) return;
  const { Allow: old, ...endpoint } = spec.EndpointSpec ?? {};
  const allow = changesRules
    ? changedAllow(old, rules, (items, added) =>
        changeList(ALLOW, `service ${spec.Name}`, items, { removed: rules.removed, added }),
      )
    : old;
  spec.EndpointSpec = {
    ...endpoint,
    ...(mode === undefined ? {} : { Mode: mode }),
    Ports: ports === undefined ? before : explicit(before, ports),
    ...(allow === undefined ? {} : { Allow: allow }),
    ...traffic,
  };
}

/** Options that a change takes away are named as empty: absent, they would stay. */
function explicit(before: readonly PortConfig[], after: readonly PortConfig[]): PortConfig[] {
  const hadAddress = before.some(({ HostIP }) => HostIP !== undefined);
  const hadLimits = before.some(({ ClientLimits }) => ClientLimits !== undefined);
  const hadProxy = before.some(({ ProxyProtocol }) => ProxyProtocol !== undefined);
  return after.map((port) => ({
    ...(hadAddress && { HostIP: '' }),
    ...(hadLimits && { ClientLimits: {} }),
    // Sent alone; no spec is stored with it.
    ...(hadProxy && { ProxyProtocol: 'none' as 'v2' }),
    ...port,
  }));
}

function asWritten(text: string): string {
  return text;
}
