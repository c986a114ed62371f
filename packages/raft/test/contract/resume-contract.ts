import type { ExecutionContext, TestFn } from 'ava';
import { snapshotAt } from '../../src/contract/sample-log.js';
import {
  type Node,
  pieces,
  type TransportsUnderTest,
  withNodes,
} from '../../src/contract/transport-contract.js';
import { until } from '../../src/contract/until.js';
import { announcement } from '../support/messages.js';
import type { SnapshotMessage } from '../../src/core/message.js';
import type { MemberId } from '../../src/core/types.js';
import type { TransportLimits } from '../../src/transport/limits.js';
import { SnapshotFrame } from '../../src/transport/snapshot-frames.js';

/** Transports whose snapshots use our frames, on connections that can be broken. */
export interface BreakableTransports extends TransportsUnderTest {
  /**
   * Breaks, from now on, a snapshot's connection instead of carrying a frame for which this holds.
   */
  breakWhen(holds: (frame: Uint8Array, from: MemberId) => boolean): void;
}

type Body = (
  t: ExecutionContext,
  start: (id: MemberId) => Promise<Node>,
  under: BreakableTransports,
) => Promise<void>;

const ANNOUNCE = announcement(1, 2, 3);
const PIECES = 6;
const PIECE_BYTES = 1000;
/** Hello, header, pieces, end. */
const SENDER_FRAMES = PIECES + 3;
/** At, after the header and each piece; Taken. */
const RECEIVER_FRAMES = PIECES + 2;

/** What one member's state machine saw of snapshots. */
class Taker {
  readonly outcomes: string[] = [];
  /** Pieces taken of the current snapshot. */
  taken = 0;
  /** Waits before each piece except the first. */
  before: () => Promise<void> = async () => undefined;

  constructor(node: Node) {
    node.handler.take = (header, chunks) => this.take(header, chunks);
  }

  private async take(header: SnapshotMessage, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const index = header.snapshot.index;
    this.taken = 0;
    try {
      for await (const chunk of chunks) {
        const wanted = new Uint8Array(PIECE_BYTES).fill(this.taken);
        if (Buffer.compare(chunk, wanted) !== 0) {
          this.outcomes.push(`${index}: piece ${this.taken} is wrong`);
        }
        this.taken++;
        await this.before();
      }
      this.outcomes.push(`${index}: took ${this.taken}`);
    } catch (error) {
      this.outcomes.push(`${index}: ${(error as Error).message}`);
      throw error;
    }
  }
}

/** What happens to the frames of one member, counted from 0 over all connections. */
function breakAt(from: MemberId, ...at: readonly number[]) {
  let count = 0;
  return (_frame: Uint8Array, sender: MemberId): boolean => sender === from && at.includes(count++);
}

async function connected(start: (id: MemberId) => Promise<Node>): Promise<[Node, Node, Taker]> {
  const [one, two] = [await start(1), await start(2)];
  one.transport.setMembers([two.member]);
  two.transport.setMembers([one.member]);
  return [one, two, new Taker(two)];
}

/** A snapshot of which two pieces have arrived, and whose connections break from then on. */
async function interrupted(
  start: (id: MemberId) => Promise<Node>,
  under: BreakableTransports,
): Promise<[Node, Node, Taker]> {
  const [one, two, taker] = await connected(start);
  let sent = 0;
  under.breakWhen((_frame, from) => from === 1 && sent++ >= 4);
  one.transport.sendSnapshot(ANNOUNCE, snapshotAt(50, 3), pieces(PIECES, PIECE_BYTES));
  await until('two pieces, and a break', () => {
    return taker.taken === 2 && (sent > 5 || one.handler.sent.length > 0);
  });
  return [one, two, taker];
}

