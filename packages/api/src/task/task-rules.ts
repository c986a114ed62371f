import type { ContainerSpec, ServiceSpec, TaskSpec } from '../objects/service.js';
import { modeOf } from '../service-mode.js';
import { capabilityName, isHostImage } from '../validate/host-privileges.js';
import { checkHostName } from './host-name.js';
import { CAPABILITY_NAMES, LIMIT_NAMES } from './kernel-names.js';
import { logLimitBytes } from './log-limit.js';
import { signalNumber } from './signals.js';
import { SpecError } from './spec-error.js';
import { checkTemplate, expandTemplate } from './template.js';

/** Least memory of a command of the host, bytes: below, the kernel ends it before its first instruction. */
export const HOST_COMMAND_MEMORY_MIN = 6 * 1024 * 1024;

/**
 * What every node would say about the tasks of a service. Nodes check with the same functions, once they know
 * what placeholders stand for.
 * @throws SpecError
 */
export function checkTasksOf(spec: ServiceSpec): void {
  const task = spec.TaskTemplate;
  const container = task.ContainerSpec;
  if (container === undefined) return;
  checkContainerSpec(container);
  checkTemplates(container);
  checkExpandedHostName(container.Hostname ?? '', spec);
  if (isHostImage(container.Image)) checkHostCommand(task);
}

/** What holds for tasks of every kind. @throws SpecError */
export function checkContainerSpec(container: ContainerSpec): void {
  if (container.StopSignal && signalNumber(container.StopSignal) === undefined) {
    throw new SpecError(
      `ContainerSpec.StopSignal is "${container.StopSignal}", which is not a signal.`,
    );
  }
  for (const entry of container.Env ?? []) checkVariable(entry);
  for (const line of container.Hosts ?? []) hostLine(line);
  const { CapabilityAdd = [], CapabilityDrop = [] } = container;
  for (const name of [...CapabilityAdd, ...CapabilityDrop]) checkCapability(name);
  for (const { Name } of container.Ulimits ?? []) checkLimit(Name);
}

/** An entry of Env: `NAME=value`, or `NAME` to unset it. @throws SpecError */
export function checkVariable(entry: string): void {
  if (entry !== '' && !entry.startsWith('=') && !entry.includes('\0')) return;
  throw new SpecError(`ContainerSpec.Env has "${entry}", which is not of the form NAME=value.`);
}

/** The words of a line of hosts(5): an address and the names for it. @throws SpecError */
export function hostLine(line: string): readonly string[] {
  const words = line.trim().split(/\s+/);
  if (words.length >= 2) return words;
  throw new SpecError(`ContainerSpec.Hosts has "${line}", which is not of the form "IP name…".`);
}

function checkCapability(name: string): void {
  const short = capabilityName(name);
  if (short === 'all' || CAPABILITY_NAMES.includes(short)) return;
  throw new SpecError(`"${name}" is not a capability; see capabilities(7) for names.`);
}

/** @throws SpecError */
export function checkLimit(name: string): void {
  if (LIMIT_NAMES.includes(name)) return;
  throw new SpecError(
    `ContainerSpec.Ulimits has "${name}", which is not a limit; see prlimit(1) for names.`,
  );
}

/** Every text of the spec in which placeholders are expanded. */
function checkTemplates(container: ContainerSpec): void {
  for (const entry of container.Env ?? []) checkTemplate(entry, 'ContainerSpec.Env');
  checkTemplate(container.Hostname ?? '', 'ContainerSpec.Hostname');
  checkTemplate(container.Dir ?? '', 'ContainerSpec.Dir');
  for (const { Target, Source = '', VolumeOptions: options } of container.Mounts ?? []) {
    checkTemplate(Target, 'ContainerSpec.Mounts.Target');
    checkTemplate(Source, 'ContainerSpec.Mounts.Source');
    for (const value of Object.values(options?.Labels ?? {}))
      checkTemplate(value, 'ContainerSpec.Mounts.VolumeOptions.Labels');
    for (const value of Object.values(options?.DriverConfig?.Options ?? {}))
      checkTemplate(value, 'ContainerSpec.Mounts.VolumeOptions.DriverConfig.Options');
  }
}

/** Stands for an id, all of which have its length. */
const SOME_ID = 'a'.repeat(25);

/** With the shortest that each placeholder can stand for: what is too long even so is so on every node. */
function checkExpandedHostName(hostname: string, spec: ServiceSpec): void {
  if (hostname === '') return;
  const { kind } = modeOf(spec);
  const slot = kind === 'global' || kind === 'global-job' ? SOME_ID : '1';
  const expanded = expandTemplate(hostname, 'ContainerSpec.Hostname', {
    service: { id: SOME_ID, name: spec.Name, labels: spec.Labels },
    node: { id: SOME_ID, hostname: 'a', architecture: 'a', os: 'linux' },
    task: { id: SOME_ID, name: `${spec.Name}.${slot}.${SOME_ID}`, slot },
  });
  checkHostName(expanded);
}

/** What holds for commands of the host. @throws SpecError */
export function checkHostCommand(spec: TaskSpec): void {
  const { Command = [], Args = [] } = spec.ContainerSpec ?? {};
  if (Command.length + Args.length === 0) {
    throw new SpecError(
      'The image "host" has no command of its own: set ContainerSpec.Command or Args.',
    );
  }
  const memory = spec.Resources?.Limits?.MemoryBytes ?? 0;
  if (memory > 0 && memory < HOST_COMMAND_MEMORY_MIN) {
    throw new SpecError(
      `Resources.Limits.MemoryBytes is ${memory}; it must be at least ${HOST_COMMAND_MEMORY_MIN} (6 MiB).`,
    );
  }
  logLimitBytes(spec, 0);
}
