import type { Raft } from '../core/raft.js';
import type { AppendWork, RaftCore } from '../core/raw-node.js';
import { type Entry, EntryKind, type Index, type MemberId, type Term } from '../core/types.js';
import type { LogWriter, WriteMeter } from '../host/log-writer.js';
import type { Membership } from '../host/membership.js';
import type { RaftNode } from '../host/raft-node.js';
import type { LogStorage } from '../storage/storage.js';
import { PipelinedWriter } from './pipelined-writer.js';

/**
 * What invariants look at inside a node. The product offers no such view: nobody else should depend
 * on it, and a view kept only for us would have to be kept right.
 */
interface NodeInside {
  readonly core: RaftCore;
  readonly membership: Membership;
  readonly snapshots: {
    readonly sending: ReadonlyMap<MemberId, unknown>;
    readonly closed: boolean;
  };
  writer: LogWriter;
  wake(): void;
}

interface WriterInside {
  readonly storage: LogStorage;
  readonly onDone: (works: readonly AppendWork[]) => void;
  readonly onError: (error: unknown) => void;
  readonly meter: WriteMeter;
}

interface LogInside {
  readonly entries: readonly Entry[];
  readonly base: { readonly index: Index; readonly term: Term };
}

function inside(node: RaftNode): NodeInside {
  return node as unknown as NodeInside;
}

export function coreOf(node: RaftNode): RaftCore {
  return inside(node).core;
}

export function raftOf(node: RaftNode): Raft {
  return (inside(node).core as unknown as { readonly raft: Raft }).raft;
}

export function membershipOf(node: RaftNode): Membership {
  return inside(node).membership;
}

export function sendsSnapshot(node: RaftNode, to: MemberId): boolean {
  const { sending, closed } = inside(node).snapshots;
  // A node that is closing sends nobody anything any more.
  return closed || sending.has(to);
}

/** Has a node that was just opened keep up to `depth` writes of its log under way. */
export function pipelineWrites(node: RaftNode, depth: number): void {
  const { storage, onDone, onError, meter } = inside(node).writer as unknown as WriterInside;
  inside(node).writer = new PipelinedWriter(storage, onDone, onError, meter, depth);
}

export function logOf(raft: Raft): LogInside {
  return raft.log as unknown as LogInside;
}

/** Has a node look at its core soon, after the core was changed from outside. */
export function wake(node: RaftNode): void {
  inside(node).wake();
}

/** How many membership changes a member has in its log and has not applied; one that is down has none. */
export function changesAhead(raft: Raft | undefined): number {
  let count = 0;
  if (raft === undefined) return count;
  const { log } = raft;
  for (let index = log.applied + 1; index <= log.lastIndex; index++) {
    if (log.entry(index)?.kind === EntryKind.ConfChange) count++;
  }
  return count;
}
