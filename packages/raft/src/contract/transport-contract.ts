import assert from 'node:assert/strict';
import { createEntry } from '../codec/entry-codec.js';
import { type Message, MessageType, type SnapshotMessage } from '../core/message.js';
import { type Entry, EntryKind, type MemberId, type MemberInfo, NOBODY } from '../core/types.js';
import type { SnapshotStep, Transport, TransportHandler } from '../transport/transport.js';
import type { ContractCase } from './contract-case.js';
import { snapshotAt } from './sample-log.js';
import { until } from './until.js';

/** Members that can reach each other; made new for each test. */
export interface TransportsUnderTest {
  /**
   * Makes a member's transport, not started. A repeated id, after the previous transport is closed,
   * is a restart of that member at the same address.
   */
  create(id: MemberId): Promise<{ readonly transport: Transport; readonly member: MemberInfo }>;
  /** Ends the case: nothing may be left. All transports are already closed. */
  remove(): Promise<void>;
}

function heartbeat(from: MemberId, to: MemberId, round = 0): Message {
  return { type: MessageType.Heartbeat, from, to, term: 1, match: 0, commit: 0, round };
}

/** Records every call; `take` decides what happens to a snapshot. */
export class Recorder implements TransportHandler {
  readonly received: Message[] = [];
  readonly lost: MemberId[] = [];
  readonly sent: { id: MemberId; ok: boolean }[] = [];
  /** Reported steps of outgoing snapshots. */
  readonly steps: SnapshotStep[] = [];
  take: (message: SnapshotMessage, chunks: AsyncIterable<Uint8Array>) => Promise<void> =
    async () => {
      throw new Error('no snapshot is expected');
    };

  receive(received: Message): void {
    this.received.push(received);
  }

  unreachable(id: MemberId): void {
    this.lost.push(id);
  }

  snapshotSent(id: MemberId, ok: boolean): void {
    this.sent.push({ id, ok });
  }

  snapshotMoved(_id: MemberId, step: SnapshotStep): void {
    this.steps.push(step);
  }

  /** Bytes sent, and how often a transfer resumed after a break. */
  get moved(): { bytes: number; resumed: number } {
    let bytes = 0;
    for (const step of this.steps) if (step.kind === 'sent') bytes += step.bytes;
    return { bytes, resumed: this.steps.filter(({ kind }) => kind === 'resumed').length };
  }

  receiveSnapshot(header: SnapshotMessage, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    return this.take(header, chunks);
  }
}

/** Sends repeatedly, as Raft does, until the message arrives. */
export async function sendUntil(
  what: string,
  from: Transport,
  sent: Message,
  holds: () => boolean,
): Promise<void> {
  let sentMs = 0;
  await until(what, () => {
    if (!holds() && Date.now() - sentMs > RESEND_MS) {
      sentMs = Date.now();
      from.send([sent]);
    }
    return holds();
  });
}

const RESEND_MS = 100;

export interface Node {
  readonly id: MemberId;
  readonly transport: Transport;
  readonly member: MemberInfo;
  readonly handler: Recorder;
}

export async function* pieces(count: number, bytes: number): AsyncGenerator<Uint8Array> {
  // The same buffer each time: a receiver that keeps a piece must have copied it.
  const piece = new Uint8Array(bytes);
  for (let i = 0; i < count; i++) {
    piece.fill(i);
    yield piece;
  }
}

function check(
  name: string,
  body: (start: (id: MemberId) => Promise<Node>) => Promise<void>,
): ContractCase<TransportsUnderTest> {
  return {
    name,
    run: async (setup) => withNodes(await setup(), body),
  };
}

/** Starts members on demand. Closes all of them at the end, even if the body fails. */
export async function withNodes(
  under: TransportsUnderTest,
  body: (start: (id: MemberId) => Promise<Node>) => Promise<void>,
): Promise<void> {
  const nodes: Node[] = [];
  try {
    await body(async (id) => {
      const node = { id, ...(await under.create(id)), handler: new Recorder() };
      node.transport.start(node.handler);
      nodes.push(node);
      return node;
    });
  } finally {
    await Promise.all(nodes.map(({ transport }) => transport.close()));
    await under.remove();
  }
}

const announce: SnapshotMessage = {
  type: MessageType.Snapshot,
  from: 1,
  to: 2,
  term: 3,
  snapshot: snapshotAt(50, 3),
};

