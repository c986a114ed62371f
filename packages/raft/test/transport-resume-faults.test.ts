import type { AddressInfo } from 'node:net';
import test from 'ava';
import { type WebSocket, WebSocketServer } from 'ws';
import { CloseCode, decodeHello, encodeHello, RAFT_SNAPSHOT_PATH } from '../src/transport/hello.js';
import type { TransportLimits } from '../src/transport/limits.js';
import { headerFrame, SnapshotFrame, SnapshotPosition } from '../src/transport/snapshot-frames.js';
import { snapshotAt } from '../src/contract/sample-log.js';
import { Recorder } from '../src/contract/transport-contract.js';
import { until } from '../src/contract/until.js';
import { announcement } from './support/messages.js';
import { Victim } from './contract/victim.js';
import { WsHost } from './contract/ws-fixture.js';
import { type Break, BreakingProxy } from './support/breaking-proxy.js';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Bytes that differ everywhere, so that a gap or a repetition shows. */
function stateOf(bytes: number): Uint8Array {
  const state = Buffer.allocUnsafe(bytes);
  for (let at = 0; at + 4 <= bytes; at += 4) state.writeUInt32BE(at, at);
  return state;
}

async function* inChunks(state: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < state.length; at += 256 * KIB) yield state.subarray(at, at + 256 * KIB);
}

// --- A link that breaks

interface Transfer {
  /** Why it failed, if it did. */
  readonly why: string;
  readonly handler: Recorder;
  readonly proxy: BreakingProxy;
  readonly took: Buffer[];
}

/** Sends a state from 1 to 2 through a proxy. */
async function throughProxy(
  state: Uint8Array,
  afterBytes: () => number,
  how: Break,
  limits: Partial<TransportLimits> = {},
): Promise<Transfer> {
  const [one, two] = [await WsHost.create(1), await WsHost.create(2)];
  const port = Number(two.member.address.split(':')[1]);
  const proxy = await BreakingProxy.listen(port, afterBytes, how);
  try {
    const sender = one.newTransport(limits);
    const handler = new Recorder();
    sender.start(handler);
    const reader = new Recorder();
    two.newTransport(limits).start(reader);
    sender.setMembers([{ ...two.member, address: `127.0.0.1:${proxy.port}` }]);
    const took: Buffer[] = [];
    reader.take = async (_header, chunks) => {
      const parts: Uint8Array[] = [];
      for await (const chunk of chunks) parts.push(chunk);
      took.push(Buffer.concat(parts));
    };
    const announce = announcement(1, 2, 3);
    sender.sendSnapshot(announce, snapshotAt(9, 3), inChunks(state));
    await until('an outcome', () => handler.sent.length > 0);
    return { handler, proxy, took, why: JSON.stringify(one.log.infos) };
  } finally {
    await one.close();
    await two.close();
    await proxy.close();
  }
}

test.serial(
  'a snapshot gets through a link that resets every 700 KiB, with little sent twice',
  async (t) => {
    const state = stateOf(12 * MIB);
    const { handler, proxy, took, why } = await throughProxy(state, () => 700 * KIB, 'reset');
    t.deepEqual(handler.sent, [{ id: 2, ok: true }], why);
    t.is(took.length, 1);
    t.is(Buffer.compare(took[0]!, state), 0);
    const { bytes, resumed } = handler.moved;
    t.log(
      `${proxy.connections} connections, ${resumed} resumed, ${(bytes / state.length).toFixed(3)} times the state`,
    );
    t.true(resumed >= 12 && resumed < proxy.connections + 1, String(resumed));
    // Each break costs a window of 256 KiB, then of 128, then one piece of 64 KiB.
    t.true(bytes < 1.2 * state.length, String(bytes));
  },
);

test.serial('a snapshot resumes over a link that falls silent', async (t) => {
  const state = stateOf(2 * MIB);
  const { handler, proxy, took, why } = await throughProxy(state, () => 900 * KIB, 'silence', {
    snapshotSilentMs: 2_000,
    snapshotAliveMs: 200,
  });
  t.deepEqual(handler.sent, [{ id: 2, ok: true }], why);
  t.is(took.length, 1);
  t.is(Buffer.compare(took[0]!, state), 0);
  t.true(handler.moved.resumed >= 2 && proxy.connections >= 3);
});

