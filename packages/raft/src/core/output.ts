import { serveReads } from './leader.js';
import type { Message } from './message.js';
import type { Raft, ReadState } from './raft.js';
import type { AppendWork, Ready, SoftState } from './ready.js';
import { broadcast } from './replication.js';
import type { HardState } from './types.js';

const NO_MESSAGES: readonly Message[] = [];
const NO_READS: readonly ReadState[] = [];

/** A type to fill part by part: a spread costs more than what it copies. */
type Filled<T> = { -readonly [K in keyof T]: T[K] };

/** What a core hands out. Remembers what it has handed out, to tell what is new. */
export class Output {
  private readonly raft: Raft;
  private written: HardState;
  private soft: SoftState;

  /** @param written the hard state that is already durable */
  constructor(raft: Raft, written: HardState) {
    this.raft = raft;
    this.written = written;
    this.soft = this.currentSoft();
  }

  get hasReady(): boolean {
    const { raft } = this;
    const { log } = raft;
    return (
      raft.messages.length > 0 ||
      raft.promises.length > 0 ||
      raft.readStates.length > 0 ||
      raft.broadcastDue ||
      raft.readOnly.hasWaiting ||
      log.unstable.writing < log.lastIndex ||
      log.unstable.snapshot !== undefined ||
      (!raft.restoring && log.applying < log.applicable) ||
      this.ballotChanged ||
      this.softChanged
    );
  }

  /** Returns the work since the last call; undefined without any. */
  ready(nowMs: number | undefined): Ready | undefined {
    if (!this.hasReady) return undefined;
    const { raft } = this;
    if (nowMs !== undefined) raft.lease?.leaves(nowMs);
    serveReads(raft, nowMs);
    if (raft.broadcastDue) {
      raft.broadcastDue = false;
      broadcast(raft);
    }
    const append = this.takeAppend();
    const entries = raft.restoring ? [] : raft.log.takeApply(raft.config.maxApplyBytes);
    const { messages, readStates } = raft;
    if (messages.length > 0) raft.messages = [];
    if (readStates.length > 0) raft.readStates = [];
    const softState = this.softChanged ? this.currentSoft() : undefined;
    if (softState !== undefined) this.soft = softState;
    const ready: Filled<Ready> = {
      messages: messages.length > 0 ? messages : NO_MESSAGES,
      readStates: readStates.length > 0 ? readStates : NO_READS,
    };
    if (append !== undefined) ready.append = append;
    if (entries.length > 0) ready.apply = { entries };
    if (softState !== undefined) ready.softState = softState;
    return ready;
  }

  private takeAppend(): AppendWork | undefined {
    const { raft } = this;
    const { log } = raft;
    const { unstable } = log;
    const entries = log.slice(unstable.writing, log.lastIndex, Number.POSITIVE_INFINITY);
    const snapshot = unstable.snapshot;
    const mustSync = entries.length > 0 || snapshot !== undefined || this.ballotChanged;
    if (!mustSync && raft.promises.length === 0) return undefined;
    const responses = raft.promises;
    raft.promises = [];
    unstable.taken(log.lastIndex);
    if (mustSync) this.written = raft.hardState;
    const work: Filled<AppendWork> = { entries, mustSync, responses, term: raft.term };
    if (mustSync) work.hardState = this.written;
    if (snapshot !== undefined) work.snapshot = snapshot;
    if (unstable.stable < log.lastIndex) {
      work.attested = { index: log.lastIndex, term: log.lastTerm };
    }
    return work;
  }

  private get ballotChanged(): boolean {
    return this.raft.term !== this.written.term || this.raft.vote !== this.written.vote;
  }

  private get softChanged(): boolean {
    const { role, leader, term } = this.raft;
    return role !== this.soft.role || leader !== this.soft.leader || term !== this.soft.term;
  }

  private currentSoft(): SoftState {
    const { role, leader, term } = this.raft;
    return { role, leader, term };
  }
}
