import { strict as assert } from 'node:assert';
import { describeMessage } from '../../src/core/describe.js';
import { type Message, MessageType } from '../../src/core/message.js';
import type { Entry, Index, MemberId, Term } from '../../src/core/types.js';
import type { ScenarioMember } from './member.js';

/** More rounds than any scenario needs. Beyond it the members talk without end. */
const MAX_ROUNDS = 200;

/** Selects the messages of a command. */
export interface Which {
  readonly to?: readonly MemberId[] | undefined;
  readonly from?: MemberId | undefined;
  readonly type?: number | undefined;
  readonly count?: number | undefined;
  /** The newest first: reordered by the network. */
  readonly newestFirst?: boolean;
}

/**
 * The members of a scenario and the messages between them. Nothing moves unless a command says so.
 */
export class ScenarioStage {
  readonly members = new Map<MemberId, ScenarioMember>();
  network: Message[] = [];
  /** On every member's clock; ticks do not move it. */
  nowMs = 0;
  /** `from>to` of links that lose everything. */
  readonly cut = new Set<string>();
  private readonly leaders = new Map<Term, MemberId>();
  private readonly committed = new Map<Index, Entry>();

  get(id: MemberId): ScenarioMember {
    const member = this.members.get(id);
    if (member === undefined) throw new Error(`no member ${id}`);
    return member;
  }

  /** Starts a new cluster, unrelated to the previous one. */
  clear(): void {
    this.members.clear();
    this.network = [];
    this.nowMs = 0;
    this.cut.clear();
    this.leaders.clear();
    this.committed.clear();
  }

  all(): ScenarioMember[] {
    return [...this.members.values()].filter(({ up }) => up);
  }

  /** Does all work of all kinds until nothing moves among `ids`. */
  stabilize(ids: readonly MemberId[]): string[] {
    const lines: string[] = [];
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const before = lines.length;
      for (const id of ids) lines.push(...this.ready(id));
      for (const id of ids) lines.push(...this.drain(id, 'append'));
      for (const id of ids) lines.push(...this.drain(id, 'apply'));
      if (lines.length === before) lines.push(...this.deliver({ to: ids }));
      if (lines.length === before) return lines;
    }
    throw new Error('messages without end');
  }

  ready(id: MemberId): string[] {
    const member = this.get(id);
    if (!member.up) return [];
    const out = member.ready(this.nowMs);
    if (out === undefined) return [];
    this.network.push(...out.messages);
    return out.lines;
  }

  private drain(id: MemberId, kind: 'append' | 'apply'): string[] {
    const member = this.get(id);
    const lines: string[] = [];
    const queue = () => (kind === 'append' ? member.writes : member.applies);
    while (queue().length > 0) {
      lines.push(...(kind === 'append' ? member.append() : member.apply()));
      this.check();
    }
    return lines;
  }

  deliver(which: Which): string[] {
    return this.take(which).flatMap((message) => {
      const member = this.members.get(message.to);
      if (member === undefined || !member.up || this.cut.has(`${message.from}>${message.to}`)) {
        return [`lost ${describeMessage(message)}`];
      }
      member.step(message);
      this.check();
      return [`${message.to} gets ${describeMessage(message)}`];
    });
  }

  /** Removes messages from the network. */
  take(which: Which): Message[] {
    const wanted = this.network.filter(
      ({ from, to, type }) =>
        (which.to === undefined || which.to.includes(to) || !this.members.has(to)) &&
        (which.from === undefined || which.from === from) &&
        (which.type === undefined || which.type === type),
    );
    if (which.newestFirst === true) wanted.reverse();
    const taken = wanted.slice(0, which.count ?? wanted.length);
    const gone = new Set(taken);
    this.network = this.network.filter((message) => !gone.has(message));
    return taken;
  }

  /**
   * What must hold in every scenario after every step, whatever its text says: one leader per term
   * (election safety), and one entry at each committed index, for ever (state machine safety).
   */
  check(): void {
    for (const { id, core, applied } of this.all()) {
      if (core.role === 'leader') {
        const known = this.leaders.get(core.term) ?? id;
        assert.equal(known, id, `two leaders in term ${core.term}`);
        this.leaders.set(core.term, id);
      }
      for (const [index, entry] of applied) {
        const known = this.committed.get(index);
        if (known === undefined) this.committed.set(index, entry);
        else if (known !== entry)
          assert.deepEqual(plain(entry), plain(known), `two entries ${index}`);
      }
    }
  }
}

function plain({ index, term, kind, data }: Entry): unknown {
  return { index, term, kind, data: [...data] };
}

export function typeNamed(name: string): MessageType {
  const type = (MessageType as Record<string, MessageType>)[name];
  if (type === undefined) throw new Error(`no message type ${name}`);
  return type;
}