// --- Peers of another version

/** Receives like programs that could not resume. */
class OldReceiver {
  readonly pieces: Uint8Array[] = [];
  connections = 0;
  /** The frame, counted from 1, at which a connection breaks. */
  private readonly breakAt: (connection: number) => number;

  constructor(socketsOf: WebSocketServer, breakAt: (connection: number) => number) {
    this.breakAt = breakAt;
    socketsOf.on('connection', (socket) => this.serve(socket));
  }

  private serve(socket: WebSocket): void {
    const connection = ++this.connections;
    const position = new SnapshotPosition();
    let frames = 0;
    this.pieces.length = 0;
    socket.on('error', () => {});
    const sayAlive = () => setInterval(() => socket.send(Uint8Array.of(SnapshotFrame.Alive)), 50);
    // The first connection must break before it has sent Alive.
    let alive = connection > 1 ? sayAlive() : undefined;
    socket.on('close', () => clearInterval(alive));
    socket.on('message', (data) => {
      const frame = data as Buffer;
      if (frames++ < 2) return;
      if (frames === this.breakAt(connection)) {
        socket.terminate();
        return;
      }
      alive ??= sayAlive();
      if (frame[0] === SnapshotFrame.Chunk) this.pieces.push(position.readChunk(frame));
      else {
        position.readEnd(frame);
        socket.send(Uint8Array.of(SnapshotFrame.Taken));
      }
    });
  }
}

/** A member that sends to a server of the test. */
async function sendTo<R>(
  state: Uint8Array,
  make: (server: WebSocketServer) => R,
  limits: Partial<TransportLimits> = {},
): Promise<{ handler: Recorder; receiver: R }> {
  const one = await WsHost.create(1);
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, path: RAFT_SNAPSHOT_PATH });
  await new Promise((resolve) => server.once('listening', resolve));
  try {
    const receiver = make(server);
    const transport = one.newTransport(limits);
    const handler = new Recorder();
    transport.start(handler);
    const { port } = server.address() as AddressInfo;
    transport.setMembers([{ id: 2, address: `127.0.0.1:${port}`, nodeId: 'node-2' }]);
    const announce = announcement(1, 2, 3);
    transport.sendSnapshot(announce, snapshotAt(9, 3), inChunks(state));
    await until('an outcome', () => handler.sent.length > 0);
    return { handler, receiver };
  } finally {
    await one.close();
    for (const socket of server.clients) socket.terminate();
    await new Promise((resolve) => server.close(resolve));
  }
}

test('a receiver that cannot resume after a break gets the whole snapshot', async (t) => {
  const state = stateOf(4 * MIB);
  const { handler, receiver } = await sendTo(state, (server) => new OldReceiver(server, () => -1));
  t.deepEqual(handler.sent, [{ id: 2, ok: true }]);
  t.is(receiver.connections, 1);
  t.is(Buffer.compare(Buffer.concat(receiver.pieces), state), 0);
  t.is(handler.moved.resumed, 0);
});

test('a receiver that cannot resume after a break never gets the rest alone', async (t) => {
  const state = stateOf(4 * MIB);
  const breaks = (server: WebSocketServer) => new OldReceiver(server, () => 40);
  const { handler, receiver } = await sendTo(state, breaks);
  t.deepEqual(handler.sent, [{ id: 2, ok: false }]);
  t.is(receiver.connections, 1);
});

test('a receiver that broke off before it was known to be old gets all of it again', async (t) => {
  const state = stateOf(4 * MIB);
  const breaks = (server: WebSocketServer) =>
    new OldReceiver(server, (connection) => (connection === 1 ? 3 : -1));
  const { handler, receiver } = await sendTo(state, breaks);
  t.deepEqual(handler.sent, [{ id: 2, ok: true }]);
  t.is(receiver.connections, 2);
  t.is(Buffer.compare(Buffer.concat(receiver.pieces), state), 0);
});

// --- Receivers that claim the impossible

/** Takes some pieces, breaks off, and then reports another position than its own. */
class Liar {
  connections = 0;
  closed: string | undefined;

