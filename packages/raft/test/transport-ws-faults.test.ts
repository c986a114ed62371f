import test, { type ExecutionContext } from 'ava';
import { WebSocket } from 'ws';
import { encodeFrame } from '../src/codec/message-codec.js';
import { createEntry } from '../src/codec/entry-codec.js';
import { type Message, MessageType } from '../src/core/message.js';
import { EntryKind } from '../src/core/types.js';
import { CloseCode, encodeHello } from '../src/transport/hello.js';
import { headerFrame, SnapshotPosition } from '../src/transport/snapshot-frames.js';
import { snapshotAt } from '../src/contract/sample-log.js';
import { Recorder, sendUntil } from '../src/contract/transport-contract.js';
import { until } from '../src/contract/until.js';
import { announcement, heartbeat, message } from './support/messages.js';
import { Victim } from './contract/victim.js';
import { WsHost } from './contract/ws-fixture.js';

const HELLO = encodeHello({ clusterId: 'cluster', from: 2, to: 1 });

async function closes(
  t: ExecutionContext,
  victim: Victim,
  frames: readonly (Uint8Array | string)[],
  code: number,
  reason: RegExp,
): Promise<void> {
  const ended = await (await victim.connect(frames)).closed;
  t.is(ended.code, code);
  t.regex(ended.reason, reason);
}

test('a connection that is not for this member is refused with a reason', async (t) => {
  await Victim.use(async (victim) => {
    const { transport, log } = victim.host;
    transport!.setMembers([{ id: 2, address: '127.0.0.1:1', nodeId: 'node-2' }]);
    const other = encodeHello({ clusterId: 'other', from: 2, to: 1 });
    await closes(t, victim, [other], CloseCode.WrongCluster, /this is cluster cluster/);
    await closes(t, victim, [other], CloseCode.WrongCluster, /this is cluster cluster/);
    t.is(log.warnings.length, 1, 'said once');
    const member = encodeHello({ clusterId: 'cluster', from: 2, to: 7 });
    await closes(t, victim, [member], CloseCode.WrongMember, /this is member 1, not 7/);
    const self = encodeHello({ clusterId: 'cluster', from: 1, to: 1 });
    await closes(t, victim, [self], CloseCode.WrongMember, /my own id/);
    const impostor = await victim.connect([HELLO], '/raft', 'node-3');
    t.is((await impostor.closed).code, CloseCode.WrongNode);
    // MessagePack: a list of version 9, "cluster", 2, 1.
    const newer = Buffer.concat([Uint8Array.of(0x94, 9, 0xa7), Buffer.from('cluster\x02\x01')]);
    await closes(t, victim, [newer], CloseCode.WrongVersion, /wire version 9/);
    await closes(t, victim, [Uint8Array.of(0xc1)], CloseCode.Malformed, /no hello/);
    // A version that is a map, which no member sends, and one too long for a close frame.
    const map = Buffer.from('9282a8746f537472696e6701a776616c75654f6601a0', 'hex');
    await closes(t, victim, [map], CloseCode.Malformed, /no hello/);
    await closes(t, victim, [Buffer.alloc(100_000, 0x90)], CloseCode.Malformed, /of 100000 bytes/);
    const snapshot = encodeFrame([announcement(2, 1, 1, snapshotAt(9, 2))]);
    await closes(t, victim, [HELLO, snapshot], CloseCode.Malformed, /without its state/);
    const long = Buffer.concat([Buffer.from('91d9c8', 'hex'), Buffer.from('é'.repeat(100))]);
    await closes(t, victim, [long], CloseCode.WrongVersion, /wire version unknown/);
  });
});

test('unreadable frames end the connection with a reason', async (t) => {
  await Victim.use(
    async (victim) => {
      const good = encodeFrame([heartbeat(2, 1)]);
      const entry = createEntry(5, 1, EntryKind.Normal, Uint8Array.of(1, 2, 3));
      const cut = encodeFrame([message(MessageType.Append, 2, 1, { entries: [entry] })]).subarray(
        0,
        -1,
      );
      const foreign = encodeFrame([heartbeat(3, 1)]);
      const trailing = Buffer.concat([good, Uint8Array.of(0)]);
      const { Malformed } = CloseCode;
      await closes(t, victim, [HELLO, cut], Malformed, /cut off/);
      await closes(t, victim, [HELLO, foreign], Malformed, /member 3 came from member 2/);
      await closes(t, victim, [HELLO, trailing], Malformed, /bytes follow/);
      await closes(t, victim, [HELLO, good.subarray(0, 3)], Malformed, /cut off/);
      await closes(t, victim, [HELLO, 'text'], Malformed, /text/);
      await closes(t, victim, [HELLO, new Uint8Array(2000)], 1009, /2000 bytes/);
      t.deepEqual(victim.handler.received, []);
    },
    { receiveBytes: 1000 },
  );
});

