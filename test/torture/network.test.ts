import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import { until } from '../lab/index.js';
import { Network } from './network.js';

/** Longer than bytes take on loopback: what has not arrived by then is held. */
const QUIET_MS = 200;

/** Host a dials host b, which listens; both record what they hear. */
class Dialled {
  readonly network: Network;
  readonly heardByB: string[] = [];
  readonly heardByA: string[] = [];
  private readonly server = createServer((socket) => {
    this.b = socket.on('error', () => {});
    socket.on('data', (bytes) => this.heardByB.push(String(bytes)));
  });
  private b: Socket | undefined;
  private readonly sockets: Socket[] = [];

  private constructor(network: Network) {
    this.network = network;
  }

  static async up(): Promise<Dialled> {
    const dialled = new Dialled(await Network.up(['a', 'b']));
    dialled.server.listen(0, '127.0.0.1');
    await once(dialled.server, 'listening');
    dialled.network.setTarget(1, (dialled.server.address() as AddressInfo).port);
    return dialled;
  }

  dial(): Socket {
    const socket = connect(this.network.routes[0]!.b!, '127.0.0.1').on('error', () => {});
    socket.on('data', (bytes) => this.heardByA.push(String(bytes)));
    this.sockets.push(socket);
    return socket;
  }

  async accepted(): Promise<Socket> {
    return await until('b is dialled', () => this.b);
  }

  async down(): Promise<void> {
    for (const socket of [...this.sockets, this.b]) socket?.destroy();
    this.server.close();
    await this.network.down();
  }
}

test('bytes sent one way while that is held arrive later; the other way they arrive at once', async (t) => {
  const dialled = await Dialled.up();
  try {
    const a = dialled.dial();
    const b = await dialled.accepted();
    dialled.network.holdOneWay(0, 1);
    a.write('from a');
    b.write('from b');
    await until('a hears b', () => dialled.heardByA.join('') === 'from b');
    await delay(QUIET_MS);
    t.deepEqual(dialled.heardByB, []);
    dialled.network.heal(false);
    await until('b hears a', () => dialled.heardByB.join('') === 'from a');
  } finally {
    await dialled.down();
  }
});

test('a cut link breaks connections and refuses new ones until it is mended', async (t) => {
  const dialled = await Dialled.up();
  try {
    const first = dialled.dial();
    await dialled.accepted();
    dialled.network.cut(0, 1);
    await until('the connection is broken', () => first.destroyed);
    const second = dialled.dial();
    await until('another is refused', () => second.destroyed);
    dialled.network.heal(false);
    dialled.dial().write('again');
    await until('b hears a', () => dialled.heardByB.join('') === 'again');
    t.pass();
  } finally {
    await dialled.down();
  }
});

test('held bytes can be lost with their connection', async (t) => {
  const dialled = await Dialled.up();
  try {
    const a = dialled.dial();
    await dialled.accepted();
    dialled.network.hold(0, 1);
    a.write('lost');
    await delay(QUIET_MS);
    dialled.network.heal(true);
    await until('the connection is broken', () => a.destroyed);
    await delay(QUIET_MS);
    t.deepEqual(dialled.heardByB, []);
  } finally {
    await dialled.down();
  }
});

test('a sender has to wait when too much is held', async (t) => {
  const dialled = await Dialled.up();
  try {
    const a = dialled.dial();
    await dialled.accepted();
    dialled.network.hold(0, 1);
    const piece = Buffer.alloc(1024 * 1024);
    // The kernel's buffers on the way take a few megabytes.
    for (let i = 0; i < 64; i++) a.write(piece);
    await delay(QUIET_MS);
    t.true(a.writableLength > 0);
    dialled.network.heal(false);
    await until('all has arrived', () => a.writableLength === 0);
  } finally {
    await dialled.down();
  }
});
