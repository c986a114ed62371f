import {
  checkVariable,
  type ContainerSpec,
  type Mount,
  OWNER_LABEL,
  ROLE_LABEL,
  type Task,
} from '@swarm/api';
import type { NodeFacts } from '../runtime.js';
import { RuntimeError } from '../runtime-error.js';
import { hostLines, isSandboxSysctl, sandboxDns } from '../sandbox.js';
import { taskHostname } from '../task-environment.js';
import { refused } from '../spec-refusal.js';
import { expandFor } from '../task-template.js';
import { SANDBOX_LABEL, TASK_LABEL } from './owner.js';
import { securityOptions } from './security-options.js';

const SWARM_LABEL = 'com.docker.swarm.';
const SHORT_ID_LENGTH = 12;

export interface BodyContext {
  readonly node: NodeFacts;
  readonly owner: string;
  readonly sandboxId: string;
  /** `container:ID` of the task's sandbox, or one of the engine's networks. */
  readonly networkMode: string;
}

/**
 * The body of `POST /containers/create` for a checked task, field by field as Docker Swarm's agent sends
 * it. A task in a sandbox takes hostname, hosts, DNS and network settings from the sandbox, so they are
 * absent here (the engine refuses them with `container:ID`).
 * @throws RuntimeError `rejected` for a template or line that cannot be read; names the field
 */
export function containerBody(task: Task, context: BodyContext): object {
  const container = task.Spec.ContainerSpec!;
  const { node, networkMode } = context;
  const sandboxed = networkMode.startsWith('container:');
  const limits = task.Spec.Resources?.Limits;
  const expand = (text: string, field: string): string =>
    expandFor(text, `ContainerSpec.${field}`, task, node);
  return {
    Image: container.Image,
    Labels: labels(task, context),
    ...(sandboxed ? {} : hostnameOf(task, context)),
    Env: environment(container, (text) => expand(text, 'Env')),
    ...(container.Command?.length ? { Entrypoint: container.Command } : {}),
    ...(container.Args?.length ? { Cmd: container.Args } : {}),
    ...(container.Dir ? { WorkingDir: expand(container.Dir, 'Dir') } : {}),
    ...(container.User ? { User: container.User } : {}),
    ...(container.StopSignal ? { StopSignal: container.StopSignal } : {}),
    ...(container.Healthcheck === undefined ? {} : { Healthcheck: container.Healthcheck }),
    Tty: container.TTY === true,
    OpenStdin: container.OpenStdin === true,
    HostConfig: {
      NetworkMode: networkMode,
      // The cluster decides whether to restart a task.
      RestartPolicy: { Name: 'no' },
      Mounts: (container.Mounts ?? []).map((mount) => mountBody(mount, expand)),
      ReadonlyRootfs: container.ReadOnly === true,
      GroupAdd: container.Groups ?? [],
      CapAdd: container.CapabilityAdd ?? [],
      CapDrop: container.CapabilityDrop ?? [],
      Ulimits: container.Ulimits ?? [],
      Sysctls: Object.fromEntries(
        Object.entries(container.Sysctls ?? {}).filter(
          ([name]) => !sandboxed || !isSandboxSysctl(name),
        ),
      ),
      SecurityOpt: securityOptions(container.Privileges),
      ...(container.OomScoreAdj ? { OomScoreAdj: container.OomScoreAdj } : {}),
      ...(container.Init === undefined ? {} : { Init: container.Init }),
      ...(task.Spec.LogDriver?.Name
        ? {
            LogConfig: {
              Type: task.Spec.LogDriver.Name,
              Config: task.Spec.LogDriver.Options ?? {},
            },
          }
        : {}),
      ...(limits?.NanoCPUs ? { NanoCpus: limits.NanoCPUs } : {}),
      ...(limits?.MemoryBytes ? { Memory: limits.MemoryBytes } : {}),
      ...(limits?.Pids && limits.Pids > 0 ? { PidsLimit: limits.Pids } : {}),
      ...(sandboxed
        ? {}
        : {
            ...sandboxDns(task),
            ExtraHosts: hostLines(task).flatMap(([address, ...names]) =>
              names.map((name) => `${name}:${address}`),
            ),
          }),
    },
  };
}

/** In the host's network a task has the host's name, unless its spec gives it one, as with Docker. */
function hostnameOf(task: Task, { node, networkMode }: BodyContext): { Hostname?: string } {
  const given = taskHostname(task, node);
  if (given === undefined && networkMode === 'host') return {};
  return { Hostname: given ?? task.ID.slice(0, SHORT_ID_LENGTH) };
}

/** Docker Swarm's labels override the spec's, and ours override all. */
function labels(task: Task, { owner, sandboxId, node }: BodyContext): Record<string, string> {
  return {
    ...task.Spec.ContainerSpec!.Labels,
    ...task.Labels,
    [`${SWARM_LABEL}task`]: '',
    [TASK_LABEL]: task.ID,
    [`${SWARM_LABEL}task.name`]: task.Name,
    [`${SWARM_LABEL}node.id`]: task.NodeID ?? node.id,
    [`${SWARM_LABEL}service.id`]: task.ServiceID,
    [`${SWARM_LABEL}service.name`]: task.ServiceName,
    [OWNER_LABEL]: owner,
    [ROLE_LABEL]: 'task',
    ...(sandboxId === task.ID ? {} : { [SANDBOX_LABEL]: sandboxId }),
  };
}

/** `NAME` without `=` unsets a variable of the image; the engine handles it. */
function environment(container: ContainerSpec, expand: (text: string) => string): string[] {
  return (container.Env ?? []).map((entry) => {
    refused(() => checkVariable(entry));
    return expand(entry);
  });
}

function mountBody(mount: Mount, expand: (text: string, field: string) => string): object {
  const Target = expand(mount.Target, 'Mounts.Target');
  if (!Target.startsWith('/')) {
    throw rejected(
      `ContainerSpec.Mounts has the target "${Target}", which is not an absolute path.`,
    );
  }
  const expandAll = (map: Readonly<Record<string, string>> | undefined, field: string) =>
    Object.fromEntries(
      Object.entries(map ?? {}).map(([key, value]) => [key, expand(value, field)]),
    );
  const volume = mount.VolumeOptions;
  return {
    ...mount,
    Target,
    ...(mount.Source === undefined ? {} : { Source: expand(mount.Source, 'Mounts.Source') }),
    ...(volume === undefined
      ? {}
      : {
          VolumeOptions: {
            ...volume,
            Labels: expandAll(volume.Labels, 'Mounts.VolumeOptions.Labels'),
            ...(volume.DriverConfig === undefined
              ? {}
              : {
                  DriverConfig: {
                    ...volume.DriverConfig,
                    Options: expandAll(
                      volume.DriverConfig.Options,
                      'Mounts.VolumeOptions.DriverConfig.Options',
                    ),
                  },
                }),
          },
        }),
  };
}

function rejected(message: string): RuntimeError {
  return new RuntimeError('rejected', message);
}
