import { ApiError, type Cluster } from '@swarm/api';
import { Codec } from '../store/command.js';
import { kindOfCode } from '../store/kinds.js';
import { readSnapshot } from '../store/snapshot-stream.js';
import { type BackupHeader, readBackup } from './backup-file.js';

/** A backup that was read from its first byte to its last. */
export interface CheckedBackup {
  readonly path: string;
  readonly header: BackupHeader;
  readonly cluster: Cluster;
  readonly objects: number;
}

/**
 * Reads a whole backup and decodes every object in it, keeping none but the cluster.
 * @throws ApiError INVALID_ARGUMENT, saying what is wrong with it
 */
export async function checkBackup(path: string): Promise<CheckedBackup> {
  const { header, chunks } = await readBackup(path);
  const codec = new Codec();
  let cluster: Cluster | undefined;
  let objects = 0;
  try {
    for await (const { tag, body } of readSnapshot(header.index, chunks)) {
      const kind = kindOfCode(tag);
      if (kind === undefined) throw new Error(`it has objects of a kind unknown here (${tag})`);
      const object = codec.decode(body);
      if (kind === 'cluster') cluster = object as Cluster;
      objects += 1;
    }
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError(
      'INVALID_ARGUMENT',
      `the backup can not be used: ${(error as Error).message}. Nothing was changed`,
      { cause: error },
    );
  }
  if (cluster === undefined || cluster.ID !== header.clusterId) {
    throw new ApiError(
      'INVALID_ARGUMENT',
      'the backup can not be used: its state is not that of the cluster it names. Nothing was changed',
    );
  }
  return { path, header, cluster, objects };
}
