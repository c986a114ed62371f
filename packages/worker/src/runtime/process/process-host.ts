import type { Clock, Logger } from '@swarm/api';
import { diskSpace } from '../log/disk-space.js';
import { LogRecorder } from '../log/log-recorder.js';
import { messageOf } from '../runtime-error.js';
import { hasCallPrograms } from './call-program.js';
import { Cgroups } from './cgroup.js';
import { HostTools } from './host-tools.js';
import { HostView } from './host-view.js';
import { lastCapability } from './launch-calls.js';
import { NetNamespaces } from './net-namespaces.js';

export interface ProcessRuntimeOptions {
  /** Holds tasks' files: scripts, logs, exit codes. Created if missing. */
  readonly folder: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  /** Use namespaces, cgroups and other users; default: whether the daemon is root. */
  readonly privileged?: boolean;
  /** Folders and sockets that no task may see, besides `folder`; only applies with root. */
  readonly hiddenFolders?: readonly string[];
  readonly hiddenSockets?: readonly string[];
  /** Start tasks without a shell, with root only; default: whether the machine can. */
  readonly usesCalls?: boolean;
  /** Folder of all tasks below the root of each cgroup hierarchy. Default `swarm`. */
  readonly cgroupParent?: string;
}

/** What all tasks of a runtime share. */
export interface ProcessHost {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly cgroups: Cgroups;
  readonly namespaces: NetNamespaces;
  readonly view: HostView;
  /** Whether a program of system calls starts isolated tasks, without a shell. */
  usesCalls: boolean;
  readonly lastCapability: number;
  readonly tools: HostTools;
  readonly recorder: LogRecorder;
}

/** @param privileged whether namespaces, cgroups and other users are available */
export function processHost(options: ProcessRuntimeOptions, privileged: boolean): ProcessHost {
  const { clock, logger, folder, hiddenFolders = [], hiddenSockets = [] } = options;
  const tools = new HostTools();
  return {
    clock,
    logger,
    cgroups: new Cgroups(options.cgroupParent ?? 'swarm', clock),
    namespaces: new NetNamespaces(() => tools.path('ip', 'iproute2')),
    tools,
    usesCalls: privileged && (options.usesCalls ?? hasCallPrograms()),
    lastCapability: lastCapability(),
    view: new HostView({ folders: [folder, ...hiddenFolders], sockets: hiddenSockets }, tools),
    recorder: new LogRecorder(clock, diskSpace, (error) =>
      logger.warn({ error: messageOf(error) }, 'could not write the times of a log'),
    ),
  };
}
