import { Codec } from '../store/command.js';
import { kindOfCode } from '../store/kinds.js';
import { readSnapshot } from '../store/snapshot-stream.js';
import type { Kind, Objects } from '../store/store.js';
import { type BackupHeader, type OpenBackup, readBackup } from './backup-file.js';

/** The state in a backup, keys and tokens included. */
export interface BackupObjects {
  readonly header: BackupHeader;
  /** In stored order: by kind, then by id. */
  readonly objects: readonly { readonly kind: Kind; readonly object: Objects[Kind] }[];
}

/**
 * Reads every object of a backup into memory: for tools and tests that look at a whole cluster.
 * @throws ApiError INVALID_ARGUMENT, SnapshotError, CommandFormatError when it cannot be read
 */
export async function readBackupObjects(open: OpenBackup): Promise<BackupObjects> {
  const { header, chunks } = await readBackup(open);
  const codec = new Codec();
  const objects: BackupObjects['objects'][number][] = [];
  for await (const { tag, body } of readSnapshot(header.index, chunks)) {
    const kind = kindOfCode(tag);
    if (kind === undefined) throw new Error(`the backup has objects of an unknown kind (${tag})`);
    objects.push({ kind, object: codec.decode(body) as Objects[Kind] });
  }
  return { header, objects };
}
