import { join } from 'node:path';
import { type Clock, silentLogger } from '@swarm/api';
import { databaseHolder, type LogReport, readLog, StorageLockedError } from '@swarm/raft';
import { Codec } from '../store/command.js';
import { KINDS } from '../store/kinds.js';
import { StoreStateMachine } from '../store/state-machine.js';
import type { View } from '../store/store.js';
import { type DumpedEntry, dumpEntry } from './log-entry.js';

/** A manager's log and state, read while its daemon is stopped. */
export interface Inspection {
  readonly log: LogReport;
  /** Log index of the state; undefined when the state cannot be read. */
  readonly appliedIndex: number | undefined;
  /** Objects in the state, by kind. */
  readonly objects: Readonly<Record<string, number>>;
  /** Everything wrong with the log, with the state, and between them; empty when all is well. */
  readonly problems: readonly string[];
  entries(): Iterable<DumpedEntry>;
}

/** Copies a folder with all that is in it. `copyFolder` is the real one. */
export type CopyFolder = (
  folder: string,
) => Promise<{ readonly path: string; remove(): Promise<void> }>;

/** What an inspection works with. */
export interface InspectionContext {
  readonly clock: Clock;
  readonly copyFolder: CopyFolder;
}

/**
 * Reads the log and state of the manager in a folder and checks them against each other. Works on copies
 * and changes nothing in the folder.
 * @param folder the Raft member's: `<data root>/raft`
 * @throws StorageLockedError while a daemon uses the folder; disk errors
 */
export async function inspectManager(
  folder: string,
  context: InspectionContext,
): Promise<Inspection> {
  const log = await readLog(join(folder, 'log'));
  const codec = new Codec();
  const problems = [...log.problems];
  const state = await readState(join(folder, 'state'), context, problems, (view) => {
    if (log.problems.length === 0) problems.push(...compare(log, view, codec));
    return {
      appliedIndex: view.index,
      objects: Object.fromEntries(KINDS.map((kind) => [kind, view.count(kind)])),
    };
  });
  return {
    log,
    appliedIndex: state?.appliedIndex,
    objects: state?.objects ?? {},
    problems,
    *entries() {
      for (const entry of log.entries) yield dumpEntry(codec, entry);
    },
  };
}

async function readState<T>(
  folder: string,
  { clock, copyFolder }: InspectionContext,
  problems: string[],
  use: (view: View) => T,
): Promise<T | undefined> {
  const holder = await databaseHolder(folder);
  if (holder !== undefined) {
    throw new StorageLockedError(
      `The state in ${folder} is in use by process ${holder}: stop that daemon first, or ask it.`,
    );
  }
  let copy: Awaited<ReturnType<CopyFolder>> | undefined;
  try {
    copy = await copyFolder(folder);
    const machine = await StoreStateMachine.open({
      folder: copy.path,
      clock,
      logger: silentLogger,
    });
    try {
      return use(machine.memory.view);
    } finally {
      await machine.close();
    }
  } catch (error) {
    problems.push(`the state cannot be read: ${(error as Error).message}`);
    return undefined;
  } finally {
    await copy?.remove();
  }
}

/**
 * Checks the state against the log: the log must contain the state's index, and each object changed since
 * the log's start must have an entry that changed it, with the object's version as its index.
 */
function compare(log: LogReport, view: View, codec: Codec): string[] {
  const { snapshot, entries, hardState } = log;
  const last = snapshot.index + entries.length;
  const found: string[] = [];
  if (view.index < snapshot.index)
    found.push(`the state ends at entry ${view.index}, but the log starts after ${snapshot.index}`);
  if (view.index > last)
    found.push(`the state ends at entry ${view.index}, but the log ends at ${last}`);
  if (hardState.commit > last)
    found.push(`entry ${hardState.commit} was committed, but the log ends at ${last}`);
  if (found.length > 0) return found;
  const changed = new Map<string, Set<number>>();
  for (const entry of entries) {
    if (entry.index > view.index) break;
    const dumped = dumpEntry(codec, entry);
    if (dumped.kind === 'unreadable') found.push(`entry ${entry.index}: ${dumped.text}`);
    for (const { kind, id } of dumped.changes ?? []) {
      const key = `${kind}/${id}`;
      const indexes = changed.get(key) ?? new Set();
      changed.set(key, indexes.add(entry.index));
    }
  }
  for (const kind of KINDS) {
    for (const { ID, Version } of view.list(kind)) {
      if (Version.Index <= snapshot.index) continue;
      if (changed.get(`${kind}/${ID}`)?.has(Version.Index) === true) continue;
      found.push(`${kind} ${ID} has version ${Version.Index}, but that entry did not change it`);
    }
  }
  return found;
}