test('damage to any byte of a frame is refused or harmless, never a crash', async (t) => {
  await Victim.use(async (victim) => {
    const entry = createEntry(5, 1, EntryKind.Normal, Uint8Array.of(1, 2, 3));
    const sent = message(MessageType.Append, 2, 1, { entries: [entry] });
    const good = encodeFrame([sent, { ...sent, commit: 7 }]);
    for (let at = 0; at < good.length; at++) {
      const bad = Uint8Array.from(good);
      bad[at]! ^= 0xff;
      const { socket, closed } = await victim.connect([HELLO, bad]);
      socket.close();
      await closed;
    }
    const { socket } = await victim.connect([HELLO, good]);
    const before = victim.handler.received.length;
    await until('a good frame', () => victim.handler.received.length >= before + 2);
    socket.close();
    t.pass();
  });
});

test('messages that are unknown or not for us are dropped, the rest is kept', async (t) => {
  await Victim.use(async (victim) => {
    const { log } = victim.host;
    const good = heartbeat(2, 1, 42);
    const elsewhere = heartbeat(2, 8);
    const ofUnknownType = (...messages: Message[]): Uint8Array => {
      const frame = Uint8Array.from(encodeFrame(messages));
      // The first message's type comes first, after the lengths of two lists.
      frame[7] = 99;
      return frame;
    };
    const newer = Uint8Array.from(encodeFrame([good]));
    newer[0] = 9;
    const { socket } = await victim.connect([
      HELLO,
      newer,
      newer,
      ofUnknownType(good, elsewhere),
      ofUnknownType(good, elsewhere, good),
    ]);
    await until('the good one', () => victim.handler.received.length > 0);
    t.deepEqual(victim.handler.received, [good]);
    t.is(socket.readyState, WebSocket.OPEN);
    t.deepEqual(log.warnings.map((warning) => warning.message).sort(), [
      'raft: dropped a frame',
      'raft: dropped a message for another member',
      'raft: dropped a message of an unknown type',
    ]);
    socket.close();
  });
});

test('a newer connection of a member replaces the older one', async (t) => {
  await Victim.use(async (victim) => {
    const older = await victim.connect([HELLO]);
    const newer = await victim.connect([HELLO]);
    t.is((await older.closed).code, CloseCode.Replaced);
    newer.socket.send(encodeFrame([heartbeat(2, 1)]));
    await until('a message', () => victim.handler.received.length === 1);
    newer.socket.close();
    t.is(victim.handler.received.length, 1);
  });
});

test('messages of one turn go in one frame', async (t) => {
  const [one, two] = [await WsHost.create(1), await WsHost.create(2)];
  try {
    const transport = one.newTransport();
    transport.start(new Recorder());
    const handler = new Recorder();
    two.newTransport().start(handler);
    transport.setMembers([two.member]);
    const ready = heartbeat(1, 2);
    await sendUntil('a message', transport, ready, () => handler.received.length > 0);
    let frames = 0;
    two.accepted[0]!.on('message', () => {
      frames++;
    });
    const before = handler.received.length;
    for (let context = 1; context <= 100; context++) {
      transport.send([heartbeat(1, 2, context)]);
    }
    await until('all', () => handler.received.length === before + 100);
    t.is(frames, 1);
  } finally {
    await one.close();
    await two.close();
  }
});

