import { join } from 'node:path';
import type { MemberId } from '../core/types.js';
import type { RecordCipher } from './cipher.js';
import { checkAfterCrash, complaintsOfLevelDb } from './crash-check.js';
import type { Database, OpenDatabase } from './database.js';
import { RecordDamagedError, RecordUnreadableError } from './envelope.js';
import {
  corrupt,
  StorageIdentityError,
  StorageLockedError,
  StorageUnreadableError,
} from './errors.js';
import type { FileSystem } from './file-system.js';
import { FolderSync } from './folder-sync.js';
import {
  type Identity,
  IdentityDamagedError,
  readIdentity,
  writeIdentity,
} from './identity-file.js';
import { IdentityKeeper } from './identity-keeper.js';
import { INCARNATION_KEY, META_KEY, RECORDS_END, recordKey, sequenceOf } from './keys.js';
import { decodeIncarnation, decodeLogMeta, encodeIncarnation, type LogMeta } from './log-meta.js';
import { OrderedWrites } from './ordered-writes.js';
import { decodeRecord } from './record.js';
import { EMPTY_META, LogBrokenError, Recovery } from './recovery.js';
import { StorageCorruptError } from './storage.js';

/** What a store needs to be opened. */
export interface Opening {
  readonly path: string;
  readonly clusterId: string;
  readonly memberId: MemberId;
  readonly cipher: RecordCipher;
  readonly writeBufferBytes: number;
  readonly openDatabase: OpenDatabase;
  readonly files: FileSystem;
  /** Receives errors of background work. */
  readonly onError: (error: unknown) => void;
}

/** An open store and its content. */
export interface OpenedStore {
  readonly database: Database;
  readonly keeper: IdentityKeeper;
  readonly folder: FolderSync;
  readonly meta: LogMeta;
  readonly recovery: Recovery;
}

/**
 * Opens a store and checks that nothing acknowledged is missing:
 *
 * 1. the identity file says whose log it is and the least that must be there;
 * 2. LevelDB's write-ahead files are read before LevelDB can drop what it does not understand;
 * 3. LevelDB opens, and its own log is searched for complaints;
 * 4. all records are read: checksums, sequence numbers, indexes, commit, and the bounds of 1;
 * 5. this opening is recorded, in the database first, so that the next one can detect an old copy.
 *
 * A fault found after step 3, when LevelDB has already tidied up, is recorded in the identity file,
 * which refuses all later openings.
 */
export async function openStore(opening: Opening): Promise<OpenedStore> {
  const paths = storePaths(opening.path);
  const identity = await claim(opening, paths.identity, paths.database);
  const isNew = identity.incarnation === 0;
  const torn = isNew ? [] : await tornFiles(opening, paths.database);
  const database = await openDatabase(opening, paths.database, isNew);
  const keeper = new IdentityKeeper(paths.identity, identity, opening.files, opening.onError);
  let folder: FolderSync | undefined;
  try {
    // Nothing was ever acknowledged in a new store, so it cannot have lost anything.
    const complaints = isNew
      ? undefined
      : await complaintsOfLevelDb(paths.database, torn, opening.files);
    if (complaints !== undefined) throw corrupt(opening.path, `LevelDB says: ${complaints}`);
    const { meta, recovery, openings } = await recover(database, opening, identity);
    folder = await FolderSync.open(opening.files, paths.database);
    const incarnation = openings + 1;
    const mark = encodeIncarnation(incarnation, opening.cipher);
    await database.write([[INCARNATION_KEY, mark]], { sync: true });
    await folder.settle();
    const { provisional, nextSequence } = recovery;
    const durableSequence = (provisional?.sequence ?? nextSequence) - 1;
    await keeper.change({ incarnation, durableSequence });
    return { database, keeper, folder, meta, recovery };
  } catch (error) {
    if (error instanceof StorageCorruptError) await keeper.change({ condemned: error.message });
    await folder?.close();
    await database.close();
    throw error;
  }
}

/** Paths of the parts of a store. */
function storePaths(path: string): { readonly identity: string; readonly database: string } {
  return { identity: join(path, 'identity'), database: join(path, 'log') };
}

