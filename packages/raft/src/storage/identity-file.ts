import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import type { MemberId } from '../core/types.js';
import { type FileSystem, NODE_FILES } from './file-system.js';
import { syncFolder } from './folder-sync.js';

/**
 * Whose log lies beside it, and the least that must be in it. Small, written whole and synced, and
 * kept apart from the database so that it outlives it.
 */
export interface Identity {
  readonly clusterId: string;
  readonly memberId: MemberId;
  /**
   * How often the store was opened; 0 until the first complete opening. The database holds the same
   * number, written first: a database with a lower one is an old copy, or lost its last file.
   */
  readonly incarnation: number;
  /** All records up to this one were durable when the file was written: a lower bound. */
  readonly durableSequence: number;
  /** Why the log may never be used again. */
  readonly condemned?: string;
}

/** The file exists, but its content makes no sense. */
export class IdentityDamagedError extends Error {
  readonly code = 'RAFT_IDENTITY_DAMAGED';
}

/**
 * @returns undefined when there is no such file
 * @throws IdentityDamagedError, errors of the disk
 */
export async function readIdentity(
  path: string,
  files: FileSystem = NODE_FILES,
): Promise<Identity | undefined> {
  const content = await files.read(path);
  if (content === undefined) return undefined;
  const text = Buffer.from(content).toString('utf8');
  const [body = '', checksum = ''] = text.split('\n');
  if (checksum !== checksumOf(body)) {
    throw new IdentityDamagedError(`${path} is damaged: its checksum does not match`);
  }
  return JSON.parse(body) as Identity;
}

/** Replaces the file; the new one is durable when this resolves. Not safe to call concurrently. */
export async function writeIdentity(
  path: string,
  identity: Identity,
  files: FileSystem,
): Promise<void> {
  const body = JSON.stringify(identity);
  const draft = `${path}.new`;
  const file = await files.create(draft);
  try {
    await file.write(`${body}\n${checksumOf(body)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await files.rename(draft, path);
  await syncFolder(files, dirname(path));
}

function checksumOf(body: string): string {
  return crc32(body).toString(16).padStart(8, '0');
}
