import { ApiError } from '../errors.js';
import { MS, type Nanoseconds } from '../objects/common.js';
import type {
  ContainerSpec,
  HealthConfig,
  NetworkAttachmentConfig,
  Placement,
  PortConfig,
  ServiceSpec,
  TaskSpec,
  UpdateConfig,
} from '../objects/service.js';
import { predefinedNetwork } from '../network/predefined.js';
import { isJobMode, modeOf } from '../service-mode.js';
import { SpecError } from '../task/spec-error.js';
import { checkTasksOf } from '../task/task-rules.js';
import { isHostName } from '../values/address.js';
import { isZero } from './field.js';
import { checkImage } from './image-reference.js';
import { checkMounts } from './mounts.js';
import { checkDnsName } from './names.js';
import { checkEndpoint } from './ports.js';

/** A thousandth of a processor. */
export const NANO_CPUS_MIN = 1_000_000;
export const MEMORY_BYTES_MIN = 4 * 1024 * 1024;

function refuse(message: string): never {
  throw new ApiError('INVALID_ARGUMENT', message);
}

/**
 * Longest service spec, bytes of its JSON. A transaction (1.5 MiB) has to hold it seven times: the end of a
 * roll-out writes the service with two revisions, besides the four tasks that change with it at least.
 */
export const SERVICE_SPEC_LIMIT_BYTES = 192 * 1024;

/**
 * Checks every rule that depends on the service spec alone (SwarmKit controlapi, without its gap: the
 * rollback configuration follows the rules of the update configuration). Only `checkConstraints`, which the
 * scheduler provides, checks placement constraints.
 * @throws ApiError INVALID_ARGUMENT, UNIMPLEMENTED
 */
export function checkServiceSpec(
  spec: ServiceSpec,
  checkConstraints: (expressions: readonly string[]) => void,
): void {
  checkDnsName(spec.Name);
  checkMode(spec);
  checkNetworks(spec);
  checkTask(spec.TaskTemplate, checkConstraints);
  checkUpdate(spec.UpdateConfig, 'update');
  checkUpdate(spec.RollbackConfig, 'rollback');
  checkEndpoint(spec.EndpointSpec);
  checkSize(spec);
  try {
    checkTasksOf(spec);
  } catch (error) {
    if (error instanceof SpecError) refuse(error.message);
    throw error;
  }
}

function checkSize(spec: ServiceSpec): void {
  const bytes = new TextEncoder().encode(JSON.stringify(spec)).byteLength;
  if (bytes <= SERVICE_SPEC_LIMIT_BYTES) return;
  const limit = SERVICE_SPEC_LIMIT_BYTES / 1024;
  refuse(
    `the service spec has ${Math.ceil(bytes / 1024)} KiB, at most ${limit} KiB are allowed; give the service large values by a bind mount`,
  );
}

function checkMode(spec: ServiceSpec): void {
  const mode = modeOf(spec);
  const isReplicated = mode.kind === 'replicated' || mode.kind === 'replicated-job';
  if ((spec.TaskTemplate.Placement?.MaxReplicas ?? 0) > 0 && !isReplicated) {
    refuse('replicas-max-per-node can only be used with replicated or replicated-job mode');
  }
  if (!isJobMode(mode)) return;
  if (spec.UpdateConfig !== undefined || spec.RollbackConfig !== undefined) {
    refuse('a job cannot have an UpdateConfig or RollbackConfig: an update runs it again');
  }
  if (spec.TaskTemplate.RestartPolicy?.Condition === 'any') {
    refuse('a job cannot have restart condition any: use on-failure or none');
  }
}

/** Most networks of one service; nodes accept no more for one task. */
const NETWORKS_LIMIT = 64;
/** Most further names of a service on one network. */
const ALIASES_LIMIT = 64;