/** Reads the identity file, or makes it for a new store. */
async function claim(opening: Opening, path: string, databasePath: string): Promise<Identity> {
  const { clusterId, memberId, files } = opening;
  const found = await identityAt(opening, path);
  const hasDatabase = (await files.read(join(databasePath, 'CURRENT'))) !== undefined;
  if (found === undefined) {
    if (hasDatabase)
      throw corrupt(opening.path, 'the identity file beside the database is missing');
    const identity = { clusterId, memberId, incarnation: 0, durableSequence: 0 };
    await writeIdentity(path, identity, files);
    return identity;
  }
  if (found.condemned !== undefined) throw new StorageCorruptError(found.condemned);
  if (found.clusterId !== clusterId || found.memberId !== memberId) {
    throw new StorageIdentityError(
      `The Raft log in ${opening.path} is that of member ${found.memberId} of cluster ` +
        `${found.clusterId}, not of member ${memberId} of cluster ${clusterId}. Give the folder ` +
        'that belongs to this member, or an empty one.',
    );
  }
  if (found.incarnation > 0 && !hasDatabase) {
    throw corrupt(opening.path, 'the identity file is there, the database is missing');
  }
  return found;
}

async function identityAt(opening: Opening, path: string): Promise<Identity | undefined> {
  try {
    return await readIdentity(path, opening.files);
  } catch (error) {
    if (error instanceof IdentityDamagedError) throw corrupt(opening.path, error.message, error);
    throw error;
  }
}

async function tornFiles(opening: Opening, databasePath: string): Promise<readonly string[]> {
  const { damage, torn } = await checkAfterCrash(databasePath, opening.files);
  if (damage !== undefined) throw corrupt(opening.path, damage);
  return torn;
}

async function openDatabase(opening: Opening, path: string, isNew: boolean): Promise<Database> {
  const { writeBufferBytes } = opening;
  const open = async (): Promise<Database> =>
    new OrderedWrites(
      await opening.openDatabase(path, { createIfMissing: isNew, writeBufferBytes }),
    );
  try {
    try {
      return await open();
    } catch (error) {
      // A crash during creation leaves a catalogue that LevelDB never synced.
      if (!isNew || !isLost(error)) throw error;
      await opening.files.removeFolder(path);
      return await open();
    }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'LEVEL_LOCKED') {
      throw new StorageLockedError(
        `The Raft log in ${opening.path} is in use: another daemon runs with the same folder. ` +
          'Stop it, or give this one a folder of its own.',
        { cause: error },
      );
    }
    if (isLost(error)) throw corrupt(opening.path, `LevelDB cannot open it: ${message}`, error);
    throw error;
  }
}

/** Reports whether LevelDB says that files are missing or damaged. */
function isLost(error: unknown): boolean {
  const { code, message } = error as NodeJS.ErrnoException;
  return code === 'LEVEL_CORRUPTION' || /does not exist|No such file/.test(message);
}

async function recover(
  database: Database,
  opening: Opening,
  identity: Identity,
): Promise<{ meta: LogMeta; recovery: Recovery; openings: number }> {
  const { path, cipher } = opening;
  let at = 'the incarnation';
  try {
    const mark = await database.get(INCARNATION_KEY);
    const openings = mark === undefined ? 0 : decodeIncarnation(mark, cipher);
    if (openings < identity.incarnation) {
      throw new LogBrokenError(
        `the database was opened ${openings} times, the identity file says ` +
          `${identity.incarnation}: it is an old copy, or has lost its latest file`,
      );
    }
    at = 'the start of the log';
    const start = await database.get(META_KEY);
    const meta = start === undefined ? EMPTY_META : decodeLogMeta(start, cipher);
    const recovery = new Recovery(meta);
    for await (const [key, value] of database.read(recordKey(meta.firstSequence), RECORDS_END)) {
      const sequence = sequenceOf(key);
      at = `record ${sequence}`;
      recovery.add(sequence, decodeRecord(value, cipher));
    }
    at = 'the end of the log';
    recovery.finish();
    checkBound(recovery, identity);
    return { meta, recovery, openings };
  } catch (error) {
    throw explain(path, at, error);
  }
}

function checkBound(recovery: Recovery, { durableSequence }: Identity): void {
  const { nextSequence } = recovery;
  if (nextSequence > durableSequence) return;
  throw new LogBrokenError(
    `the last record is ${nextSequence - 1}, but ${durableSequence} was durable`,
  );
}

function explain(path: string, at: string, error: unknown): unknown {
  const { code, message } = error as NodeJS.ErrnoException;
  if (error instanceof RecordUnreadableError) {
    return new StorageUnreadableError(
      `The Raft log in ${path} cannot be read at ${at}: ${message}`,
      { cause: error },
    );
  }
  const damaged = error instanceof RecordDamagedError || error instanceof LogBrokenError;
  // The result of reading beyond the end of a table.
  const cut = code === 'LEVEL_IO_ERROR' && message.includes('Invalid argument');
  if (!damaged && !cut && code !== 'LEVEL_CORRUPTION') return error;
  return corrupt(path, `at ${at}: ${message}`, error);
}