test('a peer that does not read costs bounded memory and is reported', async (t) => {
  const [one, two] = [await WsHost.create(1), await WsHost.create(2)];
  try {
    const transport = one.newTransport({ bufferedBytes: 1 << 20, silentMs: 60_000 });
    const handler = new Recorder();
    transport.start(handler);
    const reader = new Recorder();
    two.newTransport({ silentMs: 60_000 }).start(reader);
    transport.setMembers([two.member]);
    const ready = heartbeat(1, 2);
    await sendUntil('a message', transport, ready, () => reader.received.length > 0);
    two.accepted.at(-1)!.pause();
    const entry = createEntry(1, 1, EntryKind.Normal, new Uint8Array(1 << 18));
    const large = message(MessageType.Append, 1, 2, { entries: [entry] });
    handler.lost.length = 0;
    for (let sent = 0; sent < 200 && handler.lost.length === 0; sent++) {
      transport.send([large]);
      await new Promise(setImmediate);
    }
    t.deepEqual(new Set(handler.lost), new Set([2]));
    two.accepted[0]!.resume();
    const before = reader.received.length;
    await sendUntil('a message', transport, ready, () => reader.received.length > before);
  } finally {
    await one.close();
    await two.close();
  }
});

test('a connection that died silently is given up', async (t) => {
  const [one, two] = [await WsHost.create(1), await WsHost.create(2)];
  try {
    const transport = one.newTransport({ pingMs: 200, silentMs: 1_000 });
    const handler = new Recorder();
    transport.start(handler);
    const reader = new Recorder();
    two.newTransport().start(reader);
    transport.setMembers([two.member]);
    const ready = heartbeat(1, 2);
    await sendUntil('a message', transport, ready, () => reader.received.length > 0);
    handler.lost.length = 0;
    const connections = two.accepted.length;
    // Neither reads nor answers, like a host without power.
    two.accepted.at(-1)!.pause();
    await until('the loss', () => handler.lost.length > 0);
    await until('a new connection', () => two.accepted.length > connections);
    t.pass();
  } finally {
    await one.close();
    await two.close();
  }
});

/** A snapshot's frames up to its end. */
function snapshotFrames(pieces: readonly Uint8Array[]): Uint8Array[] {
  const position = new SnapshotPosition();
  const announce = announcement(2, 1, 3);
  return [
    HELLO,
    headerFrame(announce, snapshotAt(9, 3)),
    ...pieces.map((piece) => Uint8Array.from(position.chunkFrame(piece))),
    Uint8Array.from(position.endFrame()),
  ];
}

const PIECES = [Uint8Array.of(1, 2, 3), Uint8Array.of(4, 5), Uint8Array.of(6)];

async function receives(
  victim: Victim,
  frames: readonly Uint8Array[],
  hangUp = false,
): Promise<string> {
  let outcome: string | undefined;
  victim.handler.take = async (_header, chunks) => {
    try {
      let bytes = 0;
      for await (const chunk of chunks) bytes += chunk.length;
      outcome = `took ${bytes}`;
    } catch (error) {
      outcome = (error as Error).message;
      throw error;
    }
  };
  const { socket, closed } = await victim.connect(frames, '/raft/snapshot');
  if (hangUp) socket.close();
  await until('an outcome', () => outcome !== undefined);
  await closed;
  return outcome!;
}

test('a snapshot is installed only if every byte arrived, in order', async (t) => {
  await Victim.use(async (victim) => {
    const good = snapshotFrames(PIECES);
    t.is(await receives(victim, good), 'took 6');
    const [hello, header, first, second, third, end] = good as [
      Uint8Array,
      Uint8Array,
      Uint8Array,
      Uint8Array,
      Uint8Array,
      Uint8Array,
    ];
    const flipped = Uint8Array.from(second);
    flipped[flipped.length - 1]! ^= 1;
    t.regex(await receives(victim, [hello, header, first, flipped, third, end]), /checksum/);
    t.regex(await receives(victim, [hello, header, second, first, third, end]), /piece at 3/);
    t.regex(await receives(victim, [hello, header, first, first, second, end]), /piece at 0/);
    t.regex(await receives(victim, [hello, header, first, second, end]), /end is at 6/);
    t.regex(await receives(victim, [hello, header, first, second], true), /closed/);
    t.regex(await receives(victim, [hello, header, Uint8Array.of(2, 0)]), /cut off/);
    t.regex(await receives(victim, [hello, header, Uint8Array.of(77)]), /unknown frame/);
    t.is(await receives(victim, good), 'took 6');
  });
});

