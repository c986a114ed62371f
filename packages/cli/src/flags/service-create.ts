import type { ContainerSpec, Placement, ServiceMode, ServiceSpec, TaskSpec } from '@swarm/api';
import { type Arguments, type Flags, UsageError } from '../command.js';
import { createdAllow } from './allow.js';
import { withHelp } from './flag-help.js';
import { readEnvFile } from './env-file.js';
import { distinct, type ListFlag } from './list-change.js';
import { assign, environment, hostLine, parsePreference, parseUlimit } from './lists.js';
import { parseMount } from './mount.js';
import { parseNetwork } from './network.js';
import { HOST, MOUNT, networkList, PREFERENCE, portList, ULIMIT } from './object-lists.js';
import { parsePublish } from './publish.js';
import { ALLOW_ABOUT, COMMON_SERVICE_FLAGS, LIST_FLAGS } from './service-flags.js';
import { trafficOf } from './traffic.js';
import {
  applyContainerFlags,
  applyTaskFlags,
  type Mutable,
  updateConfig,
} from './task-template.js';
import { CAPABILITY, CONSTRAINT, DNS, DNS_OPTION, DNS_SEARCH, GROUP } from './text-lists.js';
import { parseCount, parsePairs } from './values.js';

export const CREATE_FLAGS: Flags = withHelp({
  ...COMMON_SERVICE_FLAGS,
  ...Object.fromEntries(
    Object.entries(LIST_FLAGS).map(([name, flag]) => [name, { type: 'list', ...flag } as const]),
  ),
  allow: { type: 'list', about: ALLOW_ABOUT },
  'env-file': {
    type: 'list',
    about: 'read environment variables from a file',
    completes: 'file',
  },
  mode: {
    type: 'string',
    about: 'service mode: replicated, global, replicated-job or global-job',
    choices: ['replicated', 'global', 'replicated-job', 'global-job'],
    default: 'replicated',
  },
  name: { type: 'string', about: 'service name' },
  'with-registry-auth': { type: 'boolean', about: 'send registry authentication to the nodes' },
});

/** The spec that `service create` asks for. The daemon fills in defaults. */
export function createSpec(args: Arguments, env: NodeJS.ProcessEnv): ServiceSpec {
  const [image, ...command] = args.positionals;
  const container: Mutable<ContainerSpec> = { Image: image! };
  if (command.length > 0) container.Args = command;
  applyContainerFlags(args, container);
  applyContainerLists(args, container, env);
  const task: Mutable<TaskSpec> = { ContainerSpec: container, ForceUpdate: 0 };
  applyTaskFlags(args, task);
  const placement = placementOf(args);
  if (placement !== undefined) task.Placement = placement;
  const networks = distinct(networkList(), args.list('network').map(parseNetwork));
  if (networks.length > 0) task.Networks = networks;
  const mode = modeOf(args);
  if (isJobMode(mode)) refuseForJob(args);
  const update = updateConfig(args, 'update', undefined);
  const rollback = updateConfig(args, 'rollback', undefined);
  const ports = distinct(portList([]), args.list('publish').flatMap(parsePublish));
  const endpointMode = args.string('endpoint-mode') as 'vip' | undefined;
  const allow = createdAllow(args.list('allow'));
  const traffic = trafficOf(args);
  return {
    Name: args.string('name') ?? '',
    Labels: parsePairs(args.list('label')),
    TaskTemplate: task,
    Mode: mode,
    ...(update === undefined ? {} : { UpdateConfig: update }),
    ...(rollback === undefined ? {} : { RollbackConfig: rollback }),
    ...(ports.length === 0 &&
    endpointMode === undefined &&
    allow === undefined &&
    Object.keys(traffic).length === 0
      ? {}
      : {
          EndpointSpec: {
            Mode: endpointMode ?? 'vip',
            ...(ports.length === 0 ? {} : { Ports: ports }),
            ...(allow === undefined ? {} : { Allow: allow }),
            ...traffic,
          },
        }),
  };
}

