import { isAbsolute, join } from 'node:path';
import { type Arguments, type Flags, UsageError } from '../command.js';
import { defaultSocket } from '../client/endpoint.js';
import { oneOf } from '../flags/task-template.js';

export type RuntimeChoice = 'auto' | 'docker' | 'process';
export type MeshChoice = 'auto' | 'nftables' | 'userspace';

export const DEFAULT_ENGINE_SOCKET = '/var/run/docker.sock';

/** How a daemon runs; everything else is in its data folder or in the cluster. */
export interface DaemonOptions {
  readonly dataRoot: string;
  readonly socket: string;
  readonly runtime: RuntimeChoice;
  readonly mesh: MeshChoice;
  /** Docker Engine's socket. */
  readonly engineSocket: string;
  /** Cgroup that tasks of the process runtime live under, below each hierarchy's root. */
  readonly cgroupParent: string;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
  readonly logFormat: 'pretty' | 'json';
  readonly nodeLabels: Readonly<Record<string, string>>;
  /** Addresses that the userspace mesh listens on. */
  readonly meshBind: readonly string[];
}

export const DAEMON_FLAGS: Flags = {
  'cgroup-parent': {
    type: 'string',
    about: "cgroup of the process runtime's tasks",
    default: 'swarm',
  },
  'data-root': {
    type: 'string',
    about: 'folder for everything this node remembers',
    completes: 'file',
  },
  engine: {
    type: 'string',
    about: 'Docker Engine to use (unix://PATH)',
    default: `unix://${DEFAULT_ENGINE_SOCKET}`,
  },
  label: { type: 'list', about: 'engine label of this node (key=value), for constraints' },
  'log-format': {
    type: 'string',
    about: 'log as pretty or json',
    choices: ['pretty', 'json'],
    default: 'pretty',
  },
  'log-level': {
    type: 'string',
    about: 'log from debug, info, warn or error',
    choices: ['debug', 'info', 'warn', 'error'],
    default: 'info',
  },
  mesh: {
    type: 'string',
    about: 'routing mesh: auto, nftables or userspace',
    choices: ['auto', 'nftables', 'userspace'],
    default: 'auto',
  },
  'mesh-bind': { type: 'list', about: 'address the userspace mesh listens on (default: all)' },
  runtime: {
    type: 'string',
    about: 'task runtime: auto, docker or process',
    choices: ['auto', 'docker', 'process'],
    default: 'auto',
  },
  socket: { type: 'string', about: 'socket for local clients' },
};

/**
 * Root keeps its data under /var/lib, others under `$XDG_DATA_HOME`, else in their home.
 * @throws UsageError for a user without a home: no folder that others share is taken instead
 */
export function defaultDataRoot(env: NodeJS.ProcessEnv, uid: number): string {
  if (uid === 0) return '/var/lib/swarm';
  const { XDG_DATA_HOME: data, HOME: home } = env;
  // XDG Base Directory Specification: a path that is not absolute is to be ignored.
  if (data !== undefined && isAbsolute(data)) return join(data, 'swarm');
  if (home !== undefined && isAbsolute(home)) return join(home, '.local', 'share', 'swarm');
  throw new UsageError('there is no home folder to keep data in: set HOME, or give --data-root');
}

export function daemonOptions(args: Arguments, env: NodeJS.ProcessEnv, uid: number): DaemonOptions {
  const engine = args.string('engine') ?? `unix://${DEFAULT_ENGINE_SOCKET}`;
  if (!engine.startsWith('unix://'))
    throw new UsageError(`invalid argument '${engine}' for --engine: use unix://PATH`);
  const labels = args.list('label').map((item) => {
    const at = item.indexOf('=');
    if (at <= 0) throw new UsageError(`invalid argument '${item}' for --label: use key=value`);
    return [item.slice(0, at), item.slice(at + 1)] as const;
  });
  return {
    dataRoot: args.string('data-root') ?? defaultDataRoot(env, uid),
    socket: args.string('socket') ?? defaultSocket(env, uid).socketPath,
    runtime: oneOf('runtime', args.string('runtime') ?? 'auto', ['auto', 'docker', 'process']),
    mesh: oneOf('mesh', args.string('mesh') ?? 'auto', ['auto', 'nftables', 'userspace']),
    engineSocket: engine.slice('unix://'.length),
    cgroupParent: cgroupName(args.string('cgroup-parent') ?? 'swarm'),
    logLevel: oneOf('log-level', args.string('log-level') ?? 'info', [
      'debug',
      'info',
      'warn',
      'error',
    ]),
    logFormat: oneOf('log-format', args.string('log-format') ?? 'pretty', ['pretty', 'json']),
    nodeLabels: Object.fromEntries(labels),
    meshBind: args.list('mesh-bind'),
  };
}

function cgroupName(text: string): string {
  if (!/^[\w.-]+$/.test(text))
    throw new UsageError(
      `invalid argument '${text}' for --cgroup-parent: use letters, digits, '.', '_' and '-'`,
    );
  return text;
}
