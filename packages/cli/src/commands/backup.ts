import { createWriteStream, existsSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { type Command, UsageError } from '../command.js';

/** `swarm backup`: the cluster's state as one file, taken while it runs. */
export const BACKUP: Command = {
  path: ['backup'],
  usage: '[OPTIONS] FILE',
  about: "Save the cluster's whole state to a file, on any manager. It holds keys and secrets.",
  flags: {
    stale: {
      type: 'boolean',
      about: 'save what this manager knows, also when the managers have no quorum',
    },
  },
  least: 1,
  most: 1,
  async run({ args, client, output }) {
    const path = resolve(args.positionals[0]!);
    if (existsSync(path))
      throw new UsageError(`${path} exists already: remove it, or give another name`);
    const query = args.boolean('stale') ? { stale: 1 } : {};
    const part = `${path}.part`;
    await rm(part, { force: true });
    try {
      const body = await client.stream('/x/backup', query);
      await pipeline(body, createWriteStream(part, { mode: 0o600, flags: 'wx', flush: true }));
      const { checkBackup } = await import('@swarm/manager/recovery');
      const { header, objects } = await checkBackup(part);
      await rename(part, path);
      await syncFolder(dirname(path));
      output.line(
        `Saved cluster ${header.clusterId} as of log entry ${header.index} (${objects} objects) to ${path}.\n` +
          'It holds the private key of the cluster and all secrets: keep it where only you can read it.',
      );
    } finally {
      await rm(part, { force: true });
    }
    return 0;
  },
};

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