/** What depends on the cluster's networks is checked where they are known. */
function checkNetworks(spec: ServiceSpec): void {
  const attachments = [...(spec.TaskTemplate.Networks ?? []), ...(spec.Networks ?? [])];
  const first = attachments.find(({ Target }) => predefinedNetwork(Target) !== undefined);
  if (first === undefined) {
    if (attachments.length > NETWORKS_LIMIT)
      refuse(
        `TaskTemplate.Networks: has ${attachments.length}, at most ${NETWORKS_LIMIT} are allowed`,
      );
    attachments.forEach(checkAttachment);
    return;
  }
  const network = first.Target;
  const second = attachments.find((each) => each !== first);
  if (second !== undefined) {
    refuse(
      `network "${network}": a task has no other network besides it; remove "${second.Target}"`,
    );
  }
  if ((first.Aliases?.length ?? 0) > 0 || Object.keys(first.DriverOpts ?? {}).length > 0) {
    refuse(`network "${network}": it has neither Aliases nor DriverOpts`);
  }
  for (const port of spec.EndpointSpec?.Ports ?? []) checkPortIn(network, port);
}

function checkAttachment({ Target, Aliases = [], DriverOpts = {} }: NetworkAttachmentConfig): void {
  if (Target === '') refuse('TaskTemplate.Networks: a network has no Target; name it or remove it');
  if (Aliases.length > ALIASES_LIMIT)
    refuse(
      `network "${Target}": has ${Aliases.length} aliases, at most ${ALIASES_LIMIT} are allowed`,
    );
  const bad = Aliases.find((alias) => !isHostName(alias));
  if (bad !== undefined) {
    refuse(
      `network "${Target}": the alias "${bad}" is not a host name: use letters, digits, - and _, in labels of at ` +
        'most 63 characters with dots between them',
    );
  }
  const [option] = Object.keys(DriverOpts);
  if (option !== undefined) {
    throw new ApiError(
      'UNIMPLEMENTED',
      `network "${Target}": DriverOpts["${option}"] is not served; leave it out`,
    );
  }
}

/**
 * A task in the host's network listens on the host's ports itself, so it may name those in host mode: two
 * tasks then never share a node. Nothing else can be published: Docker's tasks fail with "container cannot be
 * disconnected from host network or connected to host network".
 */
function checkPortIn(network: string, port: PortConfig): void {
  const name = `${port.TargetPort}/${port.Protocol}`;
  if (network !== 'host') {
    refuse(
      `network "${network}": port ${name} cannot be published from it; remove the network or the port`,
    );
  }
  if (port.PublishMode !== 'host' || port.PublishedPort !== port.TargetPort) {
    refuse(
      `network "host": a task in it listens on the host's port ${name} itself; remove the published port, or ` +
        `publish it as mode=host,target=${port.TargetPort},published=${port.TargetPort}`,
    );
  }
}

function checkTask(
  task: TaskSpec,
  checkConstraints: (expressions: readonly string[]) => void,
): void {
  if (task.Runtime !== undefined && task.Runtime !== '' && task.Runtime !== 'container') {
    throw new ApiError(
      'UNIMPLEMENTED',
      `TaskTemplate.Runtime: "${task.Runtime}" is not served; only "container" is`,
    );
  }
  if (task.ContainerSpec === undefined) {
    refuse('TaskTemplate.ContainerSpec: missing; say at least which Image to run');
  }
  checkContainer(task.ContainerSpec);
  checkResources(task);
  checkPlacement(task.Placement, checkConstraints);
  checkNotNegative(task.RestartPolicy?.Delay, 'TaskSpec: restart-delay cannot be negative');
  checkNotNegative(task.RestartPolicy?.Window, 'TaskSpec: restart-window cannot be negative');
}

function checkNotNegative(value: Nanoseconds | undefined, message: string): void {
  if (value !== undefined && value < 0) refuse(message);
}

function checkResources(task: TaskSpec): void {
  for (const resources of [task.Resources?.Limits, task.Resources?.Reservations]) {
    const cpus = resources?.NanoCPUs ?? 0;
    if (cpus !== 0 && cpus < NANO_CPUS_MIN) {
      refuse(`invalid cpu value ${cpus / 1e9}: Must be at least ${NANO_CPUS_MIN / 1e9}`);
    }
    const memory = resources?.MemoryBytes ?? 0;
    if (memory !== 0 && memory < MEMORY_BYTES_MIN) {
      refuse(`invalid memory value ${memory}: Must be at least 4MiB`);
    }
  }
  const { Limits: limits, Reservations: reservations } = task.Resources ?? {};
  // Docker stores such a spec, and the engine then rejects every task made from it.
  if ((limits?.MemoryBytes ?? 0) > 0 && (reservations?.MemoryBytes ?? 0) > limits!.MemoryBytes!) {
    refuse('the memory reservation must not be larger than the memory limit');
  }
  if ((limits?.Pids ?? 0) < 0) refuse('invalid pids limit: it must not be negative');
}

