// biome-ignore-all lint/complexity/useLiteralKeys: TypeScript checks members in brackets, and lets them past `private`

import type { Raft } from '../core/raft.js';
import type { AppendWork, RaftCore } from '../core/raw-node.js';
import type { Entry, Index, MemberId, Term } from '../core/types.js';
import type { LogWriter, WriteMeter } from '../host/log-writer.js';
import type { Membership } from '../host/membership.js';
import type { RaftNode } from '../host/raft-node.js';
import type { LogStorage } from '../storage/storage.js';

export function coreOf(node: RaftNode): RaftCore {
  return node['core'];
}

export function raftOf(node: RaftNode): Raft {
  return node['core']['raft'];
}

export function membershipOf(node: RaftNode): Membership {
  return node['membership'];
}

/** Reports whether a node is sending a snapshot to this member, or is closing and sends nothing. */
export function sendsSnapshot(node: RaftNode, to: MemberId): boolean {
  const snapshots = node['snapshots'];
  return snapshots['closed'] || snapshots['sending'].has(to);
}

/** Makes a node look at its core soon, after the core was changed from outside. */
export function wake(node: RaftNode): void {
  node['wake']();
}

/** The entries that a log has in memory, and the point before the first of them. */
export interface LogInside {
  readonly entries: readonly Entry[];
  readonly base: { readonly index: Index; readonly term: Term };
}

export function logOf({ log }: Raft): LogInside {
  return { entries: log['entries'], base: log['base'] };
}

/** The parts of a node's writer. */
export interface WriterParts {
  readonly storage: LogStorage;
  readonly onDone: (works: readonly AppendWork[]) => void;
  readonly onError: (error: unknown) => void;
  readonly meter: WriteMeter;
}

/** Replaces a node's writer before it has written anything. */
export function replaceWriter(node: RaftNode, make: (parts: WriterParts) => LogWriter): void {
  const writer = node['writer'];
  const replaced = make({
    storage: writer['storage'],
    onDone: writer['onDone'],
    onError: writer['onError'],
    meter: writer['meter'],
  });
  Object.assign(node, { writer: replaced } satisfies { writer: LogWriter });
}
