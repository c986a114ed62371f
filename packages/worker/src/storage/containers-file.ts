import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Logger, SerialQueue } from '@swarm/api';
import type { ContainersStore } from '../attachable/containers-store.js';
import { recordsShape } from '../attachable/container-record.js';
import { DamagedFileError, readJsonFile } from './json-file.js';

const FILE_LIMIT_BYTES = 64 * 1024 * 1024;

/**
 * Keeps containers on networks of the cluster in a JSON file, replaced as a whole. Reports a damaged file and treats
 * it as empty: the node then gives back what the managers say it has.
 */
export function containersFile(path: string, logger: Pick<Logger, 'warn'>): ContainersStore {
  const writes = new SerialQueue();
  return {
    async load() {
      try {
        return (await readJsonFile(path, recordsShape, FILE_LIMIT_BYTES)) ?? [];
      } catch (error) {
        if (!(error instanceof DamagedFileError)) throw error;
        logger.warn({ reason: error.message }, 'the list of containers on networks is lost');
        return [];
      }
    },
    save: (records) =>
      writes.run(async () => {
        if (records().length === 0) return rm(path, { force: true });
        await mkdir(dirname(path), { recursive: true, mode: 0o700 });
        await writeFile(`${path}.new`, `${JSON.stringify(records())}\n`, { mode: 0o600 });
        await rename(`${path}.new`, path);
      }),
  };
}
