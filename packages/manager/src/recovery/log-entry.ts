import { showControls } from '@swarm/api';
import { describeConfChange, type Entry, EntryKind } from '@swarm/raft';
import type { Change, Codec } from '../store/command.js';
import { nameOf } from '../store/kinds.js';
import type { Kind, Objects } from '../store/store.js';
import { redact } from './redact.js';

/** A log entry as `swarm raft dump` prints it, one JSON object per line, without secrets. */
export interface DumpedEntry {
  readonly index: number;
  readonly term: number;
  readonly bytes: number;
  readonly kind: 'changes' | 'members' | 'empty' | 'unreadable';
  /** The proposer's clock, RFC 3339. */
  readonly time?: string;
  readonly changes?: readonly DumpedChange[];
  /** Only for kinds `members` and `unreadable`. */
  readonly text?: string;
}

export interface DumpedChange {
  readonly action: Change['action'];
  readonly kind: Kind;
  readonly id: string;
  /** The version the object must have had. */
  readonly expected?: number;
  readonly object?: unknown;
}

/** Decodes an entry. One that cannot be decoded gets kind `unreadable`. */
export function dumpEntry(codec: Codec, entry: Entry): DumpedEntry {
  const { index, term, data } = entry;
  const head = { index, term, bytes: data.length };
  try {
    if (entry.kind === EntryKind.ConfChange)
      return { ...head, kind: 'members', text: describeConfChange(entry) };
    if (data.length === 0) return { ...head, kind: 'empty' };
    const { timeMs, changes } = codec.decodeCommand(data);
    const time = new Date(timeMs).toISOString();
    return { ...head, kind: 'changes', time, changes: changes.map(dumpChange) };
  } catch (error) {
    return { ...head, kind: 'unreadable', text: (error as Error).message };
  }
}

function dumpChange(change: Change): DumpedChange {
  const { action, kind } = change;
  if (action === 'remove') return { action, kind, id: change.id, expected: change.expected };
  const object = redact(kind, change.body);
  const head = { action, kind, id: change.body.ID };
  return action === 'create' ? { ...head, object } : { ...head, expected: change.expected, object };
}

/** Formats an entry as a line for people: `12 3 changes 345 update service web (2ab…) of version 11`. */
export function describeEntry(entry: DumpedEntry): string {
  const head = `${entry.index}\t${entry.term}\t${entry.kind}\t${entry.bytes}`;
  const what = showControls(entry.text ?? (entry.changes ?? []).map(describeChange).join('; '));
  return what === '' ? head : `${head}\t${what}`;
}

function describeChange({ action, kind, id, expected, object }: DumpedChange): string {
  const name = object === undefined ? undefined : nameIn(kind, object);
  const who = name === undefined ? id : `${name} (${id})`;
  const version = expected === undefined ? '' : ` of version ${expected}`;
  return `${action} ${kind} ${who}${version}${detail(kind, object)}`;
}

function nameIn(kind: Kind, object: unknown): string | undefined {
  const { Name } = object as { readonly Name?: unknown };
  return nameOf(kind, object as Objects[Kind]) ?? (typeof Name === 'string' ? Name : undefined);
}

/** What people look for in the log of a cluster that misbehaved. Copes with objects of any shape. */
function detail(kind: Kind, object: unknown): string {
  const at = (...path: readonly string[]): string => {
    let value = object;
    for (const name of path)
      value = (value as Readonly<Record<string, unknown>> | null | undefined)?.[name];
    return typeof value === 'string' ? value : '?';
  };
  if (object === undefined) return '';
  if (kind === 'task') {
    const on = at('NodeID') === '?' ? '' : ` on ${at('NodeID')}`;
    return ` is ${at('Status', 'State')}, desired ${at('DesiredState')}${on}`;
  }
  if (kind !== 'node') return '';
  return `: ${at('Spec', 'Role')} ${at('Status', 'State')} ${at('Spec', 'Availability')}`;
}
