import { createReadStream, type ReadStream, statSync } from 'node:fs';
import { systemProblem } from '@swarm/api/client';
import { type Command, UsageError } from '../command.js';
import { ensureDaemon } from '../client/ensure-daemon.js';

/** `swarm restore`: rebuilds a cluster from a backup, with this node as its only manager. */
export const RESTORE: Command = {
  path: ['restore'],
  usage: '[OPTIONS] FILE',
  about:
    'Make this host, which is not in a cluster, the only manager of the cluster in a backup. Use it only if all managers are lost for good.',
  flags: {
    'advertise-addr': {
      type: 'string',
      about: 'address at which other nodes reach this one (IP or interface, with optional :PORT)',
    },
    'data-path-addr': {
      type: 'string',
      about:
        "address for tasks' traffic between nodes (IP or interface; default: the advertised one)",
    },
    'listen-addr': {
      type: 'string',
      about: 'address to listen on (IP or interface, with optional :PORT)',
      default: '0.0.0.0:2377',
    },
  },
  least: 1,
  most: 1,
  completes: ['file'],
  examples: [
    {
      line: 'restore --advertise-addr 192.0.2.1 cluster.swarm',
      about: 'on a host that is not in a cluster',
    },
  ],
  async run(context) {
    const { args, client, output } = context;
    const path = args.positionals[0]!;
    const file = await openFile(path);
    try {
      await ensureDaemon(context);
      const nodeId = await client.upload<string>('/x/restore', file, {
        listenAddr: args.string('listen-addr'),
        advertiseAddr: args.string('advertise-addr'),
        dataPathAddr: args.string('data-path-addr'),
      });
      output.line(
        `Swarm restored: current node (${nodeId}) is now its only manager.\n\n` +
          "Workers that know this manager's address return by themselves; on the others run\n" +
          "'swarm reconnect ADDRESS' with its address: their tasks run on. On old managers run\n" +
          "'swarm leave --force' and join them again; do not start them with their old state.\n" +
          'See docs/recovery.md.',
      );
    } finally {
      file.destroy();
    }
    return 0;
  },
};

/** @throws UsageError for what cannot be read, before a daemon is started for it */
async function openFile(path: string): Promise<ReadStream> {
  const fail = (why: string) => new UsageError(`${path}: ${why}`);
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true)
    throw fail('is a folder, not a file');
  const file = createReadStream(path);
  await new Promise<void>((done, reject) => {
    file.once('open', () => done());
    file.once('error', (error) => reject(fail(systemProblem(error))));
  });
  return file;
}