test('a slow state machine makes the sender wait', async (t) => {
  const [one, two] = [await WsHost.create(1), await WsHost.create(2)];
  try {
    const transport = one.newTransport();
    const handler = new Recorder();
    transport.start(handler);
    const reader = new Recorder();
    two.newTransport({ chunksWaiting: 2 }).start(reader);
    transport.setMembers([two.member]);
    let read = 0;
    let go: (() => void) | undefined;
    reader.take = async (_header, chunks) => {
      await new Promise<void>((resolve) => {
        go = resolve;
      });
      for await (const chunk of chunks) read += chunk.length;
    };
    let made = 0;
    const source = async function* (): AsyncGenerator<Uint8Array> {
      for (; made < 1000; made++) yield new Uint8Array(1 << 16).fill(made);
    };
    const announce = announcement(1, 2, 3);
    transport.sendSnapshot(announce, snapshotAt(9, 3), source());
    await until('the offer', () => go !== undefined);
    let before = -1;
    while (before !== made) {
      before = made;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    // What the kernel's buffers on both sides hold, far from all of it.
    t.true(made < 500, `${made} pieces were made`);
    go!();
    await until('the confirmation', () => handler.sent.length > 0);
    t.deepEqual(handler.sent, [{ id: 2, ok: true }]);
    t.is(read, 1000 * (1 << 16));
  } finally {
    await one.close();
    await two.close();
  }
});

test('a newer snapshot to the same member replaces the older one', async (t) => {
  const [one, two] = [await WsHost.create(1), await WsHost.create(2)];
  try {
    const transport = one.newTransport();
    const handler = new Recorder();
    transport.start(handler);
    const reader = new Recorder();
    two.newTransport().start(reader);
    transport.setMembers([two.member]);
    const outcomes: string[] = [];
    reader.take = async (header, chunks) => {
      try {
        for await (const _chunk of chunks);
        outcomes.push(`${header.snapshot?.index} taken`);
      } catch (error) {
        outcomes.push(`${header.snapshot?.index} broke off`);
        throw error;
      }
    };
    const endless = async function* (): AsyncGenerator<Uint8Array> {
      for (;;) {
        yield new Uint8Array(1000);
        await new Promise(setImmediate);
      }
    };
    const brief = async function* (): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(10);
    };
    const announce = announcement(1, 2, 3);
    transport.sendSnapshot(announce, snapshotAt(9, 3), endless());
    await until('the first', () => two.accepted.length > 1);
    transport.sendSnapshot(announce, snapshotAt(12, 3), brief());
    await until('the confirmation', () => handler.sent.length > 0);
    t.deepEqual(handler.sent, [{ id: 2, ok: true }]);
    t.is(outcomes.at(-1), '12 taken');
    t.false(outcomes.includes('9 taken'));
  } finally {
    await one.close();
    await two.close();
  }
});

test('both sides give up a snapshot on which nothing moves', async (t) => {
  const [one, two] = [await WsHost.create(1), await WsHost.create(2)];
  try {
    const limits = { snapshotSilentMs: 1_000, snapshotAliveMs: 5_000, snapshotBreaks: 2 };
    const transport = one.newTransport(limits);
    const handler = new Recorder();
    transport.start(handler);
    const reader = new Recorder();
    two.newTransport({ ...limits, snapshotKeepMs: 2_000 }).start(reader);
    transport.setMembers([two.member]);
    let error: Error | undefined;
    reader.take = async (_header, chunks) => {
      try {
        for await (const _chunk of chunks);
      } catch (thrown) {
        error = thrown as Error;
        throw thrown;
      }
    };
    const stuck = async function* (): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(10);
      await new Promise<never>(() => {});
    };
    const announce = announcement(1, 2, 3);
    transport.sendSnapshot(announce, snapshotAt(9, 3), stuck());
    await until('both', () => handler.sent.length > 0 && error !== undefined);
    t.deepEqual(handler.sent, [{ id: 2, ok: false }]);
  } finally {
    await one.close();
    await two.close();
  }
});

test('a refusal with a long text in a non-Latin script ends the transfer, not the process', async (t) => {
  await Victim.use(async (victim) => {
    victim.handler.take = async () => {
      throw new Error('нет места на диске '.repeat(40));
    };
    const announce = announcement(2, 1, 3);
    const header = headerFrame(announce, snapshotAt(50, 3));
    const { closed } = await victim.connect([HELLO, header], '/raft/snapshot');
    t.regex((await closed).reason, /^нет места/);
  });
});