  constructor(server: WebSocketServer, lie: (at: SnapshotPosition, told: Buffer) => void) {
    const position = new SnapshotPosition();
    server.on('connection', (socket) => {
      const connection = ++this.connections;
      let frames = 0;
      socket.on('error', () => {});
      socket.on('close', (_code, reason) => {
        if (connection > 1) this.closed = reason.toString();
      });
      socket.on('message', (data) => {
        const frame = data as Buffer;
        frames++;
        if (frames === 1) return;
        if (frames > 2 && connection === 1) position.readChunk(frame);
        const told = Buffer.from(position.atFrame());
        if (connection > 1 && frames === 2) lie(position, told);
        socket.send(told);
        if (connection === 1 && frames === 5) socket.terminate();
      });
    });
  }
}

const LIES: readonly [string, (at: SnapshotPosition, told: Buffer) => void][] = [
  ['with another checksum', (_at, told) => told.writeUInt32BE(1, 9)],
  ['in the middle of a piece', (at, told) => told.writeBigUInt64BE(BigInt(at.at - 1), 1)],
  ['where nothing has been sent yet', (_at, told) => told.writeBigUInt64BE(BigInt(100 * MIB), 1)],
  ['before what it had acknowledged', (_at, told) => told.fill(0, 1)],
];

for (const [what, lie] of LIES) {
  test(`a receiver that is ${what} gets nothing more`, async (t) => {
    const state = stateOf(4 * MIB);
    const { handler, receiver } = await sendTo(state, (server) => new Liar(server, lie));
    t.deepEqual(handler.sent, [{ id: 2, ok: false }]);
    t.is(receiver.connections, 2);
    t.regex(receiver.closed ?? '', /where it cannot be/);
  });
}

// --- Senders that resume wrongly

const ANNOUNCE = announcement(2, 1, 3);
const PIECES = [Uint8Array.of(1, 2, 3), Uint8Array.of(4, 5), Uint8Array.of(6)];

function hello(connection: number, held: number, number = 7): Uint8Array {
  return encodeHello({
    clusterId: 'cluster',
    from: 2,
    to: 1,
    transfer: { number, connection, held },
  });
}

/** Header, pieces, end. */
function frames(): [Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array] {
  const position = new SnapshotPosition();
  const [first, second, third] = PIECES.map((piece) => Uint8Array.from(position.chunkFrame(piece)));
  const end = Uint8Array.from(position.endFrame());
  return [headerFrame(ANNOUNCE, snapshotAt(9, 3)), first!, second!, third!, end];
}

/** Records what the state machine saw. */
function watch(victim: Victim): string[] {
  const outcomes: string[] = [];
  victim.handler.take = async (_header, chunks) => {
    let bytes = '';
    try {
      for await (const chunk of chunks) bytes += [...chunk].join('');
      outcomes.push(`took ${bytes}`);
    } catch (error) {
      outcomes.push((error as Error).message);
      throw error;
    }
  };
  return outcomes;
}

/** The first two pieces of a transfer, then a break. */
async function twoPieces(victim: Victim): Promise<void> {
  const [header, first, second] = frames();
  const { socket, answers } = await victim.connect(
    [hello(1, 0), header, first, second],
    RAFT_SNAPSHOT_PATH,
  );
  await until('three answers', () => answers.length === 3);
  onlyAt(answers);
  socket.terminate();
}

function onlyAt(answers: readonly Buffer[]): void {
  if (answers.some((frame) => frame[0] !== SnapshotFrame.At)) throw new Error('not an At');
}

function refusal(answers: readonly Buffer[]): string {
  const frame = answers.find(([kind]) => kind === SnapshotFrame.Refused);
  return frame?.subarray(1).toString() ?? '';
}

