import type { Arguments, Command, Flags } from '../command.js';
import type { DaemonFlags } from '../local-node.js';

/** The node decides what these mean, and what the defaults are. */
export const DAEMON_FLAGS: Flags = {
  'advertise-addr': {
    type: 'string',
    about: 'address at which other nodes reach this one (IP or interface), from now on',
  },
  'cgroup-parent': {
    type: 'string',
    about: "cgroup for the process runtime's tasks",
    default: 'swarm',
  },
  'data-path-addr': {
    type: 'string',
    about: "address for tasks' traffic between nodes (IP or interface), from now on",
  },
  'data-root': {
    type: 'string',
    about: 'folder for all data of this node',
    completes: 'file',
  },
  engine: {
    type: 'string',
    about: 'Docker Engine to use (unix://PATH)',
    default: 'unix:///var/run/docker.sock',
  },
  label: { type: 'list', about: 'engine label of this node (key=value), for constraints' },
  'listen-addr': {
    type: 'string',
    about: 'address to listen on (IP or interface, with optional :PORT), from now on',
  },
  'log-format': {
    type: 'string',
    about: 'log format: pretty or json',
    choices: ['pretty', 'json'],
    default: 'pretty',
  },
  'log-level': {
    type: 'string',
    about: 'lowest level to log: debug, info, warn or error',
    choices: ['debug', 'info', 'warn', 'error'],
    default: 'info',
  },
  mesh: {
    type: 'string',
    about: 'routing mesh: auto, nftables, ipvs or userspace',
    choices: ['auto', 'nftables', 'ipvs', 'userspace'],
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
  about: 'Run this node in the foreground (for systemd, or to watch its log).',
  flags: DAEMON_FLAGS,
  least: 0,
  most: 0,
  examples: [
    { line: 'daemon --log-format json', about: 'as in the systemd unit' },
    { line: 'daemon --runtime process --label zone=east', about: 'without Docker' },
    { line: 'daemon --advertise-addr 192.0.2.7', about: "once, when this host's address changed" },
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
