import type { Identity } from '@swarm/raft';
import {
  decodeIncarnation,
  decodeLogMeta,
  decodeRecord,
  EMPTY_META,
  INCARNATION_KEY,
  META_KEY,
  PLAIN,
  recordKey,
  sequenceOf,
} from '@swarm/raft/internals';
import {
  type Bytes,
  CURRENT,
  Items,
  keyBytes,
  keyText,
  type Manifest,
  Names,
  numberOf,
  readBatches,
  type SimFiles,
  type Table,
  tableName,
  type Version,
} from '@swarm/sim';

/** Two folders deep, so that the name of a parent may be lost too. */
export const STORE_PATH = '/swarm/raft';
export const DATABASE_PATH = `${STORE_PATH}/log`;
export const IDENTITY_PATH = `${STORE_PATH}/identity`;

export function databaseNames(files: SimFiles): string[] {
  const folder = files.find(DATABASE_PATH);
  return folder instanceof Names ? [...folder.now.keys()] : [];
}

export function databaseFile(files: SimFiles, name: string): Bytes | undefined {
  return files.bytes(`${DATABASE_PATH}/${name}`);
}

/** Names of the write-ahead files, oldest first. */
export function logNames(files: SimFiles): string[] {
  return databaseNames(files)
    .filter((name) => name.endsWith('.log'))
    .sort();
}

export function newestLog(files: SimFiles): Bytes | undefined {
  const name = logNames(files).at(-1);
  return name === undefined ? undefined : databaseFile(files, name);
}

/** The catalogue in force; undefined when none can be read. */
export function manifestOf(files: SimFiles): Manifest | undefined {
  const current = databaseFile(files, CURRENT);
  if (current === undefined) return undefined;
  const name = Buffer.from(current.bytes).toString().trimEnd();
  const manifest = files.find(`${DATABASE_PATH}/${name}`);
  return manifest instanceof Items ? (manifest as Manifest) : undefined;
}

/**
 * Reports whether the content of the disk, checked against everything the store keeps for
 * comparison, is a whole log. If something is missing all the same, the loss is one that the
 * package's README lists as undetected: records cut off exactly at the end of a write and above the
 * bound.
 */
export function looksWhole(files: SimFiles): boolean {
  const identityFile = files.bytes(IDENTITY_PATH);
  const version = manifestOf(files)?.items.at(-1);
  if (identityFile === undefined || version === undefined) return false;
  if (logNames(files).length === 0) return false;
  try {
    const [body] = Buffer.from(identityFile.bytes).toString().split('\n');
    return reaches(rowsOf(files, version), JSON.parse(body!) as Identity);
  } catch {
    return false;
  }
}

function reaches(rows: ReadonlyMap<string, Uint8Array>, identity: Identity): boolean {
  const mark = rows.get(keyText(INCARNATION_KEY));
  if (mark === undefined || decodeIncarnation(mark, PLAIN) < identity.incarnation) return false;
  const start = rows.get(keyText(META_KEY));
  const meta = start === undefined ? EMPTY_META : decodeLogMeta(start, PLAIN);
  let next = meta.firstSequence;
  for (; ; next++) {
    const value = rows.get(keyText(recordKey(next)));
    if (value === undefined) break;
    if (decodeRecord(value, PLAIN).sequence !== next) return false;
  }
  const beyond = [...rows.keys()].some((key) => (sequenceOf(keyBytes(key)) ?? 0) > next);
  return !beyond && next > identity.durableSequence;
}

/** Returns what LevelDB would read. @throws where it would report that it cannot */
function rowsOf(files: SimFiles, version: Version): Map<string, Uint8Array> {
  const rows = new Map<string, Uint8Array>();
  const set = (key: string, value: Uint8Array | undefined): void => {
    if (value === undefined) rows.delete(key);
    else rows.set(key, value);
  };
  for (const number of version.tables) {
    const table = files.find(`${DATABASE_PATH}/${tableName(number)}`) as Table | undefined;
    if (table === undefined) throw new Error('a table is missing');
    for (const [key, value] of table.items) set(key, value);
  }
  for (const name of logNames(files)) {
    if (numberOf(name)! < version.logNumber) continue;
    for (const { operations } of readBatches(databaseFile(files, name)!.bytes, () => undefined)) {
      for (const [key, value] of operations) set(keyText(key), value);
    }
  }
  return rows;
}
