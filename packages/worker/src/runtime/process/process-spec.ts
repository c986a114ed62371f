import {
  checkContainerSpec,
  checkHostCommand,
  isHostImage,
  predefinedNetworkOf,
  type Task,
  type TaskSpec,
} from '@swarm/api';
import { RuntimeError } from '../runtime-error.js';
import { refused } from '../spec-refusal.js';
import { attachmentProblem } from '../task-ports.js';

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
  refused(() => checkHostCommand(task.Spec));
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
  refused(() => checkContainerSpec(container));
  checkHealth(container.Healthcheck?.Test);
  checkNetworks(task, privileged);
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
