import type { Entry, Index, MemberId, Message, Term } from '@swarm/raft';
import type { Membership, Raft } from '@swarm/raft/internals';
import type { DurableLog } from '../durable-log.js';

/** One run of one member, as invariants see it after each of its steps. */
export interface Subject {
  readonly id: MemberId;
  readonly raft: Raft;
  readonly membership: Membership;
  readonly durable: DurableLog;
  /** Its process's clock. */
  readonly nowMs: () => number;
  /** Reports whether the host is getting a snapshot to this member. */
  readonly sendsSnapshot: (to: MemberId) => boolean;
}

/** What all members together have shown so far. */
export interface Evidence {
  /** Committed entries by index; index 0 is empty. */
  readonly committed: CommittedEntry[];
  /** Members that are running now. */
  readonly subjects: ReadonlyMap<MemberId, Subject>;
  /** What a member's disk has acknowledged, even if the member is down or gone. */
  durable(id: MemberId): DurableLog | undefined;
}

export interface CommittedEntry {
  readonly entry: Entry;
  /** Term of the member that was first seen to know that it is committed. */
  readonly term: Term;
}

/** A property that holds after every step. Keeps what it needs to check only what changed. */
export interface Invariant {
  /** Checks after a step of this member. @throws Violation */
  check(subject: Subject): void;
  /** Checks a message that leaves this member. @throws Violation */
  sent?(subject: Subject, message: Message): void;
  /**
   * Notes a message that reaches this member, which takes it in within its next steps, if at all.
   */
  arrived?(subject: Subject, message: Message): void;
  /** Notes that the process of this member has ended. */
  ended?(id: MemberId): void;
}

export function entryAt(subject: Subject, index: Index): Entry | undefined {
  return subject.raft.log.entry(index);
}

export function sameEntry(a: Entry, b: Entry): boolean {
  if (a === b) return true;
  if (a.index !== b.index || a.term !== b.term || a.kind !== b.kind) return false;
  if (a.data.length !== b.data.length) return false;
  for (let i = 0; i < a.data.length; i++) if (a.data[i] !== b.data[i]) return false;
  return true;
}
