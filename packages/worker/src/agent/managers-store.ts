import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { ManagerAddress } from '@swarm/api';
import { errnoOf } from '../runtime/runtime-error.js';

/** Where the addresses of managers are kept from one life of the daemon to the next. */
export interface ManagersStore {
  /** Empty when nothing was saved yet. */
  load(): Promise<readonly ManagerAddress[]>;
  save(managers: readonly ManagerAddress[]): Promise<void>;
}

/** Keeps them in a JSON file, replaced as a whole. */
export function managersFile(path: string): ManagersStore {
  return {
    async load() {
      try {
        return JSON.parse(await readFile(path, 'utf8')) as ManagerAddress[];
      } catch (error) {
        if (errnoOf(error) === 'ENOENT') return [];
        throw error;
      }
    },
    async save(managers) {
      await mkdir(dirname(path), { recursive: true });
      await writeFile(`${path}.new`, `${JSON.stringify(managers, null, 2)}\n`, { mode: 0o600 });
      await rename(`${path}.new`, path);
    },
  };
}
