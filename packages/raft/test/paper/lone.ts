import { decodeConfChange } from '../../src/core/conf-change.js';
import { type Message, MessageType } from '../../src/core/message.js';
import type { RaftCore } from '../../src/core/raw-node.js';
import { type Entry, EntryKind } from '../../src/core/types.js';
import { type CoreSetup, core } from '../support/core-group.js';
import { type MessageOf, message } from '../support/messages.js';

/**
 * One member alone with the test, which plays all others. Its disk and state machine work at once.
 */
export class Lone {
  readonly core: RaftCore;
  /** Everything applied so far. */
  readonly applied: Entry[] = [];

  constructor(setup: CoreSetup, id = 1) {
    this.core = core(id, setup);
  }

  /** Does all the work and returns the sent messages. */
  drain(): Message[] {
    const sent: Message[] = [];
    for (let ready = this.core.ready(); ready !== undefined; ready = this.core.ready()) {
      sent.push(...ready.messages);
      if (ready.append !== undefined) this.core.appended(ready.append);
      if (ready.apply === undefined) continue;
      for (const entry of ready.apply.entries) {
        this.applied.push(entry);
        if (entry.kind === EntryKind.ConfChange) {
          this.core.applyConfChange(decodeConfChange(entry.data));
        }
      }
      this.core.applied(ready.apply.entries.at(-1)!.index);
    }
    return sent;
  }

  receive(...messages: Message[]): Message[] {
    for (const one of messages) this.core.step(one);
    return this.drain();
  }

  tick(count: number): Message[] {
    const sent: Message[] = [];
    for (let i = 0; i < count; i++) {
      this.core.tick();
      sent.push(...this.drain());
    }
    return sent;
  }

  /** Runs up to the request for votes: the others grant the pre-vote. */
  becomeCandidate(): Message[] {
    this.core.campaign();
    this.drain();
    return this.answer(MessageType.PreVoteResponse, this.core.term + 1);
  }

  /** All others vote. @returns what the new leader sends */
  becomeLeader(): Message[] {
    this.becomeCandidate();
    return this.answer(MessageType.VoteResponse, this.core.term);
  }

  private answer(
    type: typeof MessageType.PreVoteResponse | typeof MessageType.VoteResponse,
    term: number,
  ): Message[] {
    const sent: Message[] = [];
    for (const from of this.core.conf.voters) {
      if (from === this.core.status().id) continue;
      sent.push(...this.receive(message(type, from, this.core.status().id, { term })));
    }
    return sent;
  }

  /** These members acknowledge the leader's entries up to `index`. */
  acknowledge(index: number, ...from: number[]): Message[] {
    const { id, term } = this.core.status();
    return this.receive(
      ...from.map((member) =>
        message(MessageType.AppendResponse, member, id, { term, rejected: false, match: index }),
      ),
    );
  }

  terms(): number[] {
    const terms: number[] = [];
    for (let i = this.core.firstIndex; i <= this.core.lastIndex; i++) {
      terms.push(this.core.termAt(i)!);
    }
    return terms;
  }
}

export function ofType<T extends MessageType>(
  messages: readonly Message[],
  type: T,
): MessageOf<T>[] {
  return messages.filter((one): one is MessageOf<T> => one.type === type);
}
