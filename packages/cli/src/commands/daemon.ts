import type { Arguments, Command, Flags } from '../command.js';
import type { DaemonFlags } from '../local-node.js';

/** What they mean, and what is taken without them, is the node's to say. */
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
    default: 'unix:///var/run/docker.sock',
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

/** `swarm daemon`: runs a node in the foreground until SIGINT or SIGTERM. */
export const DAEMON: Command = {
  path: ['daemon'],
  usage: '[OPTIONS]',
  about: 'Run this node in the foreground (for systemd, or to watch it).',
  flags: DAEMON_FLAGS,
  least: 0,
  most: 0,
  examples: [
    { line: 'daemon --log-format json', about: 'as the systemd unit runs it' },
    { line: 'daemon --runtime process --label zone=east', about: 'without Docker' },
  ],
  async run({ args, env, uid, node }) {
    const { runDaemon } = await node();
    return runDaemon(given(args), env, uid);
  },
};

function given(args: Arguments): DaemonFlags {
  const names = Object.keys(DAEMON_FLAGS).filter((name) => args.has(name));
  return Object.fromEntries(
    names.map((name) => [
      name,
      DAEMON_FLAGS[name]?.type === 'list' ? args.list(name) : args.string(name),
    ]),
  );
}