/** How a transport resumes a snapshot whose connection breaks. */
export function resumeContract(
  test: TestFn,
  name: string,
  setup: (limits: Partial<TransportLimits>) => Promise<BreakableTransports>,
): void {
  const check = (title: string, body: Body, limits: Partial<TransportLimits> = {}) => {
    test(`${name}: ${title}`, async (t) => {
      const under = await setup(limits);
      await withNodes(under, (start) => body(t, start, under));
    });
  };

  const whole = async (t: ExecutionContext, one: Node, taker: Taker): Promise<void> => {
    await until('the confirmation', () => one.handler.sent.length > 0);
    t.deepEqual(one.handler.sent, [{ id: 2, ok: true }]);
    t.deepEqual(taker.outcomes, [`50: took ${PIECES}`]);
  };

  for (let at = 0; at < SENDER_FRAMES; at++) {
    check(`a snapshot whose connection breaks at frame ${at} resumes`, async (t, start, under) => {
      const [one, , taker] = await connected(start);
      under.breakWhen(breakAt(1, at));
      one.transport.sendSnapshot(ANNOUNCE, snapshotAt(50, 3), pieces(PIECES, PIECE_BYTES));
      await whole(t, one, taker);
    });
  }

  for (let at = 0; at < RECEIVER_FRAMES; at++) {
    const last = at === RECEIVER_FRAMES - 1;
    const what = last ? 'that it was taken' : `number ${at}`;
    check(`a snapshot whose answer ${what} is lost resumes`, async (t, start, under) => {
      const [one, , taker] = await connected(start);
      under.breakWhen(breakAt(2, at));
      one.transport.sendSnapshot(ANNOUNCE, snapshotAt(50, 3), pieces(PIECES, PIECE_BYTES));
      await whole(t, one, taker);
    });
  }

  check('a snapshot resumes again and again', async (t, start, under) => {
    const [one, , taker] = await connected(start);
    // Of each connection: hello and header pass, then one piece.
    let passed = 0;
    under.breakWhen((_frame, from) => {
      if (from !== 1) return false;
      const breaks = passed === 3;
      passed = breaks ? 0 : passed + 1;
      return breaks;
    });
    one.transport.sendSnapshot(ANNOUNCE, snapshotAt(50, 3), pieces(PIECES, PIECE_BYTES));
    await whole(t, one, taker);
    t.true(one.handler.moved.resumed >= PIECES - 2, String(one.handler.moved.resumed));
  });

  check(
    'nothing that the receiver has is sent again, however slow its state machine',
    async (t, start, under) => {
      const [one, , taker] = await connected(start);
      let go: (() => void) | undefined;
      taker.before = () => {
        taker.before = async () => undefined;
        return new Promise((resolve) => {
          go = resolve;
        });
      };
      // The queue is full by then, and the receiver does not read.
      const breaks = breakAt(1, 8);
      const first: { asked: number; sent: number }[] = [];
      under.breakWhen((frame, from) => {
        const at = frame.length > 9 ? Number(Buffer.from(frame).readBigUInt64BE(1)) : -1;
        if (frame[0] === SnapshotFrame.Header) first.push({ asked: -1, sent: -1 });
        const connection = first.at(-1);
        if (connection !== undefined && from === 2 && frame[0] === SnapshotFrame.At) {
          if (connection.asked < 0) connection.asked = at;
        } else if (connection !== undefined && frame[0] === SnapshotFrame.Chunk) {
          if (connection.sent < 0) connection.sent = at;
        }
        return breaks(frame, from);
      });
      one.transport.sendSnapshot(ANNOUNCE, snapshotAt(50, 3), pieces(12, PIECE_BYTES));
      await until('it resumes', () => one.handler.moved.resumed === 1);
      t.is(taker.taken, 1);
      go!();
      await until('the confirmation', () => one.handler.sent.length > 0);
      t.deepEqual(one.handler.sent, [{ id: 2, ok: true }]);
      t.deepEqual(taker.outcomes, ['50: took 12']);
      // On a busy machine more may break than the test asked for.
      const later = first.slice(1);
      t.true(later.length > 0 && later[0]!.asked >= 2 * PIECE_BYTES, JSON.stringify(first));
      for (const { asked, sent } of later)
        t.true(sent === asked || sent < 0, JSON.stringify(first));
    },
    { chunksWaiting: 2 },
  );

  check('the newer of two snapshots ends an interrupted one', async (t, start, under) => {
    const [one, , taker] = await interrupted(start, under);
    under.breakWhen(() => false);
    one.transport.sendSnapshot(ANNOUNCE, snapshotAt(60, 3), pieces(PIECES, PIECE_BYTES));
    await until('the confirmation', () => one.handler.sent.length > 0);
    t.deepEqual(one.handler.sent, [{ id: 2, ok: true }]);
    t.is(taker.outcomes.length, 2);
    t.is(taker.outcomes[1], `60: took ${PIECES}`);
    t.notRegex(taker.outcomes[0]!, /took|wrong/);
  });

  check('a snapshot of a higher term ends an interrupted one', async (t, start, under) => {
    const [, two, taker] = await interrupted(start, under);
    const three = await start(3);
    three.transport.setMembers([two.member]);
    const newer = { ...ANNOUNCE, from: 3, term: 4 };
    three.transport.sendSnapshot(newer, snapshotAt(60, 4), pieces(PIECES, PIECE_BYTES));
    await until('the confirmation', () => three.handler.sent.length > 0);
    t.deepEqual(three.handler.sent, [{ id: 2, ok: true }]);
    t.deepEqual(taker.outcomes, ['50: a newer snapshot came', `60: took ${PIECES}`]);
  });

  check('a snapshot of another sender ends an interrupted one', async (t, start, under) => {
    const [, two, taker] = await interrupted(start, under);
    const three = await start(3);
    three.transport.setMembers([two.member]);
    three.transport.sendSnapshot(
      { ...ANNOUNCE, from: 3 },
      snapshotAt(60, 3),
      pieces(PIECES, PIECE_BYTES),
    );
    await until('the confirmation', () => three.handler.sent.length > 0);
    t.deepEqual(three.handler.sent, [{ id: 2, ok: true }]);
    t.deepEqual(taker.outcomes, ['50: a newer snapshot came', `60: took ${PIECES}`]);
  });

  check('an interrupted snapshot ends with the removal of its sender', async (t, start, under) => {
    const [one, two, taker] = await interrupted(start, under);
    two.transport.setMembers([]);
    await until('the error', () => taker.outcomes.length > 0);
    t.deepEqual(taker.outcomes, ['50: the member was removed']);
    under.breakWhen(() => false);
    await until('the report', () => one.handler.sent.length > 0);
    t.deepEqual(one.handler.sent, [{ id: 2, ok: false }]);
  });

  check('an interrupted snapshot ends when its receiver closes', async (t, start, under) => {
    const [, two, taker] = await interrupted(start, under);
    await two.transport.close();
    await until('the error', () => taker.outcomes.length > 0);
    t.deepEqual(taker.outcomes, ['50: the member is stopping']);
  });

  check('an interrupted snapshot ends when its sender ends it', async (t, start, under) => {
    const [one, , taker] = await connected(start);
    let sent = 0;
    under.breakWhen((_frame, from) => from === 1 && ++sent === 5);
    let hold: (() => void) | undefined;
    const source = async function* (): AsyncGenerator<Uint8Array> {
      yield* pieces(4, PIECE_BYTES);
      await new Promise<void>((resolve) => {
        hold = resolve;
      });
    };
    one.transport.sendSnapshot(ANNOUNCE, snapshotAt(50, 3), source());
    await until('all but the end, over two connections', () => {
      return taker.taken === 4 && one.handler.moved.resumed === 1;
    });
    one.transport.endSnapshot(2, 'it does not lead');
    await until('the error', () => taker.outcomes.length > 0);
    t.regex(taker.outcomes[0]!, /^50: it does not lead/);
    hold!();
    // The transport reports nothing about what the caller itself ended.
    t.deepEqual(one.handler.sent, []);
  });

  check(
    'both sides give up an interrupted snapshot that nobody resumes',
    async (t, start, under) => {
      const [one, , taker] = await interrupted(start, under);
      await until('the report', () => one.handler.sent.length > 0);
      await until('the error', () => taker.outcomes.length > 0);
      t.deepEqual(one.handler.sent, [{ id: 2, ok: false }]);
      t.deepEqual(taker.outcomes.length, 1);
      t.regex(taker.outcomes[0]!, /^50: interrupted for 2000 ms/);
      // A transfer that is over does not come back.
      under.breakWhen(() => false);
      one.transport.sendSnapshot(ANNOUNCE, snapshotAt(60, 3), pieces(PIECES, PIECE_BYTES));
      await until('the next', () => one.handler.sent.length > 1);
      t.deepEqual(one.handler.sent[1], { id: 2, ok: true });
      t.is(taker.outcomes[1], `60: took ${PIECES}`);
    },
    { snapshotKeepMs: 2_000 },
  );

  check(
    'a snapshot whose connections make no progress is given up',
    async (t, start, under) => {
      const [one] = await connected(start);
      let connections = 0;
      under.breakWhen((frame, from) => {
        if (frame[0] === SnapshotFrame.Header) connections++;
        return from === 1 && frame[0] === SnapshotFrame.Chunk;
      });
      one.transport.sendSnapshot(ANNOUNCE, snapshotAt(50, 3), pieces(PIECES, PIECE_BYTES));
      await until('the report', () => one.handler.sent.length > 0);
      t.deepEqual(one.handler.sent, [{ id: 2, ok: false }]);
      t.is(connections, 4);
    },
    { snapshotBreaks: 3 },
  );
}