test('what follows a break is checked like what came before', async (t) => {
  const [header, first, second, third, end] = frames();
  const flipped = Uint8Array.from(third);
  flipped[flipped.length - 1]! ^= 1;
  const cases: [string, readonly Uint8Array[], RegExp][] = [
    ['a repetition', [second, third, end], /piece at 3 follows one that ends at 5/],
    ['the beginning', [first, second, third, end], /piece at 0 follows one that ends at 5/],
    ['a damaged piece', [flipped, end], /checksum differs in the piece at 5/],
    ['an early end', [end], /the end is at 6, the pieces end at 5/],
  ];
  for (const [what, rest, reason] of cases) {
    await Victim.use(async (victim) => {
      const outcomes = watch(victim);
      await twoPieces(victim);
      const { answers } = await victim.connect([hello(2, 3), header, ...rest], RAFT_SNAPSHOT_PATH);
      await until(what, () => outcomes.length > 0 && refusal(answers) !== '');
      t.regex(outcomes[0]!, reason, what);
      t.regex(refusal(answers), reason, what);
      // The transfer is over: the right rest does not bring it back.
      const late = await victim.connect([hello(3, 3), header, third, end], RAFT_SNAPSHOT_PATH);
      await until('a refusal', () => refusal(late.answers) !== '');
      t.is(outcomes.length, 1);
    });
  }
});

test('the right rest completes it, once, and is confirmed as often as asked', async (t) => {
  await Victim.use(async (victim) => {
    const outcomes = watch(victim);
    await twoPieces(victim);
    const [header, , , third, end] = frames();
    for (const connection of [2, 3]) {
      const { answers } = await victim.connect(
        [hello(connection, 5), header, third, end],
        RAFT_SNAPSHOT_PATH,
      );
      await until('taken', () => answers.at(-1)?.[0] === SnapshotFrame.Taken);
    }
    t.deepEqual(outcomes, ['took 123456']);
  });
});

test('a transfer whose beginning is not here is refused', async (t) => {
  await Victim.use(async (victim) => {
    const outcomes = watch(victim);
    const [header, , , third, end] = frames();
    const { answers, closed } = await victim.connect(
      [hello(2, 5), header, third, end],
      RAFT_SNAPSHOT_PATH,
    );
    t.is((await closed).code, CloseCode.Gone);
    t.regex(refusal(answers), /beginning of this snapshot is not here/);
    t.deepEqual(outcomes, []);
  });
});

test('a connection that comes late changes nothing', async (t) => {
  await Victim.use(async (victim) => {
    const outcomes = watch(victim);
    const [header, first, second, third, end] = frames();
    await twoPieces(victim);
    const newer = await victim.connect([hello(3, 3), header], RAFT_SNAPSHOT_PATH);
    await until('where it is', () => newer.answers.length === 1);
    // The second of the same transfer, and the first of an earlier one.
    for (const before of [hello(2, 3), hello(1, 0, 6)]) {
      const { answers } = await victim.connect([before, header, first, second], RAFT_SNAPSHOT_PATH);
      await until('a refusal', () => refusal(answers) !== '');
    }
    newer.socket.send(third);
    newer.socket.send(end);
    await until('taken', () => newer.answers.at(-1)?.[0] === SnapshotFrame.Taken);
    t.deepEqual(outcomes, ['took 123456']);
  });
});

test('a sender that names no transfer gets no frame that it does not know', async (t) => {
  await Victim.use(
    async (victim) => {
      const outcomes = watch(victim);
      const old = encodeHello({ clusterId: 'cluster', from: 2, to: 1 });
      const [header, first, second, third, end] = frames();
      const { socket, answers } = await victim.connect(
        [old, header, first, second, third],
        RAFT_SNAPSHOT_PATH,
      );
      await until('a sign of life', () => answers.length > 1);
      socket.send(end);
      await until('taken', () => answers.at(-1)?.[0] === SnapshotFrame.Taken);
      const kinds = new Set(answers.map(([kind]) => kind));
      t.deepEqual(kinds, new Set([SnapshotFrame.Alive, SnapshotFrame.Taken]));
      t.deepEqual(outcomes, ['took 123456']);
    },
    { snapshotAliveMs: 50 },
  );
});

test('a hello names a transfer whole or not at all', (t) => {
  const good = encodeHello({
    clusterId: 'c',
    from: 1,
    to: 2,
    transfer: { number: 3, connection: 1, held: 0 },
  });
  t.like(decodeHello(good), { transfer: { number: 3, connection: 1, held: 0 } });
  // MessagePack: the list of three at the end becomes a list of two, without its last number.
  const cut = Uint8Array.from(good.subarray(0, -1));
  cut[cut.length - 3] = 0x92;
  t.like(decodeHello(cut), { code: CloseCode.Malformed });
});
