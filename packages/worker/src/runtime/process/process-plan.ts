import { totalmem } from 'node:os';
import {
  allows,
  capabilityName,
  type ContainerSpec,
  logLimitBytes,
  privilegeNeeds,
  privilegeRefusal,
  type Task,
} from '@swarm/api';
import { hasHealthCheck } from '../health-monitor.js';
import type { NodeFacts } from '../runtime.js';
import { RuntimeError } from '../runtime-error.js';
import { taskEnvironment, taskHostname } from '../task-environment.js';
import { expandFor } from '../task-template.js';
import type { CgroupLimits } from './cgroup.js';
import { findProgram, type HostTools } from './host-tools.js';
import { type Accounts, type HostUser, ownUser, resolveUser } from './host-user.js';
import { limitNumber } from './launch-calls.js';
import type { SandboxRecord } from './process-sandboxes.js';
import { MANIFEST_VERSION, type TaskManifest } from './task-folder.js';

/** How much to keep of each stream of a task's log unless the spec says. */
const DEFAULT_LOG_LIMIT_BYTES = 16 * 1024 * 1024;

/** Marks a task's processes where no cgroup holds them. */
export const TASK_ID_VARIABLE = 'SWARM_TASK_ID';

export interface PlanContext {
  readonly node: NodeFacts;
  readonly tools: HostTools;
  readonly accounts: () => Accounts;
  readonly privileged: boolean;
  readonly bootId: string;
  /** The daemon's own `oom_score_adj`, which tasks would inherit; -1000 to 1000. */
  readonly daemonOomScore: number;
  /** Gives the task its own user number; called if the spec names no user. */
  readonly takeUid: () => number;
  readonly sandbox: SandboxRecord;
}

/** Limits in the spec. */
export function taskLimits(task: Task): CgroupLimits {
  const limits = task.Spec.Resources?.Limits;
  const memory = limits?.MemoryBytes ?? 0;
  return {
    ...(memory > 0 && memory < totalmem() ? { memoryBytes: memory } : {}),
    ...(limits?.NanoCPUs ? { nanoCpus: limits.NanoCPUs } : {}),
    ...(limits?.Pids && limits.Pids > 0 ? { pids: limits.Pids } : {}),
  };
}

/**
 * Turns a checked task into what its launch script needs; has no effects.
 * @throws RuntimeError `rejected` when the host lacks the command, user or a tool
 */
export function planTask(
  task: Task,
  context: PlanContext,
): Omit<TaskManifest, 'cgroupFiles' | 'hasCgroup'> {
  const container = task.Spec.ContainerSpec!;
  const { node } = context;
  const user = context.privileged ? taskUser(task, context) : undefined;
  const env = taskEnvironment(task, node, {
    HOME: user?.home ?? process.env.HOME ?? '/',
    [TASK_ID_VARIABLE]: task.ID,
    ...portVariables(context),
  });
  const directory = expandFor(container.Dir || '/', 'ContainerSpec.Dir', task, node);
  const command = [...(container.Command ?? []), ...(container.Args ?? [])];
  const program = findProgram(command[0]!, env.PATH ?? '', directory);
  if (program === undefined) {
    throw new RuntimeError(
      'rejected',
      `The command "${command[0]}" is not on this host (PATH is ${env.PATH ?? 'empty'}): install it, use its absolute path, or place the service on nodes that have it.`,
    );
  }
  const limits = taskLimits(task);
  const hostname = context.privileged ? taskHostname(task, node) : undefined;
  const { netns, ownPorts, files } = context.sandbox;
  return {
    version: MANIFEST_VERSION,
    taskId: task.ID,
    sandboxId: context.sandbox.id,
    bootId: context.bootId,
    env,
    directory,
    ...(user === undefined
      ? {}
      : {
          user,
          capabilityAdd: container.CapabilityAdd ?? [],
          capabilityDrop: container.CapabilityDrop ?? [],
          ulimits: container.Ulimits ?? [],
        }),
    wrappers: wrappers(container, context, user),
    command: [program, ...command.slice(1)],
    logLimitBytes: logLimitBytes(task.Spec, DEFAULT_LOG_LIMIT_BYTES),
    ...(netns === undefined ? {} : { netns }),
    ...(hostname === undefined ? {} : { hostname }),
    ...(files === undefined ? {} : { files }),
    ...(limits.memoryBytes === undefined ? {} : { memoryBytes: limits.memoryBytes }),
    ...oomScore(container.OomScoreAdj ?? 0, context),
    ...(hasHealthCheck(container.Healthcheck) ? { health: container.Healthcheck } : {}),
    ...(ownPorts === undefined ? {} : { address: ownPorts.address, ports: ownPorts.ports }),
  };
}

