import { EntryKind, type RaftNode } from '@swarm/raft';
import { type Raft, replaceWriter } from '@swarm/raft/internals';
import { PipelinedWriter } from './pipelined-writer.js';

/** Has a node that was just opened keep up to `depth` writes of its log under way. */
export function pipelineWrites(node: RaftNode, depth: number): void {
  replaceWriter(
    node,
    ({ storage, onDone, onError, meter }) =>
      new PipelinedWriter(storage, onDone, onError, meter, depth),
  );
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