/** What every `Transport` must do, over an undisturbed network. Run it with `runContract`. */
export const transportContract: readonly ContractCase<TransportsUnderTest>[] = [
  check('every field of a message arrives', async (start) => {
    const [one, two] = [await start(1), await start(2)];
    one.transport.setMembers([two.member]);
    const address = { from: 1, to: 2, term: 2 ** 40 };
    const entries = [
      createEntry(2 ** 33 + 2, 8, EntryKind.Normal, Uint8Array.of(1, 0, 255)),
      createEntry(2 ** 33 + 3, 8, EntryKind.ConfChange, new Uint8Array(70_000).fill(3)),
    ];
    const sent: Message = {
      type: MessageType.Append,
      ...address,
      previousIndex: 2 ** 33 + 1,
      previousTerm: 7,
      commit: Number.MAX_SAFE_INTEGER,
      entries,
    };
    await sendUntil('a message', one.transport, sent, () => two.handler.received.length > 0);
    const got = two.handler.received[0]!;
    assert.equal(got.type, MessageType.Append);
    assert.deepEqual({ ...got, entries: [] }, { ...sent, entries: [] });
    const parts = (all: readonly Entry[]) =>
      all.map(({ index, term, kind, data }) => [index, term, kind, Buffer.from(data)]);
    assert.deepEqual('entries' in got && parts(got.entries), parts(entries));

    const others: Message[] = [
      { type: MessageType.Vote, ...address, lastIndex: 2 ** 33, lastTerm: 7, force: true },
      {
        type: MessageType.VoteResponse,
        ...address,
        granted: false,
        commit: 2 ** 33,
        commitTerm: 7,
      },
      {
        type: MessageType.AppendResponse,
        ...address,
        rejected: true,
        previousIndex: 2 ** 33,
        hintIndex: 5,
        hintTerm: 4,
      },
      { type: MessageType.Heartbeat, ...address, match: 2 ** 33, commit: 9, round: 2 ** 31 },
      { type: MessageType.HeartbeatResponse, ...address, promiseMs: 799, round: 2 ** 31 },
      { type: MessageType.ReadIndexResponse, ...address, context: 2 ** 31, index: 2 ** 33 },
    ];
    const before = two.handler.received.length;
    one.transport.send(others);
    await until('all messages', () => two.handler.received.length >= before + others.length);
    assert.deepEqual(two.handler.received.slice(-others.length), others);
  }),

  check('messages to one member arrive in order', async (start) => {
    const [one, two] = [await start(1), await start(2)];
    one.transport.setMembers([two.member]);
    const ready = heartbeat(1, 2);
    await sendUntil('a message', one.transport, ready, () => two.handler.received.length > 0);
    for (let round = 1; round <= 300; round++) {
      one.transport.send([heartbeat(1, 2, round)]);
      if (round % 50 === 0) await new Promise(setImmediate);
    }
    const rounds = (): number[] =>
      two.handler.received.flatMap((got) =>
        got.type === MessageType.Heartbeat && got.round > 0 ? [got.round] : [],
      );
    await until('all messages', () => rounds().length === 300);
    assert.deepEqual(
      rounds(),
      Array.from({ length: 300 }, (_, i) => i + 1),
    );
  }),

  check('a member unknown to the receiver is answered all the same', async (start) => {
    const [one, two] = [await start(1), await start(2)];
    one.transport.setMembers([two.member]);
    two.transport.setMembers([]);
    const ask: Message = {
      type: MessageType.Vote,
      from: 1,
      to: 2,
      term: 1,
      lastIndex: 0,
      lastTerm: 0,
      force: false,
    };
    await sendUntil('a request', one.transport, ask, () => two.handler.received.length > 0);
    const response = MessageType.VoteResponse;
    const refusal = { type: response, from: 2, to: 1, term: 1, granted: false };
    two.transport.send([{ ...refusal, commit: 0, commitTerm: 0 }]);
    await until('the answer', () => one.handler.received.length > 0);
    assert.equal(one.handler.received[0]!.type, MessageType.VoteResponse);
  }),

  check('a message to an absent member is reported', async (start) => {
    const one = await start(1);
    one.transport.setMembers([{ id: 9, address: '127.0.0.1:1', nodeId: 'node-9' }]);
    const sent = heartbeat(1, 9);
    await sendUntil('the report', one.transport, sent, () => one.handler.lost.length > 0);
    assert.equal(one.handler.lost[0], 9);
  }),

  check('a removed member is neither heard nor spoken to', async (start) => {
    const [one, two] = [await start(1), await start(2)];
    one.transport.setMembers([two.member]);
    two.transport.setMembers([one.member]);
    const there = heartbeat(1, 2);
    const back = heartbeat(2, 1);
    await sendUntil('a message', one.transport, there, () => two.handler.received.length > 0);
    await sendUntil('a message', two.transport, back, () => one.handler.received.length > 0);
    one.transport.setMembers([]);
    const heard = one.handler.received.length;
    two.handler.lost.length = 0;
    await sendUntil('a report', two.transport, back, () => two.handler.lost.length > 0);
    assert.equal(one.handler.received.length, heard);
    one.handler.lost.length = 0;
    await sendUntil('a report', one.transport, there, () => one.handler.lost.length > 0);
    assert.deepEqual(new Set(one.handler.lost), new Set([2]));
  }),

  check('a member that restarts is found again', async (start) => {
    const [one, two] = [await start(1), await start(2)];
    one.transport.setMembers([two.member]);
    const sent = heartbeat(1, 2);
    await sendUntil('a message', one.transport, sent, () => two.handler.received.length > 0);
    await two.transport.close();
    await sendUntil('the loss', one.transport, sent, () => one.handler.lost.length > 0);
    const again = await start(2);
    await sendUntil('a message', one.transport, sent, () => again.handler.received.length > 0);
    assert.equal(again.handler.received[0]!.from, 1);
  }),

  check('a snapshot arrives whole and is confirmed', async (start) => {
    const [one, two] = [await start(1), await start(2)];
    one.transport.setMembers([two.member]);
    const taken: number[][] = [];
    let header: SnapshotMessage | undefined;
    two.handler.take = async (got, chunks) => {
      header = got;
      const whole: Uint8Array[] = [];
      for await (const chunk of chunks) whole.push(chunk);
      const all = Buffer.concat(whole);
      for (let i = 0; i < 20; i++) {
        const part = all.subarray(i * 100_000, (i + 1) * 100_000);
        taken.push([part.length, ...new Set(part)]);
      }
    };
    one.transport.sendSnapshot(announce, snapshotAt(50, 3), pieces(20, 100_000));
    await until('the confirmation', () => one.handler.sent.length > 0);
    assert.deepEqual(one.handler.sent, [{ id: 2, ok: true }]);
    assert.deepEqual(
      taken,
      Array.from({ length: 20 }, (_, i) => [100_000, i]),
    );
    assert.deepEqual(header?.snapshot, snapshotAt(50, 3));
    assert.equal(header?.term, 3);
  }),

  check('a snapshot is not confirmed before it is installed', async (start) => {
    const [one, two] = [await start(1), await start(2)];
    one.transport.setMembers([two.member]);
    let finish: (() => void) | undefined;
    two.handler.take = async (_header, chunks) => {
      for await (const _chunk of chunks);
      await new Promise<void>((resolve) => {
        finish = resolve;
      });
    };
    one.transport.sendSnapshot(announce, snapshotAt(50, 3), pieces(2, 10));
    await until('all of it', () => finish !== undefined);
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
    assert.deepEqual(one.handler.sent, []);
    finish!();
    await until('the confirmation', () => one.handler.sent.length > 0);
    assert.deepEqual(one.handler.sent, [{ id: 2, ok: true }]);
  }),

  check('a refused snapshot is reported', async (start) => {
    const [one, two] = [await start(1), await start(2)];
    one.transport.setMembers([two.member]);
    one.transport.sendSnapshot(announce, snapshotAt(50, 3), pieces(2, 10));
    await until('the report', () => one.handler.sent.length > 0);
    assert.deepEqual(one.handler.sent, [{ id: 2, ok: false }]);
  }),

  check('a snapshot whose source fails is not installed', async (start) => {
    const [one, two] = [await start(1), await start(2)];
    one.transport.setMembers([two.member]);
    let error: unknown;
    two.handler.take = async (_header, chunks) => {
      try {
        for await (const _chunk of chunks);
      } catch (thrown) {
        error = thrown;
        throw thrown;
      }
    };
    const source = async function* (): AsyncGenerator<Uint8Array> {
      yield* pieces(3, 10);
      throw new Error('the source broke');
    };
    one.transport.sendSnapshot(announce, snapshotAt(50, 3), source());
    await until('the report', () => one.handler.sent.length > 0 && error !== undefined);
    assert.deepEqual(one.handler.sent, [{ id: 2, ok: false }]);
    assert.ok(error instanceof Error);
  }),

  check('a snapshot to an absent member is reported', async (start) => {
    const one = await start(1);
    one.transport.setMembers([]);
    one.transport.sendSnapshot({ ...announce, to: NOBODY + 77 }, snapshotAt(50, 3), pieces(1, 10));
    await until('the report', () => one.handler.sent.length > 0);
    assert.deepEqual(one.handler.sent, [{ id: 77, ok: false }]);
  }),
];
