import { entryBytes } from './log.js';
import { MessageType } from './message.js';
import { type Progress, ProgressState } from './progress.js';
import type { Raft } from './raft.js';
import type { Entry, MemberId } from './types.js';

const NO_ENTRIES: readonly Entry[] = [];

/** Brings every other member as far as its window allows. */
export function broadcast(raft: Raft): void {
  for (const id of raft.tracker.members) if (id !== raft.id) replicate(raft, id);
}

/**
 * Sends a member the entries it lacks. If it lacks none, sends the commit unless that may wait.
 */
export function replicate(raft: Raft, id: MemberId): void {
  const progress = raft.tracker.get(id);
  if (progress === undefined) return;
  while (progress.next <= raft.log.lastIndex && sendAppend(raft, id, progress));
  if (raft.config.commitNews !== 'carried') tellCommit(raft, id, progress);
}

/** Sends every other member the entries it lacks and the commit it cannot know yet. */
export function broadcastCommit(raft: Raft): void {
  for (const id of raft.tracker.members) if (id !== raft.id) bringUpToDate(raft, id);
}

/** Sends a member the entries it lacks and the commit it cannot know yet. */
export function bringUpToDate(raft: Raft, id: MemberId): void {
  replicate(raft, id);
  const progress = raft.tracker.get(id);
  if (progress !== undefined) tellCommit(raft, id, progress);
}

function tellCommit(raft: Raft, id: MemberId, progress: Progress): void {
  if (progress.canBumpCommit(raft.log.commit)) sendAppend(raft, id, progress);
}

/** Reports whether a message of its own could tell a member of a commit. */
export function commitUntold(raft: Raft): boolean {
  for (const id of raft.tracker.members) {
    if (id === raft.id) continue;
    const progress = raft.tracker.get(id)!;
    if (!progress.isPaused && progress.canBumpCommit(raft.log.commit)) return true;
  }
  return false;
}

/**
 * Sends one Append, with entries if there are any and the window has room. Without entries it asks
 * the member where it stands, which repairs what was lost.
 * @returns whether it sent one with entries, so that another may follow
 */
export function sendAppend(raft: Raft, id: MemberId, progress: Progress): boolean {
  if (progress.isPaused) return false;
  const { log } = raft;
  const previousIndex = progress.next - 1;
  const previousTerm = log.term(previousIndex);
  if (previousTerm === undefined) {
    orderSnapshot(raft, id, progress);
    return false;
  }
  const room = progress.state !== ProgressState.Replicate || !progress.inflights.full;
  const entries = room
    ? log.slice(previousIndex, log.lastIndex, raft.config.maxBytesPerMessage)
    : NO_ENTRIES;
  let bytes = 0;
  for (const entry of entries) bytes += entryBytes(entry);
  raft.send({
    type: MessageType.Append,
    from: raft.id,
    to: id,
    term: raft.term,
    previousIndex,
    previousTerm,
    entries,
    commit: log.commit,
  });
  progress.sentEntries(entries.length, bytes);
  progress.sentCommit = Math.max(progress.sentCommit, log.commit);
  return entries.length > 0;
}

/**
 * Orders a snapshot for a member whose next entry is compacted. The core names the member; the host
 * supplies the state and reports the outcome (RaftCore.reportSnapshot).
 */
function orderSnapshot(raft: Raft, id: MemberId, progress: Progress): void {
  // A snapshot to a member that is away would not arrive in time, and would hold resources
  // meanwhile.
  if (raft.ticks - progress.lastActiveTick > raft.config.electionTicks) return;
  progress.becomeSnapshot(raft.log.applied);
  const { applied } = raft.log;
  raft.send({ type: MessageType.Snapshot, from: raft.id, to: id, term: raft.term, applied });
}
