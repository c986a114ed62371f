import type { ConfChange } from '../core/conf-change.js';
import type { Message } from '../core/message.js';
import type { RaftCore } from '../core/raw-node.js';
import { Role } from '../core/raft.js';
import { type Index, NOBODY } from '../core/types.js';
import { RaftCounters } from '../metrics.js';
import { Tracer, type TraceSink } from '../trace.js';

/** Counts what a node does, and traces it if asked to. Only observes. */
export class Observer {
  readonly counters = new RaftCounters();
  readonly #core: RaftCore;
  readonly #tracer: Tracer | undefined;
  #role: Role = Role.Follower;
  #leader = NOBODY;

  constructor(core: RaftCore, sink: TraceSink | undefined) {
    this.#core = core;
    this.#tracer = sink === undefined ? undefined : new Tracer(sink, core);
  }

  /** Call it before the core sees the message. */
  received(message: Message): void {
    this.counters.received[message.type] = (this.counters.received[message.type] ?? 0) + 1;
    this.#tracer?.received(message);
  }

  /** A snapshot counts when the core orders it; when it leaves, its state has been taken. */
  sent(messages: readonly Message[]): void {
    for (const message of messages) {
      const { type } = message;
      this.counters.sent[type] = (this.counters.sent[type] ?? 0) + 1;
      this.#tracer?.sent(message);
    }
  }

  /** Call it after anything that may have moved the core. */
  moved(): void {
    const { role, leader } = this.#core;
    if (role !== this.#role) {
      this.#role = role;
      if (role === Role.Candidate) this.counters.elections++;
      if (role === Role.Leader) this.counters.electionsWon++;
    }
    if (leader !== this.#leader) {
      this.#leader = leader;
      if (leader !== NOBODY) this.counters.leaderChanges++;
    }
    this.#tracer?.moved();
  }

  ready(): void {
    this.#tracer?.ready();
  }

  confProposed(change: ConfChange): void {
    this.#tracer?.moved();
    this.#tracer?.confChange(change);
  }

  /** A change may commit more, or end a leadership. */
  confApplied(index: Index): void {
    this.#tracer?.confApplied(index);
    this.moved();
  }
}
