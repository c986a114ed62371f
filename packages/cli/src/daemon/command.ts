import type { Command } from '../command.js';
import { DAEMON_FLAGS, daemonOptions } from './options.js';

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
  async run({ args, env, uid }) {
    const options = daemonOptions(args, env, uid);
    const { runDaemon } = await import('./run.js');
    return runDaemon(options);
  },
};