function checkPlacement(
  placement: Placement | undefined,
  checkConstraints: (expressions: readonly string[]) => void,
): void {
  checkConstraints(placement?.Constraints ?? []);
  for (const preference of placement?.Preferences ?? []) {
    const descriptor = preference.Spread?.SpreadDescriptor ?? '';
    if (!/^(?:node|engine)\.labels\../.test(descriptor)) {
      refuse(
        `placement preference "${descriptor}": only spread over node.labels.NAME or ` +
          'engine.labels.NAME is possible',
      );
    }
  }
}

function checkContainer(container: ContainerSpec): void {
  checkImage(container.Image);
  if (container.Isolation !== undefined && container.Isolation !== 'default') {
    throw new ApiError(
      'UNIMPLEMENTED',
      `ContainerSpec.Isolation: "${container.Isolation}" is for Windows, which is not served`,
    );
  }
  const privileges = (container.Privileges ?? {}) as { CredentialSpec?: unknown };
  if (!isZero(privileges.CredentialSpec)) {
    throw new ApiError(
      'UNIMPLEMENTED',
      'ContainerSpec.Privileges.CredentialSpec: is for Windows, which is not served',
    );
  }
  checkMounts(container.Mounts);
  for (const variable of container.Env ?? []) {
    if (variable === '' || variable.startsWith('=')) {
      refuse(`ContainerSpec.Env: "${variable}" has no name; write NAME=value`);
    }
  }
  checkNotNegative(
    container.StopGracePeriod,
    'ContainerSpec: stop-grace-period cannot be negative',
  );
  checkHealth(container.Healthcheck);
}

function checkHealth(health: HealthConfig | undefined): void {
  if (health === undefined) return;
  for (const name of ['Interval', 'Timeout', 'StartPeriod', 'StartInterval'] as const) {
    const value = health[name] ?? 0;
    if (value !== 0 && value < MS) {
      refuse(`ContainerSpec: ${name} in HealthConfig cannot be less than 1ms`);
    }
  }
  if ((health.Retries ?? 0) < 0) {
    refuse('ContainerSpec: Retries in HealthConfig cannot be negative');
  }
  const [kind, ...words] = health.Test ?? [];
  if (kind === undefined || kind === '') return;
  if (kind === 'NONE') {
    if (words.length > 0) refuse('ContainerSpec: a HealthConfig test NONE takes no command');
  } else if (kind !== 'CMD' && kind !== 'CMD-SHELL') {
    refuse(
      `ContainerSpec: unknown type "${kind}" of HealthConfig test; use NONE, CMD or CMD-SHELL`,
    );
  } else if (words.length === 0) {
    refuse(`ContainerSpec: a HealthConfig test ${kind} needs a command`);
  } else if (kind === 'CMD-SHELL' && words.length > 1) {
    refuse('ContainerSpec: a HealthConfig test CMD-SHELL takes one string, the whole command');
  }
}

function checkUpdate(config: UpdateConfig | undefined, which: 'update' | 'rollback'): void {
  if (config === undefined) return;
  checkNotNegative(config.Delay, `TaskSpec: ${which}-delay cannot be negative`);
  checkNotNegative(config.Monitor, `TaskSpec: ${which}-monitor cannot be negative`);
  const ratio = config.MaxFailureRatio ?? 0;
  if (!(ratio >= 0 && ratio <= 1)) {
    refuse(`TaskSpec: ${which}-maxfailureratio cannot be less than 0 or bigger than 1`);
  }
  if (which === 'rollback' && config.FailureAction === 'rollback') {
    refuse('TaskSpec: rollback-failure-action must be pause or continue');
  }
}
