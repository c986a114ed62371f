import { join } from 'node:path';
import type { Clock, Logger } from '@swarm/api';
import { foundingMeta, foundLog, type LogStorage } from '@swarm/raft';
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

/** What recovery works with, while no manager uses it. */
export interface RecoveryContext {
  /** The member's Raft log, not open. */
  readonly log: LogStorage;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Makes the log and state of a manager that is alone in its cluster from a backup. Checks the backup once more
 * on the way.
 * @param self a manager with a Raft id that was never used, and an empty folder
 * @throws ApiError INVALID_ARGUMENT; disk errors
 */
export async function installBackup(
  self: LocalManager,
  backup: CheckedBackup,
  { log, clock, logger }: RecoveryContext,
): Promise<void> {
  const { header, chunks } = await readBackup(backup.open);
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
  await foundLog(log, meta);
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
