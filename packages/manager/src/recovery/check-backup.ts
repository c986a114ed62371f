import { ApiError, type Cluster, showControls } from '@swarm/api';
import { Codec } from '../store/command.js';
import { checkLevel } from '../store/feature-levels.js';
import { kindOfCode } from '../store/kinds.js';
import { readObject } from '../store/reading.js';
import { readSnapshot } from '../store/snapshot-stream.js';
import { type BackupHeader, type OpenBackup, readBackup } from './backup-file.js';

/** A backup that has been read from its first byte to its last. */
export interface CheckedBackup {
  readonly open: OpenBackup;
  readonly header: BackupHeader;
  readonly cluster: Cluster;
  readonly objects: number;
}

/** Largest state that can be restored: it must fit in a manager's memory. */
export const STATE_LIMIT_BYTES = 4 * 1024 ** 3;
export const STATE_LIMIT_OBJECTS = 4_000_000;

/**
 * Reads a whole backup and decodes every object in it, keeping only the cluster. Accepts objects with bad
 * fields, which an older version could have stored: a manager copes with those (see `readObject`).
 * @throws ApiError INVALID_ARGUMENT that says what is wrong
 */
export async function checkBackup(open: OpenBackup): Promise<CheckedBackup> {
  const { header, chunks } = await readBackup(open);
  const codec = new Codec();
  let cluster: Cluster | undefined;
  let objects = 0;
  let bytes = 0;
  try {
    for await (const { tag, body } of readSnapshot(header.index, chunks)) {
      const kind = kindOfCode(tag);
      if (kind === undefined) throw new Error(`it has objects of an unknown kind (${tag})`);
      objects += 1;
      bytes += body.length;
      if (objects > STATE_LIMIT_OBJECTS || bytes > STATE_LIMIT_BYTES)
        throw new Error('its state is too large for a manager');
      const object = codec.decodeObject(body);
      if (object.Version.Index > header.index)
        throw new Error(`${kind} ${object.ID} is newer than the backup`);
      if (kind !== 'cluster') continue;
      checkLevel(object as Cluster);
      if (cluster !== undefined) throw new Error('it has two clusters');
      const { object: read, faults } = readObject(kind, object);
      if (read === undefined) throw new Error(`its cluster cannot be read (${faults.at(-1)})`);
      cluster = read;
    }
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError(
      'INVALID_ARGUMENT',
      `the backup cannot be used: ${showControls((error as Error).message)}. Nothing was changed`,
      { cause: error },
    );
  }
  if (cluster === undefined || cluster.ID !== header.clusterId) {
    throw new ApiError(
      'INVALID_ARGUMENT',
      'the backup cannot be used: its state is not that of the cluster it names. Nothing was changed',
    );
  }
  return { open, header, cluster, objects };
}
