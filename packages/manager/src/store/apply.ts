import type { Meta } from '@swarm/api';
import type { Change, Command } from './command.js';
import { isNamed, type NamedKind, nameKey, nameOf } from './kinds.js';
import { shareParts } from './share-parts.js';
import type { Kind, Objects, StoreEvent } from './store.js';
import type { Tables } from './tables.js';

/** Why a whole entry was refused. The same on every member. */
export interface Rejection {
  readonly reason: 'out-of-sequence' | 'id-taken' | 'name-taken';
  readonly kind: Kind;
  readonly id: string;
  /** The name that is taken. */
  readonly name?: string;
}

/** What applying an entry answers its proposer. */
export type ApplyResult =
  | { readonly accepted: true }
  | { readonly accepted: false; readonly rejection: Rejection };

const ACCEPTED: ApplyResult = { accepted: true };

/**
 * Applies one command: all its changes, or none when a precondition fails. A pure function of tables and
 * command, so every member comes to the same result.
 */
export function applyCommand(
  tables: Tables,
  index: number,
  command: Command,
): { readonly result: ApplyResult; readonly events: readonly StoreEvent[] } {
  const rejection = check(tables, command.changes);
  if (rejection !== undefined) return { result: { accepted: false, rejection }, events: [] };
  const time = new Date(command.timeMs).toISOString();
  const events = command.changes.map((change) => perform(tables, index, time, change));
  return { result: ACCEPTED, events };
}

function check(tables: Tables, changes: readonly Change[]): Rejection | undefined {
  // Names that earlier or later changes of this entry set free can be taken by others of it.
  const freed = new Set<string>();
  for (const change of changes) {
    const { kind } = change;
    const id = change.action === 'remove' ? change.id : change.body.ID;
    const stored = tables.get(kind, id);
    if (change.action === 'create') {
      if (stored !== undefined) return { reason: 'id-taken', kind, id };
      if (kind === 'cluster' && tables.cluster() !== undefined)
        return { reason: 'id-taken', kind, id };
      continue;
    }
    if (stored === undefined || stored.Version.Index !== change.expected)
      return { reason: 'out-of-sequence', kind, id };
    if (isNamed(kind)) freed.add(claim(kind, nameOf(kind, stored as Objects[NamedKind]) as string));
  }
  const taken = new Set<string>();
  for (const change of changes) {
    if (change.action === 'remove' || !isNamed(change.kind)) continue;
    const { kind } = change;
    const name = nameOf(kind, change.body as Objects[NamedKind]) as string;
    const key = claim(kind, name);
    const holder = tables.byName(kind, name);
    if (taken.has(key) || (holder !== undefined && !freed.has(key)))
      return { reason: 'name-taken', kind, id: change.body.ID, name };
    taken.add(key);
  }
  return undefined;
}

function claim(kind: NamedKind, name: string): string {
  return `${kind} ${nameKey(name)}`;
}

function perform(tables: Tables, index: number, time: string, change: Change): StoreEvent {
  const { kind } = change;
  if (change.action === 'remove') {
    const object = tables.get(kind, change.id);
    tables.delete(kind, change.id);
    return { action: 'remove', kind, object } as StoreEvent;
  }
  const previous = tables.get(kind, change.body.ID);
  const meta: Omit<Meta, 'ID'> = {
    Version: { Index: index },
    CreatedAt: previous?.CreatedAt ?? time,
    UpdatedAt: time,
  };
  const body = { ...change.body, ...meta } as Objects[Kind];
  const object = shareParts(tables, kind, body);
  tables.put(kind, object);
  if (previous === undefined) return { action: 'create', kind, object } as StoreEvent;
  return { action: 'update', kind, object, previous } as StoreEvent;
}