/** If the kernel spares the daemon (its unit asks for that), it must not spare the daemon's tasks as well. */
function oomScore(wanted: number, { daemonOomScore }: PlanContext): { oomScoreAdj?: number } {
  return wanted === 0 && daemonOomScore >= 0 ? {} : { oomScoreAdj: wanted };
}

/** PORT, PORT_80 and HOST tell a task without its own network where to listen. */
function portVariables(context: PlanContext): Record<string, string> {
  const own = context.sandbox.ownPorts;
  if (own === undefined) return {};
  const variables: Record<string, string> = { HOST: own.address };
  own.ports.forEach(({ TargetPort }, index) => {
    variables.PORT ??= String(TargetPort);
    variables[`PORT_${own.wanted[index]}`] = String(TargetPort);
  });
  return variables;
}

/**
 * Who the task runs as: the user in its spec, or one of its own.
 * @throws RuntimeError `rejected` when the cluster's policy at the time of placement forbids it
 */
function taskUser(task: Task, context: PlanContext): HostUser {
  const container = task.Spec.ContainerSpec!;
  const policy = task.HostPrivileges ?? 'none';
  const need = privilegeNeeds(container).find(({ level }) => !allows(policy, level));
  if (need !== undefined) throw new RuntimeError('rejected', `${privilegeRefusal(need, policy)}.`);
  const wanted = container.User ?? '';
  const own = wanted.startsWith(':') || wanted === '' ? ownUser(context.takeUid()) : undefined;
  return resolveUser(wanted, container.Groups ?? [], context.accounts(), policy, own);
}

/** Programs that set up user, capabilities and resource limits, and then exec the next one. */
function wrappers(
  container: ContainerSpec,
  context: PlanContext,
  user: HostUser | undefined,
): string[] {
  const chain: string[] = [];
  if (container.Ulimits !== undefined && container.Ulimits.length > 0) {
    chain.push(context.tools.path('prlimit', 'util-linux'));
    for (const limit of container.Ulimits) {
      // prlimit(1) would accept `rtpri` for `rtprio`, which the policy did not see.
      limitNumber(limit.Name);
      chain.push(`--${limit.Name}=${word(limit.Soft)}:${word(limit.Hard)}`);
    }
  }
  if (user === undefined) return chain;
  const added = (container.CapabilityAdd ?? []).map((name) => `+${capability(name)}`);
  const dropped = (container.CapabilityDrop ?? []).map((name) => `-${capability(name)}`);
  const identity = [
    `--reuid=${user.uid}`,
    `--regid=${user.gid}`,
    user.groups.length === 0 ? '--clear-groups' : `--groups=${user.groups.join(',')}`,
  ];
  const setpriv = context.tools.path('setpriv', 'util-linux');
  if (user.uid !== 0) {
    // Without ambient capabilities, a user other than root would lose the added ones on exec.
    const names = ['-all', ...added].join(',');
    chain.push(setpriv, ...identity, '--no-new-privs');
    chain.push(`--bounding-set=${names}`, `--inh-caps=${names}`, `--ambient-caps=${names}`);
  } else if (dropped.length > 0) {
    const names = [...dropped, ...added].join(',');
    chain.push(setpriv, ...identity, `--bounding-set=${names}`, `--inh-caps=${names}`);
  } else if (user.gid !== 0 || user.groups.length > 0) chain.push(setpriv, ...identity);
  return chain;
}

function word(limit: number): string {
  return limit < 0 ? 'unlimited' : String(limit);
}

function capability(name: string): string {
  const short = capabilityName(name);
  if (/^[a-z_]+$/.test(short)) return short;
  throw new RuntimeError(
    'rejected',
    `"${name}" is not a capability; see capabilities(7) for names.`,
  );
}
