import { totalmem } from 'node:os';
import type { PortConfig, Task } from '@swarm/api';
import { hasHealthCheck } from '../health-monitor.js';
import type { NodeFacts } from '../runtime.js';
import { RuntimeError } from '../runtime-error.js';
import { taskEnvironment, taskHostname } from '../task-environment.js';
import { expandTemplate } from '../task-template.js';
import type { CgroupLimits } from './cgroup.js';
import { findProgram, type HostTools } from './host-tools.js';
import { type Accounts, resolveUser } from './host-user.js';
import { logLimitBytes } from './process-spec.js';
import type { TaskManifest } from './task-folder.js';

/** Kept of each stream of a task's log when the spec does not say. */
const DEFAULT_LOG_LIMIT_BYTES = 16 * 1024 * 1024;
/** The smallest memory limit a program can start in; Docker's, too. */
const LEAST_MEMORY_BYTES = 6 * 1024 * 1024;

/** Marks a task's processes where there is no cgroup to hold them. */
export const TASK_ID_VARIABLE = 'SWARM_TASK_ID';

export interface PlanContext {
  readonly node: NodeFacts;
  readonly tools: HostTools;
  readonly accounts: () => Accounts;
  readonly privileged: boolean;
  readonly bootId: string;
  /** Where the task listens when it shares the host's network without root. */
  readonly ownPorts?: OwnPorts;
}

/** Ports given to a task that can not have a network of its own. */
export interface OwnPorts {
  readonly address: string;
  /** As the spec has them, but with the `TargetPort` to listen on. */
  readonly ports: readonly PortConfig[];
  /** The spec's target ports, in the same order. */
  readonly wanted: readonly number[];
}

/** Limits that the spec asks for. */
export function taskLimits(task: Task): CgroupLimits {
  const limits = task.Spec.Resources?.Limits;
  const memory = limits?.MemoryBytes ?? 0;
  if (memory > 0 && memory < LEAST_MEMORY_BYTES) {
    throw new RuntimeError(
      'rejected',
      `Resources.Limits.MemoryBytes is ${memory}; give at least ${LEAST_MEMORY_BYTES} (6 MiB).`,
    );
  }
  return {
    ...(memory > 0 && memory < totalmem() ? { memoryBytes: memory } : {}),
    ...(limits?.NanoCPUs ? { nanoCpus: limits.NanoCPUs } : {}),
    ...(limits?.Pids && limits.Pids > 0 ? { pids: limits.Pids } : {}),
  };
}

/**
 * Turns a checked task into what its launch script needs; makes nothing.
 * @throws RuntimeError `rejected` when the host lacks the command, user or a tool
 */
export function planTask(
  task: Task,
  context: PlanContext,
): Omit<TaskManifest, 'cgroupFiles' | 'hasCgroup'> {
  const container = task.Spec.ContainerSpec!;
  const { node } = context;
  const user = context.privileged
    ? resolveUser(container.User || '0:0', container.Groups ?? [], context.accounts())
    : undefined;
  const env = taskEnvironment(task, node, {
    HOME: user?.home ?? process.env.HOME ?? '/',
    [TASK_ID_VARIABLE]: task.ID,
    ...portVariables(context),
  });
  const directory = expandTemplate(container.Dir || '/', 'ContainerSpec.Dir', task, node);
  const command = [...(container.Command ?? []), ...(container.Args ?? [])];
  const program = findProgram(command[0]!, env.PATH ?? '', directory);
  if (program === undefined) {
    throw new RuntimeError(
      'rejected',
      `The command "${command[0]}" is not on this host (PATH is ${env.PATH ?? 'empty'}): install it, give its whole path, or place the service on nodes that have it.`,
    );
  }
  const limits = taskLimits(task);
  const hostname = context.privileged ? taskHostname(task, node) : undefined;
  const networked = context.privileged && (task.NetworksAttachments?.length ?? 0) > 0;
  return {
    version: 1,
    taskId: task.ID,
    bootId: context.bootId,
    env,
    directory,
    wrappers: wrappers(task, context, user),
    command: [program, ...command.slice(1)],
    logLimitBytes: logLimitBytes(task.Spec, DEFAULT_LOG_LIMIT_BYTES),
    ...(networked ? { netns: `swarm-${task.ID}` } : {}),
    ...(hostname === undefined ? {} : { hostname }),
    ...(limits.memoryBytes === undefined ? {} : { memoryBytes: limits.memoryBytes }),
    ...(container.OomScoreAdj ? { oomScoreAdj: container.OomScoreAdj } : {}),
    ...(hasHealthCheck(container.Healthcheck) ? { health: container.Healthcheck } : {}),
    ...(context.ownPorts === undefined
      ? {}
      : { address: context.ownPorts.address, ports: context.ownPorts.ports }),
  };
}

/** PORT, PORT_80 and HOST tell a task without a network of its own where to listen. */
function portVariables(context: PlanContext): Record<string, string> {
  const own = context.ownPorts;
  if (own === undefined) return {};
  const variables: Record<string, string> = { HOST: own.address };
  own.ports.forEach(({ TargetPort }, index) => {
    variables.PORT ??= String(TargetPort);
    variables[`PORT_${own.wanted[index]}`] = String(TargetPort);
  });
  return variables;
}

/** Programs that set up user, capabilities and resource limits, and then exec what follows them. */
function wrappers(
  task: Task,
  context: PlanContext,
  user: ReturnType<typeof resolveUser> | undefined,
): string[] {
  const container = task.Spec.ContainerSpec!;
  const chain: string[] = [];
  if (container.Ulimits !== undefined && container.Ulimits.length > 0) {
    chain.push(context.tools.path('prlimit', 'util-linux'));
    for (const limit of container.Ulimits) {
      if (!/^[a-z]+$/.test(limit.Name)) {
        throw new RuntimeError('rejected', `ContainerSpec.Ulimits has the name "${limit.Name}".`);
      }
      chain.push(`--${limit.Name}=${word(limit.Soft)}:${word(limit.Hard)}`);
    }
  }
  const drops = container.CapabilityDrop ?? [];
  const asRoot =
    user === undefined || (user.uid === 0 && user.gid === 0 && user.groups.length === 0);
  if (!asRoot || drops.length > 0) {
    chain.push(context.tools.path('setpriv', 'util-linux'));
    if (user !== undefined && !asRoot) {
      chain.push(`--reuid=${user.uid}`, `--regid=${user.gid}`);
      chain.push(user.groups.length === 0 ? '--clear-groups' : `--groups=${user.groups.join(',')}`);
    }
    if (drops.length > 0) {
      const names = [
        ...drops.map((name) => `-${capability(name)}`),
        ...(container.CapabilityAdd ?? []).map((name) => `+${capability(name)}`),
      ].join(',');
      chain.push(`--bounding-set=${names}`, `--inh-caps=${names}`);
    }
  }
  return chain;
}

function word(limit: number): string {
  return limit < 0 ? 'unlimited' : String(limit);
}

function capability(name: string): string {
  const short = name.toLowerCase().replace(/^cap_/, '');
  if (/^[a-z_]+$/.test(short)) return short;
  throw new RuntimeError('rejected', `"${name}" is no capability; see capabilities(7) for names.`);
}