function applyContainerLists(
  args: Arguments,
  container: Mutable<ContainerSpec>,
  env: NodeJS.ProcessEnv,
): void {
  const variables = [...args.list('env-file').flatMap(readEnvFile), ...args.list('env')];
  if (variables.length > 0) container.Env = environment(variables, env);
  const given = <T>(list: ListFlag<T>, map: (item: string) => T, name = list.name) => {
    const items = distinct({ ...list, name }, args.list(name).map(map));
    return items.length === 0 ? undefined : items;
  };
  const same = (item: string) => item;
  const labels = args.list('container-label');
  if (labels.length > 0) container.Labels = parsePairs(labels);
  const sysctls = args.list('sysctl');
  if (sysctls.length > 0) container.Sysctls = parsePairs(sysctls);
  assign(container, 'CapabilityAdd', given(CAPABILITY, same, 'cap-add'));
  assign(container, 'CapabilityDrop', given(CAPABILITY, same, 'cap-drop'));
  assign(container, 'Groups', given(GROUP, same));
  assign(container, 'Hosts', given(HOST, hostLine));
  assign(container, 'Mounts', given(MOUNT, parseMount));
  assign(container, 'Ulimits', given(ULIMIT, parseUlimit));
  const dns: Mutable<NonNullable<ContainerSpec['DNSConfig']>> = {};
  assign(dns, 'Nameservers', given(DNS, same));
  assign(dns, 'Options', given(DNS_OPTION, same));
  assign(dns, 'Search', given(DNS_SEARCH, same));
  if (Object.keys(dns).length > 0) container.DNSConfig = dns;
}

function placementOf(args: Arguments): Placement | undefined {
  const placement: Mutable<Placement> = {};
  const constraints = distinct(CONSTRAINT, args.list('constraint'));
  if (constraints.length > 0) placement.Constraints = constraints;
  const preferences = distinct(PREFERENCE, args.list('placement-pref').map(parsePreference));
  if (preferences.length > 0) placement.Preferences = preferences;
  const most = args.string('replicas-max-per-node');
  if (most !== undefined) placement.MaxReplicas = parseCount('replicas-max-per-node', most);
  return Object.keys(placement).length === 0 ? undefined : placement;
}

function modeOf(args: Arguments): ServiceMode {
  const mode = args.string('mode') ?? 'replicated';
  const replicas = args.string('replicas');
  const concurrent = args.string('max-concurrent');
  if (concurrent !== undefined && mode !== 'replicated-job')
    throw new UsageError('max-concurrent can only be used with replicated-job mode');
  if (mode === 'replicated') {
    return {
      Replicated: { Replicas: replicas === undefined ? 1 : parseCount('replicas', replicas) },
    };
  }
  if (mode === 'global') {
    if (replicas !== undefined)
      throw new UsageError('replicas can only be used with replicated or replicated-job mode');
    return { Global: {} };
  }
  if (mode === 'replicated-job') {
    const completions = replicas === undefined ? undefined : parseCount('replicas', replicas);
    // Without a limit, run as many at once as are wanted (Docker).
    const atOnce =
      concurrent === undefined ? completions : parseCount('max-concurrent', concurrent);
    return {
      ReplicatedJob: {
        ...(atOnce === undefined ? {} : { MaxConcurrent: atOnce }),
        ...(completions === undefined ? {} : { TotalCompletions: completions }),
      },
    };
  }
  if (mode === 'global-job') {
    if (replicas !== undefined)
      throw new UsageError('replicas can only be used with replicated or replicated-job mode');
    return { GlobalJob: {} };
  }
  throw new UsageError(
    `unknown mode '${mode}': use replicated, global, replicated-job or global-job`,
  );
}

function isJobMode(mode: ServiceMode): boolean {
  return mode.ReplicatedJob !== undefined || mode.GlobalJob !== undefined;
}

function refuseForJob(args: Arguments): void {
  const flag = Object.keys(CREATE_FLAGS).find(
    (name) => /^(update|rollback)-/.test(name) && args.has(name),
  );
  if (flag !== undefined)
    throw new UsageError(
      `--${flag} cannot be used with a job: an update runs it again from the start`,
    );
}
