import { StorageCorruptError } from './storage.js';

/** The log cannot be written, or was closed. The member must stop. */
export class StorageFailedError extends Error {
  readonly code = 'RAFT_STORAGE_FAILED';
}

/** Another process, or another part of this one, has the log open. */
export class StorageLockedError extends Error {
  readonly code = 'RAFT_STORAGE_LOCKED';
}

/** The log belongs to another member or another cluster. */
export class StorageIdentityError extends Error {
  readonly code = 'RAFT_STORAGE_IDENTITY';
}

/** The log is whole, but this program or this key cannot read it. */
export class StorageUnreadableError extends Error {
  readonly code = 'RAFT_STORAGE_UNREADABLE';
}

export function corrupt(path: string, found: string, cause?: unknown): StorageCorruptError {
  return new StorageCorruptError(
    `The Raft log in ${path} is damaged: ${found}. What this member acknowledged may be lost, so it ` +
      'must not vote again under its id. Move the folder away, remove the member from the cluster ' +
      'and let this node join again: it gets a new member id and a copy of the state.',
    { cause },
  );
}

/** For errors of the disk or of LevelDB during a write. */
export function failed(path: string, cause: unknown): StorageFailedError {
  return new StorageFailedError(
    `The Raft log in ${path} cannot be written: ${(cause as Error).message}. Nothing acknowledged ` +
      'is lost. Check the free space and the health of the disk, then start the node again.',
    { cause },
  );
}
