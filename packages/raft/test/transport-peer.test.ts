import { EventEmitter } from 'node:events';
import test from 'ava';
import type { WebSocket } from 'ws';
import { VirtualClock } from '@swarm/sim';
import { encodeHello } from '../src/transport/hello.js';
import { DEFAULT_TRANSPORT_LIMITS as LIMITS } from '../src/transport/limits.js';
import { Peer } from '../src/transport/peer.js';
import { heartbeat } from './support/messages.js';
import { LineLog } from './contract/ws-fixture.js';

/** A socket that does what the test says. */
class FakeSocket extends EventEmitter {
  readyState = 0;
  bufferedAmount = 0;
  readonly sent: Uint8Array[] = [];
  send(frame: Uint8Array): void {
    this.sent.push(frame);
  }
  ping(): void {}
  terminate(): void {
    this.fail();
  }
  close(): void {
    this.fail();
  }
  open(): void {
    this.readyState = 1;
    this.emit('open');
  }
  fail(): void {
    this.readyState = 3;
    this.emit('close', 1006, Buffer.alloc(0));
  }
}

function setup(): {
  clock: VirtualClock;
  peer: Peer;
  sockets: FakeSocket[];
  connectedMs: number[];
  lost: () => number;
} {
  const clock = new VirtualClock();
  const sockets: FakeSocket[] = [];
  const connectedMs: number[] = [];
  let lost = 0;
  const peer = new Peer(
    {
      member: { id: 2, address: 'two.example:2377', nodeId: 'node-2' },
      hello: { clusterId: 'cluster', from: 1, to: 2 },
      connect: () => {
        connectedMs.push(clock.monotonicMs());
        sockets.push(new FakeSocket());
        return sockets.at(-1) as unknown as WebSocket;
      },
      limits: LIMITS,
      // The longest wait that jitter gives.
      environment: { clock, random: () => 1, logger: new LineLog() },
    },
    {
      frame: () => {},
      unreachable: () => {
        lost++;
      },
    },
  );
  return { clock, peer, sockets, connectedMs, lost: () => lost };
}

test('waits between attempts double up to a second', async (t) => {
  const { clock, peer, sockets, connectedMs } = setup();
  const waits: number[] = [];
  for (let attempt = 0; attempt < 7; attempt++) {
    const failedMs = clock.monotonicMs();
    sockets.at(-1)!.fail();
    await clock.advance(LIMITS.reconnectMaxMs);
    waits.push(connectedMs.at(-1)! - failedMs);
  }
  t.deepEqual(waits, [50, 100, 200, 400, 800, 1000, 1000]);
  peer.close();
  t.is(clock.pending, 0);
});

test('an attempt that hangs is given up, and the messages that waited for it are reported lost', async (t) => {
  const { clock, peer, connectedMs, lost } = setup();
  peer.send(heartbeat(1, 2));
  peer.flush();
  t.is(lost(), 0);
  await clock.advance(LIMITS.connectMs);
  t.is(lost(), 1);
  await clock.advance(LIMITS.reconnectMs);
  t.deepEqual(connectedMs, [0, LIMITS.connectMs + LIMITS.reconnectMs]);
  peer.close();
});

test('messages wait for a connection being made and follow the hello', (t) => {
  const { peer, sockets, lost } = setup();
  peer.send(heartbeat(1, 2));
  peer.flush();
  const [socket] = sockets;
  socket!.open();
  t.is(socket!.sent.length, 2);
  t.deepEqual(socket!.sent[0], encodeHello({ clusterId: 'cluster', from: 1, to: 2 }));
  t.is(lost(), 0);
  peer.close();
});

test('waits start from the shortest again only after a connection that lasted', async (t) => {
  const { clock, peer, sockets, connectedMs } = setup();
  const next = async (heldMs: number): Promise<number> => {
    sockets.at(-1)!.open();
    await clock.advance(heldMs);
    sockets.at(-1)!.fail();
    const endedMs = clock.monotonicMs();
    await clock.advance(LIMITS.reconnectMaxMs);
    return connectedMs.at(-1)! - endedMs;
  };
  t.deepEqual([await next(0), await next(0), await next(0)], [50, 100, 200]);
  t.is(await next(LIMITS.stableMs), 50);
  peer.close();
});

test('a member that shows itself is connected to at once', async (t) => {
  const { clock, peer, sockets, connectedMs } = setup();
  for (let attempt = 0; attempt < 5; attempt++) {
    sockets.at(-1)!.fail();
    await clock.advance(LIMITS.reconnectMaxMs);
  }
  sockets.at(-1)!.fail();
  const attempts = connectedMs.length;
  peer.hurry();
  t.is(connectedMs.length, attempts + 1);
  peer.hurry();
  t.is(connectedMs.length, attempts + 1);
  peer.close();
  // The report of the loss no longer has a receiver.
  await clock.advance(0);
  t.is(clock.pending, 0);
});
