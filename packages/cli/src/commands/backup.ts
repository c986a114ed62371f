import { resolve } from 'node:path';
import type { Command } from '../command.js';
import { writeNewFile } from '../files/new-file.js';
import { interruptible } from '../interrupt.js';

/** `swarm backup`: saves the cluster's state as one file, while the cluster runs. */
export const BACKUP: Command = {
  path: ['backup'],
  usage: '[OPTIONS] FILE',
  about: "Save the cluster's whole state to a file, on any manager. It holds keys and secrets.",
  flags: {
    stale: {
      type: 'boolean',
      about: 'save what this manager knows, even if the managers have no quorum',
    },
  },
  least: 1,
  most: 1,
  completes: ['file'],
  examples: [{ line: 'backup cluster.swarm', about: 'while the cluster runs' }],
  async run({ args, client, node, output, signals }) {
    const path = resolve(args.positionals[0]!);
    const query = args.boolean('stale') ? { stale: 1 } : {};
    const { checkBackup } = await node();
    const save = async () => {
      const { header, objects } = await writeNewFile(
        path,
        () => client.stream('/x/backup', query),
        checkBackup,
      );
      output.line(
        `Saved cluster ${header.clusterId} as of log entry ${header.index} (${objects} objects) to ${path}.\n` +
          'It holds the private key of the cluster and all secrets: keep it where only you can read it.',
      );
      return 0;
    };
    // Closing the client ends the download, which removes what was written: it has the cluster's keys.
    return interruptible(signals, save(), () => {
      client.close();
      output.error('Interrupted: nothing was saved.');
    });
  },
};
