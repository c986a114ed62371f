import type { Meta } from '@swarm/api';
import type { Change, Command } from './command.js';
import { isNamed, nameKey, nameOf } from './kinds.js';
import { shareParts } from './share-parts.js';
import type { Kind, Objects, StoreEvent } from './store.js';
import type { Replaced, Tables } from './tables.js';

/** Why an entry was rejected as a whole. The same on every member. */
export type Rejection =
  | {
      readonly reason: 'out-of-sequence' | 'id-taken' | 'name-taken';
      readonly kind: Kind;
      readonly id: string;
      /** The name that is taken. */
      readonly name?: string;
    }
  /** The bytes are not a command: see MalformedCommandError. */
  | { readonly reason: 'malformed'; readonly problem: string };

/** What applying an entry answers its proposer. */
export type ApplyResult =
  | { readonly accepted: true }
  | { readonly accepted: false; readonly rejection: Rejection };

const ACCEPTED: ApplyResult = { accepted: true };

/** What applying a command did. */
export interface Applied {
  readonly result: ApplyResult;
  /** The command's time. */
  readonly timeMs: number;
  /** What readers see of the changes; less than `writes` if an object cannot be read. */
  readonly events: readonly StoreEvent[];
  readonly writes: readonly Write[];
}

/** One object for the database to write; undefined to delete it. */
export interface Write {
  readonly kind: Kind;
  readonly id: string;
  readonly stored: Objects[Kind] | undefined;
}

/**
 * Applies one command: all its changes, or none when a precondition fails. A pure function of the stored
 * objects and the command, so every member gets the same result, whatever it can read of the objects.
 */
export function applyCommand(tables: Tables, index: number, command: Command): Applied {
  const rejection = check(tables, command.changes);
  if (rejection !== undefined) return rejected(rejection, command.timeMs);
  const time = new Date(command.timeMs).toISOString();
  const events: StoreEvent[] = [];
  const writes: Write[] = [];
  for (const change of command.changes) perform(tables, index, time, change, events, writes);
  return { result: ACCEPTED, timeMs: command.timeMs, events, writes };
}

export function rejected(rejection: Rejection, timeMs = 0): Applied {
  return { result: { accepted: false, rejection }, timeMs, events: [], writes: [] };
}

function check(tables: Tables, changes: readonly Change[]): Rejection | undefined {
  // A change may take a name that any other change of the same entry frees.
  const freed = new Set<string>();
  for (const change of changes) {
    const { kind } = change;
    const id = change.action === 'remove' ? change.id : change.body.ID;
    const stored = tables.stored(kind, id);
    if (change.action === 'create') {
      if (stored !== undefined) return { reason: 'id-taken', kind, id };
      if (kind === 'cluster' && tables.hasCluster()) return { reason: 'id-taken', kind, id };
      continue;
    }
    if (stored === undefined || stored.Version.Index !== change.expected)
      return { reason: 'out-of-sequence', kind, id };
    const name = nameOf(kind, stored);
    if (name !== undefined) freed.add(claim(kind, name));
  }
  const taken = new Set<string>();
  for (const change of changes) {
    if (change.action === 'remove' || !isNamed(change.kind)) continue;
    const { kind } = change;
    const name = nameOf(kind, change.body);
    if (name === undefined) continue;
    const key = claim(kind, name);
    const holder = tables.holderOf(kind, name);
    if (taken.has(key) || (holder !== undefined && !freed.has(key)))
      return { reason: 'name-taken', kind, id: change.body.ID, name };
    taken.add(key);
  }
  return undefined;
}

function claim(kind: Kind, name: string): string {
  return `${kind} ${nameKey(name)}`;
}

function perform(
  tables: Tables,
  index: number,
  time: string,
  change: Change,
  events: StoreEvent[],
  writes: Write[],
): void {
  const { kind } = change;
  if (change.action === 'remove') {
    const { before } = tables.delete(kind, change.id);
    if (before !== undefined) events.push({ action: 'remove', kind, object: before } as StoreEvent);
    writes.push({ kind, id: change.id, stored: undefined });
    return;
  }
  const previous = tables.stored(kind, change.body.ID);
  const meta: Omit<Meta, 'ID'> = {
    Version: { Index: index },
    CreatedAt: previous?.CreatedAt ?? time,
    UpdatedAt: time,
  };
  const body = { ...change.body, ...meta } as Objects[Kind];
  const stored = shareParts(tables, kind, body);
  const event = eventOf(kind, tables.put(kind, stored));
  if (event !== undefined) events.push(event);
  writes.push({ kind, id: stored.ID, stored });
}

/** To readers, an object is created when it becomes readable, and removed when it no longer is. */
function eventOf(kind: Kind, { before, after }: Replaced): StoreEvent | undefined {
  if (after === undefined)
    return before === undefined
      ? undefined
      : ({ action: 'remove', kind, object: before } as StoreEvent);
  if (before === undefined) return { action: 'create', kind, object: after } as StoreEvent;
  return { action: 'update', kind, object: after, previous: before } as StoreEvent;
}
