import { join } from 'node:path';
import { type FileSystem, NODE_FILES } from './file-system.js';
import { inspectLogFile, type LogFileReport } from './leveldb-log-file.js';

/** What the files of a closed database say about how it was closed. */
export interface CrashCheck {
  /** Why acknowledged records are certainly lost; undefined when nothing says so. */
  readonly damage?: string;
  /**
   * Files that end in a torn write, which was never acknowledged. LevelDB drops it and logs that.
   */
  readonly torn: readonly string[];
}

const WRITE_AHEAD_FILE = /^\d+\.log$/;

/**
 * Reads LevelDB's write-ahead files before LevelDB opens and replaces them. Changes nothing.
 * @param folder the folder of an existing database
 */
export async function checkAfterCrash(
  folder: string,
  files: FileSystem = NODE_FILES,
): Promise<CrashCheck> {
  const names = (await files.list(folder)).filter((name) => WRITE_AHEAD_FILE.test(name));
  // A database always has one: LevelDB makes the next file before it deletes the previous one.
  if (names.length === 0) return { damage: 'the write-ahead file is missing', torn: [] };
  const torn: string[] = [];
  for (const name of names.sort()) {
    const content = await files.read(join(folder, name));
    // A store that is open elsewhere may remove a file meanwhile; the lock then refuses us anyway.
    if (content === undefined) continue;
    const report = inspectLogFile(content);
    const damage = damageIn(report);
    if (damage !== undefined) return { damage: `${name}: ${damage}`, torn: [] };
    if (report.faults.length > 0) torn.push(name);
  }
  return { torn };
}

/**
 * A torn write is harmless if no record was acknowledged after it. Only one record is written at a
 * time, so at most copies of one other record may follow it: the one whose sync the crash
 * interrupted, while an unsynced write before it was lost.
 */
function damageIn({ faults, before, after }: LogFileReport): string | undefined {
  const damaged = faults.find(({ kind }) => kind === 'damaged');
  if (damaged !== undefined) return `${damaged.what} at byte ${damaged.offset}`;
  const next = after[0];
  if (next === undefined) return undefined;
  const last = before.at(-1);
  const connected = last === undefined || next <= last + 1;
  if (connected && after.every((sequence) => sequence === next)) return undefined;
  return `${faults[0]!.what} at byte ${faults[0]!.offset}, with later records after it`;
}

const COMPLAINT = /corruption|dropping|ignoring error/i;
const INFO_LOG_LIMIT_LINES = 3;

/**
 * Lines of LevelDB's own log, LOG, that report lost data, except about the files known to end in a
 * torn write. @returns undefined when it has no such lines
 */
export async function complaintsOfLevelDb(
  folder: string,
  torn: readonly string[],
  files: FileSystem = NODE_FILES,
): Promise<string | undefined> {
  const text = await files.read(join(folder, 'LOG'));
  if (text === undefined) return undefined;
  const lines = Buffer.from(text).toString('utf8').split('\n');
  const complaints = lines.filter(
    (line) => COMPLAINT.test(line) && !torn.some((name) => line.includes(`/${name}:`)),
  );
  if (complaints.length === 0) return undefined;
  return complaints.slice(0, INFO_LOG_LIMIT_LINES).join(' | ');
}
