import { EntryKind, type RaftNode } from '@swarm/raft';
import { type Raft, replaceWriter } from '@swarm/raft/internals';
import { PipelinedWriter } from './pipelined-writer.js';

/** Makes a node that was just opened keep up to `depth` writes of its log under way. */
export function pipelineWrites(node: RaftNode, depth: number): void {
  replaceWriter(
    node,
    ({ storage, onDone, onError, meter }) =>
      new PipelinedWriter(storage, onDone, onError, meter, depth),
  );
}

/**
 * Returns how many membership changes a member has in its log but has not applied; 0 for a member
 * that is down.
 */
export function changesAhead(raft: Raft | undefined): number {
  let count = 0;
  if (raft === undefined) return count;
  const { log } = raft;
  for (let index = log.applied + 1; index <= log.lastIndex; index++) {
    if (log.entry(index)?.kind === EntryKind.ConfChange) count++;
  }
  return count;
}
