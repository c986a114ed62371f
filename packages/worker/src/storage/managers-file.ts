import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import {
  isObjectId,
  type Logger,
  type ManagerAddress,
  type Shape,
  shape,
  ShapeError,
} from '@swarm/api';
import type { ManagersStore } from '../agent/managers-store.js';
import { DamagedFileError, readJsonFile } from './json-file.js';

const FILE_LIMIT_BYTES = 256 * 1024;
const ENTRIES_LIMIT = 1000;

const managerShape = shape.record<ManagerAddress>({
  nodeId: {
    read(value) {
      // Empty: accept any node that answers at the address.
      if (value === '' || isObjectId(value)) return value;
      throw new ShapeError('', 'must be the id of a node or empty');
    },
  },
  address: shape.hostPort,
});

/** Addresses of managers. Skips those that it cannot read: any other will do. */
export const managersShape: Shape<readonly ManagerAddress[]> = {
  read: (value) => shape.readEach(managerShape, value, ENTRIES_LIMIT, () => undefined),
};

/**
 * Keeps the addresses of managers in a JSON file, replaced as a whole. Reports a damaged file and treats it as
 * empty: the first manager that answers names the others.
 */
export function managersFile(path: string, logger: Pick<Logger, 'warn'>): ManagersStore {
  return {
    async load() {
      try {
        return (await readJsonFile(path, managersShape, FILE_LIMIT_BYTES)) ?? [];
      } catch (error) {
        if (!(error instanceof DamagedFileError)) throw error;
        logger.warn({ reason: error.message }, 'the list of known managers is lost');
        return [];
      }
    },
    async save(managers) {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      await writeFile(`${path}.new`, `${JSON.stringify(managers, null, 2)}\n`, { mode: 0o600 });
      await rename(`${path}.new`, path);
    },
  };
}
