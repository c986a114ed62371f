import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock, Logger } from '@swarm/api';
import { foundingMeta, foundLog, LevelStorage } from '@swarm/raft';
import { type LocalManager, selfInfo } from '../assembly/local-manager.js';
import { Codec } from '../store/command.js';
import { kindOfCode } from '../store/kinds.js';
import { readObject } from '../store/reading.js';
import {
  type EncodedObject,
  readSnapshot,
  SnapshotError,
  writeSnapshot,
} from '../store/snapshot-stream.js';
import { StoreStateMachine } from '../store/state-machine.js';
import { readBackup } from './backup-file.js';
import type { CheckedBackup } from './check-backup.js';
import { absent } from './take-over.js';

/**
 * Makes the log and state of a manager that is alone in its cluster from a backup, and deletes what its
 * folder held before. Checks the file once more on the way.
 * @param self a manager with a Raft id that was never used
 * @throws ApiError INVALID_ARGUMENT; disk errors
 */
export async function installBackup(
  self: LocalManager,
  backup: CheckedBackup,
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
): Promise<void> {
  await rm(self.folder, { recursive: true, force: true });
  const { header, chunks } = await readBackup(backup.path);
  const removed = [...header.removed, ...header.members.map(({ raftId }) => raftId)];
  const { index, term } = header;
  const meta = foundingMeta({ self: selfInfo(self), index, term, removed });
  const state = await StoreStateMachine.open({ folder: join(self.folder, 'state'), clock, logger });
  try {
    await state.restore(meta, writeSnapshot(index, withNodesAbsent(index, chunks)));
  } finally {
    await state.close();
  }
  // The log comes last: a member whose log is ahead of its state does not start.
  await foundLog(logOf(self), meta);
}

/** Yields the objects of a backup unchanged, except nodes: see `absent`. */
async function* withNodesAbsent(
  index: number,
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<EncodedObject, void, undefined> {
  const codec = new Codec();
  for await (const { tag, body } of readSnapshot(index, chunks)) {
    const kind = kindOfCode(tag);
    if (kind === undefined)
      throw new SnapshotError(`the backup has objects of an unknown kind (${tag})`);
    const node = kind === 'node' ? readObject(kind, codec.decodeObject(body)).object : undefined;
    // Nodes that cannot be read stay as they are; the restored manager sets them aside.
    yield { kind, value: node === undefined ? body : codec.encode(absent(node)) };
  }
}

/** Opens a manager's log; see Manager.open. */
export function logOf(self: LocalManager): LevelStorage {
  const { folder, clusterId, raftId } = self;
  return new LevelStorage({ path: join(folder, 'log'), clusterId, memberId: raftId });
}
