import { type ConfChange, ConfChangeError, decodeConfChange } from '../../src/core/conf-change.js';
import { DEFAULT_CONFIG, type RaftConfig } from '../../src/core/config.js';
import type { Message } from '../../src/core/message.js';
import type { ReadState } from '../../src/core/raft.js';
import { type AppendWork, RaftCore } from '../../src/core/raw-node.js';
import {
  type ConfState,
  type Entry,
  EntryKind,
  type HardState,
  type MemberId,
  type Term,
} from '../../src/core/types.js';

export const NO_DATA = new Uint8Array(0);

export function conf(voters: readonly MemberId[], learners: readonly MemberId[] = []): ConfState {
  return { voters, votersOutgoing: [], learners, learnersNext: [], autoLeave: false };
}

/** Entries 1, 2, 3 … of these terms. */
export function entriesOf(terms: readonly Term[], after = 0): Entry[] {
  return terms.map((term, i) => ({
    index: after + i + 1,
    term,
    kind: EntryKind.Normal,
    data: NO_DATA,
  }));
}

export interface CoreSetup {
  readonly voters: readonly MemberId[];
  readonly learners?: readonly MemberId[];
  /** Terms of the log's entries. */
  readonly log?: readonly Term[];
  readonly hardState?: Partial<HardState>;
  readonly base?: { readonly index: number; readonly term: Term };
  readonly stateIndex?: number;
  readonly config?: Partial<RaftConfig>;
}

/** A core whose election timeout is exactly 10 ticks, with everything up to its base applied. */
export function core(id: MemberId, setup: CoreSetup): RaftCore {
  const base = setup.base ?? { index: 0, term: 0 };
  const entries = entriesOf(setup.log ?? [], base.index);
  const term = entries.at(-1)?.term ?? base.term;
  const hardState = { term, vote: 0, commit: base.index, ...setup.hardState };
  const config = { ...DEFAULT_CONFIG, id, random: () => 0, ...setup.config };
  const initial = {
    base,
    entries,
    applied: base.index,
    stateIndex: setup.stateIndex ?? base.index,
    hardState,
  };
  return new RaftCore(config, { ...initial, conf: conf(setup.voters, setup.learners) });
}

/** Cores joined by queues that a test empties by hand. Disks and state machines work at once. */
export class CoreGroup {
  readonly cores = new Map<MemberId, RaftCore>();
  /** Sent but not delivered. */
  queue: Message[] = [];
  lose: (message: Message) => boolean = () => false;
  /** Writes of these members, kept here instead of being done. */
  readonly heldWrites = new Map<MemberId, AppendWork[]>();
  readonly reads = new Map<MemberId, ReadState[]>();
  /** Entries applied, by member. */
  readonly applied = new Map<MemberId, Entry[]>();
  readonly sent: Message[] = [];

  static of(ids: readonly MemberId[], setup: Partial<CoreSetup> = {}): CoreGroup {
    const group = new CoreGroup();
    for (const id of ids) group.add(id, core(id, { voters: ids, ...setup }));
    return group;
  }

  add(id: MemberId, member: RaftCore): void {
    this.cores.set(id, member);
    this.applied.set(id, []);
    this.reads.set(id, []);
  }

  get(id: MemberId): RaftCore {
    const member = this.cores.get(id);
    if (member === undefined) throw new Error(`no core ${id}`);
    return member;
  }

  /** Does what the cores ask, without delivering messages. */
  work(): void {
    for (const [id, member] of this.cores) {
      for (let ready = member.ready(); ready !== undefined; ready = member.ready()) {
        for (const sent of ready.messages) {
          this.sent.push(sent);
          this.queue.push(sent);
        }
        this.reads.get(id)!.push(...ready.readStates);
        const held = this.heldWrites.get(id);
        if (ready.append !== undefined) {
          if (held === undefined) member.appended(ready.append);
          else held.push(ready.append);
        }
        if (ready.apply !== undefined) this.apply(id, member, ready.apply.entries);
      }
    }
  }

  private apply(id: MemberId, member: RaftCore, entries: readonly Entry[]): void {
    for (const entry of entries) {
      this.applied.get(id)!.push(entry);
      if (entry.kind !== EntryKind.ConfChange) continue;
      try {
        member.applyConfChange(decodeConfChange(entry.data));
      } catch (error) {
        if (!(error instanceof ConfChangeError)) throw error;
      }
    }
    member.applied(entries.at(-1)!.index);
  }

  /** Delivers messages until none are left. */
  settle(): void {
    for (let round = 0; round < 1000; round++) {
      this.work();
      const due = this.queue;
      this.queue = [];
      if (due.length === 0) return;
      for (const sent of due) {
        if (!this.lose(sent)) this.cores.get(sent.to)?.step(sent);
      }
    }
    throw new Error('messages without end');
  }

  tick(id: MemberId, count = 1): void {
    for (let i = 0; i < count; i++) this.get(id).tick();
    this.settle();
  }

  /** Ticks every core, `count` times. */
  tickAll(count: number): void {
    for (let i = 0; i < count; i++) {
      for (const member of this.cores.values()) member.tick();
      this.settle();
    }
  }

  elect(id: MemberId): RaftCore {
    const member = this.get(id);
    member.campaign();
    this.settle();
    if (member.role !== 'leader') throw new Error(`${id} was not elected`);
    return member;
  }

  isolate(...ids: MemberId[]): void {
    this.lose = ({ from, to }) => ids.includes(from) !== ids.includes(to);
  }

  heal(): void {
    this.lose = () => false;
  }

  propose(id: MemberId, text = 'x'): number {
    const result = this.get(id).propose([new TextEncoder().encode(text)]);
    if (result.refusal !== undefined) throw new Error(result.refusal);
    this.settle();
    return result.index;
  }

  change(id: MemberId, change: ConfChange): void {
    const result = this.get(id).proposeConfChange(change);
    if (result.refusal !== undefined) throw new Error(result.refusal);
    this.settle();
  }

  terms(id: MemberId): string {
    const member = this.get(id);
    const terms: string[] = [];
    for (let i = 1; i <= member.lastIndex; i++) terms.push(String(member.termAt(i) ?? '-'));
    return terms.join(' ');
  }
}
