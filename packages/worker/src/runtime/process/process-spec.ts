import { isHostImage, predefinedNetworkOf, type Task, type TaskSpec } from '@swarm/api';
import { RuntimeError } from '../runtime-error.js';
import { signalNumber } from '../signals.js';
import { attachmentProblem } from '../task-ports.js';

const SUPPORTED_LOG_DRIVERS = new Set(['', 'json-file', 'local']);
const SUPPORTED_LOG_OPTIONS = new Set(['max-size', 'max-file']);
const UNIT_BYTES: Readonly<Record<string, number>> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };

/**
 * Refuses what this runtime cannot do and names the field: a field either works or is refused.
 * @param privileged whether namespaces, cgroups and other users are available (root)
 * @throws RuntimeError `rejected`
 */
export function checkProcessSpec(task: Task, privileged: boolean): void {
  const container = task.Spec.ContainerSpec;
  if (container === undefined) {
    throw rejected(
      `Runtime "${task.Spec.Runtime ?? ''}" is unknown to this node; use a ContainerSpec.`,
    );
  }
  if (!isHostImage(container.Image)) {
    throw rejected(
      `The image "${container.Image}" needs a container engine, but this node runs plain processes: ` +
        'use the image "host" with a command of the host, or start the daemon with --runtime docker.',
    );
  }
  if ((container.Command?.length ?? 0) + (container.Args?.length ?? 0) === 0) {
    throw rejected(
      'The image "host" has no command of its own: set ContainerSpec.Command or Args.',
    );
  }
  const unsupported: Record<string, boolean> = {
    TTY: container.TTY === true,
    OpenStdin: container.OpenStdin === true,
    ReadOnly: container.ReadOnly === true,
    Mounts: hasItems(container.Mounts),
    Hosts: hasItems(container.Hosts),
    DNSConfig: Object.values(container.DNSConfig ?? {}).some(hasItems),
    Secrets: hasItems(container.Secrets),
    Configs: hasItems(container.Configs),
    Sysctls: Object.keys(container.Sysctls ?? {}).length > 0,
    Isolation: (container.Isolation ?? 'default') !== 'default' && container.Isolation !== '',
    Privileges: Object.values(container.Privileges ?? {}).some(
      (value) => value !== null && value !== false && value !== undefined,
    ),
  };
  for (const [field, used] of Object.entries(unsupported)) {
    if (used) throw unsupportedField(field);
  }
  if (container.StopSignal && signalNumber(container.StopSignal) === undefined) {
    throw rejected(`ContainerSpec.StopSignal is "${container.StopSignal}", which is not a signal.`);
  }
  checkHealth(container.Healthcheck?.Test);
  checkNetworks(task, privileged);
  logLimitBytes(task.Spec, 0);
  if (!privileged) checkUnprivileged(task.Spec);
}

function checkHealth(test: readonly string[] | undefined): void {
  const kind = test?.[0];
  if (kind === undefined || kind === 'NONE') return;
  if ((kind !== 'CMD' && kind !== 'CMD-SHELL') || test?.[1] === undefined) {
    throw rejected(
      'ContainerSpec.Healthcheck.Test must be ["NONE"], ["CMD", program, …] or ["CMD-SHELL", command].',
    );
  }
}

function checkNetworks(task: Task, privileged: boolean): void {
  const problem = attachmentProblem(task);
  if (problem !== undefined) throw rejected(problem);
  const network = predefinedNetworkOf(task.Spec);
  if (network === 'bridge') {
    throw rejected(
      'Network "bridge" is the bridge of a container engine, and this node runs plain processes: remove the network, or use a node with an engine.',
    );
  }
  if (network === 'none' && !privileged) {
    throw rejected(
      'Network "none" needs root, but the daemon of this node runs without it: start it as root, or remove the network.',
    );
  }
}

function checkUnprivileged(spec: TaskSpec): void {
  const container = spec.ContainerSpec;
  const limits = spec.Resources?.Limits;
  const needRoot: Record<string, boolean> = {
    'Resources.Limits.MemoryBytes': (limits?.MemoryBytes ?? 0) > 0,
    'Resources.Limits.NanoCPUs': (limits?.NanoCPUs ?? 0) > 0,
    'Resources.Limits.Pids': (limits?.Pids ?? 0) > 0,
    'ContainerSpec.User': (container?.User ?? '') !== '',
    'ContainerSpec.Groups': hasItems(container?.Groups),
    'ContainerSpec.Hostname': (container?.Hostname ?? '') !== '',
    'ContainerSpec.CapabilityAdd': hasItems(container?.CapabilityAdd),
    'ContainerSpec.CapabilityDrop': hasItems(container?.CapabilityDrop),
    'ContainerSpec.Ulimits': hasItems(container?.Ulimits),
    'ContainerSpec.OomScoreAdj': (container?.OomScoreAdj ?? 0) !== 0,
  };
  for (const [field, used] of Object.entries(needRoot)) {
    if (used) {
      throw rejected(
        `${field} needs root, but the daemon of this node runs without it: start it as root, or remove the field.`,
      );
    }
  }
}

/**
 * How much to keep of each stream's log: `max-size` times `max-file` of the log driver's options.
 * @throws RuntimeError `rejected` for another driver or option
 */
export function logLimitBytes(spec: TaskSpec, defaultBytes: number): number {
  const driver = spec.LogDriver;
  if (!SUPPORTED_LOG_DRIVERS.has(driver?.Name ?? '')) {
    throw rejected(
      `LogDriver.Name is "${driver?.Name}"; the process runtime keeps logs in its own files: use json-file or local.`,
    );
  }
  const options = driver?.Options ?? {};
  for (const name of Object.keys(options)) {
    if (!SUPPORTED_LOG_OPTIONS.has(name)) {
      throw rejected(`LogDriver.Options has "${name}"; only max-size and max-file are supported.`);
    }
  }
  const size = options['max-size'];
  if (size === undefined) return defaultBytes;
  const match = /^(\d+(?:\.\d+)?)([kmg]?)b?$/i.exec(size);
  const files = Number(options['max-file'] ?? 1);
  if (match === null || !Number.isSafeInteger(files) || files < 1) {
    throw rejected(
      `LogDriver.Options has max-size "${size}" and max-file "${options['max-file'] ?? 1}"; use a size like 10m and a whole number.`,
    );
  }
  return Number(match[1]) * (UNIT_BYTES[match[2]?.toLowerCase() ?? ''] ?? 1) * files;
}

function hasItems(list: readonly unknown[] | undefined): boolean {
  return (list?.length ?? 0) > 0;
}

function unsupportedField(field: string): RuntimeError {
  return rejected(
    `ContainerSpec.${field} is not supported for a plain process: remove it, or use a node with a container engine.`,
  );
}

function rejected(message: string): RuntimeError {
  return new RuntimeError('rejected', message);
}
