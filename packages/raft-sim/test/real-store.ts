import { copyFile, cp, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Entry, EntryKind, type Persist } from '@swarm/raft';

/** A folder on the machine's own disk, removed after the test. */
export async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'raft-sim-'));
  try {
    await body(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/**
 * Copies a store in use. Copies the identity file first, because it is written after the database:
 * a copy newer than the database's would name records that the copy lacks.
 */
export async function copyStore(path: string, target: string): Promise<void> {
  await mkdir(target);
  await copyFile(join(path, 'identity'), join(target, 'identity'));
  await cp(join(path, 'log'), join(target, 'log'), { recursive: true });
}

/** The store's only write-ahead file. */
export async function writeAheadFile(path: string): Promise<string> {
  const names = await readdir(join(path, 'log'));
  const found = names.filter((name) => name.endsWith('.log'));
  if (found.length !== 1) throw new Error(`${found.length} write-ahead files`);
  return join(path, 'log', found[0]!);
}

export function entry(index: number, term: number, text = `${index}/${term}`): Entry {
  return { index, term, kind: EntryKind.Normal, data: Buffer.from(text) };
}

/** A write as the core would order it. */
export function write(part: Partial<Persist>): Persist {
  return { entries: [], mustSync: true, ...part };
}
