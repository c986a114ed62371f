import { open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import type { MemberId } from '../core/types.js';

/**
 * Who the log beside it belongs to, and how much of it there must be at least. It is small, written
 * whole and synced, and kept apart from the database so that it outlives it.
 */
export interface Identity {
  readonly clusterId: string;
  readonly memberId: MemberId;
  /**
   * How often the store was opened; 0 while it was never opened completely. The database has the
   * same number, written first: a database that has less is an old copy, or lost its last file.
   */
  readonly incarnation: number;
  /** All records up to this one were durable when the file was written: a lower bound. */
  readonly durableSequence: number;
  /** Why the log may never be used again. */
  readonly condemned?: string;
}

/** The file is there but says nothing sensible. */
export class IdentityDamagedError extends Error {
  readonly code = 'RAFT_IDENTITY_DAMAGED';
}

/** @returns undefined when there is no such file. @throws IdentityDamagedError, errors of the disk */
export async function readIdentity(path: string): Promise<Identity | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const [body = '', checksum = ''] = text.split('\n');
  if (checksum !== checksumOf(body)) {
    throw new IdentityDamagedError(`${path} is damaged: its checksum does not match`);
  }
  return JSON.parse(body) as Identity;
}

/** Replaces the file; the new one is durable when this resolves. Not to be called concurrently. */
export async function writeIdentity(path: string, identity: Identity): Promise<void> {
  const body = JSON.stringify(identity);
  const draft = `${path}.new`;
  const file = await open(draft, 'w', 0o600);
  try {
    await file.writeFile(`${body}\n${checksumOf(body)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(draft, path);
  await syncFolder(dirname(path));
}

/** Makes names created or removed in a folder durable. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function checksumOf(body: string): string {
  return crc32(body).toString(16).padStart(8, '0');
}
