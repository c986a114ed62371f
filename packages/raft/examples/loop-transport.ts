import type * as raft from '@swarm/raft';

/** The members of one process, each under its id. */
export type Loop = Map<raft.MemberId, LoopTransport>;

/** Delivers messages to members of the same process, in a later turn of the event loop. */
export class LoopTransport implements raft.Transport {
  readonly #loop: Loop;
  readonly #id: raft.MemberId;
  #members = new Set<raft.MemberId>();
  /** Former members: neither heard nor spoken to. */
  readonly #removed = new Set<raft.MemberId>();
  /** Unknown as members here, but they spoke to us, so they get an answer. */
  readonly #guests = new Set<raft.MemberId>();
  #handler: raft.TransportHandler | undefined;
  /**
   * Outgoing snapshots. One that is no longer in here is over, and nothing more is reported about
   * it.
   */
  readonly #sending = new Map<raft.MemberId, object>();

  constructor(loop: Loop, id: raft.MemberId) {
    this.#loop = loop;
    this.#id = id;
  }

  start(handler: raft.TransportHandler): void {
    this.#handler = handler;
    this.#loop.set(this.#id, this);
  }

  setMembers(members: readonly raft.MemberInfo[]): void {
    const wanted = new Set(members.map(({ id }) => id));
    for (const id of this.#members) if (!wanted.has(id)) this.#removed.add(id);
    for (const id of wanted) this.#removed.delete(id);
    this.#members = wanted;
  }

  send(messages: readonly raft.Message[]): void {
    for (const message of messages) {
      const { to } = message;
      // The sender may reuse its buffers.
      const copy = structuredClone(message);
      setImmediate(() => {
        const receiver = this.#receiver(to);
        if (receiver === undefined) this.#handler?.unreachable(to);
        else receiver.receive(copy);
      });
    }
  }

  sendSnapshot(
    message: raft.SnapshotMessage,
    snapshot: raft.SnapshotMeta,
    chunks: AsyncIterable<Uint8Array>,
  ): void {
    const { to } = message;
    const sending = {};
    this.#sending.set(to, sending);
    const isOver = () => this.#sending.get(to) !== sending;
    const tell = (step: raft.SnapshotStep) => this.#handler?.snapshotMoved(to, step);
    const copies = async function* () {
      for await (const chunk of chunks) {
        if (isOver()) throw new Error('the sender has ended this snapshot');
        tell({ kind: 'sent', bytes: chunk.length });
        yield chunk.slice();
        if (!isOver()) tell({ kind: 'arrived' });
      }
    };
    const ended = (ok: boolean) => {
      if (isOver()) return;
      this.#sending.delete(to);
      this.#handler?.snapshotSent(to, ok);
    };
    const taking = Promise.resolve().then(() => {
      const receiver = this.#receiver(to);
      if (receiver === undefined) throw new Error(`member ${to} is not there`);
      return receiver.receiveSnapshot({ ...message, snapshot }, copies());
    });
    taking.then(
      () => ended(true),
      () => ended(false),
    );
  }

  endSnapshot(to: raft.MemberId): void {
    this.#sending.delete(to);
  }

  async close(): Promise<void> {
    this.#handler = undefined;
    this.#sending.clear();
    if (this.#loop.get(this.#id) === this) this.#loop.delete(this.#id);
  }

  /** Undefined when nobody hears us, or may hear from us. */
  #receiver(to: raft.MemberId): raft.TransportHandler | undefined {
    if (this.#removed.has(to) || !(this.#members.has(to) || this.#guests.has(to))) return undefined;
    const peer = this.#loop.get(to);
    if (peer === undefined || peer.#removed.has(this.#id)) return undefined;
    peer.#guests.add(this.#id);
    return peer.#handler;
  }
}
