import { connect, type Socket } from 'node:net';
import { connect as tlsConnect, type TLSSocket } from 'node:tls';
import test from 'ava';
import { WebSocket } from 'ws';
import { type NodeIdentity, tlsServerOptions } from '@swarm/identity';
import { nodeDraft, put } from '@swarm/manager/testing';
import { until } from '@swarm/sim';
import { PortWorld } from './world.js';

let world: PortWorld;
let good: NodeIdentity;

test.before(async () => {
  world = await PortWorld.open();
  good = await world.certificate('second', 'manager');
  const draft = nodeDraft('second', {
    Spec: { Labels: {}, Role: 'manager', Availability: 'active' },
    Role: 'manager',
  });
  await put(world.manager.store, 'node', draft);
  await put(world.manager.store, 'node', nodeDraft('worker'));
});

test.after.always(() => world?.close());

/** After any input the manager goes on. */
test.afterEach.always(async (t) => {
  t.is((await world.request(good, 'GET', '/raft/probe')).status, 200);
});

test.serial(
  'garbage and plain HTTP on the TLS port end only that connection, and are logged',
  async (t) => {
    for (const sent of [
      Buffer.from('GET / HTTP/1.1\r\nHost: m\r\n\r\n'),
      Buffer.from('\x16\x03\x01\x00\x05garbage, not a hello'),
      Buffer.alloc(100_000, 0xff),
      Buffer.from([0x16, 0x03, 0x01, 0xff, 0xff]),
    ]) {
      world.lines.length = 0;
      const socket = connect(world.port, '127.0.0.1');
      socket.on('error', () => {});
      socket.end(sent);
      await closed(socket);
      await until('the log says so', () =>
        world.said(/failed its TLS handshake|handshake was broken off/),
      );
    }
    t.pass();
  },
);

test.serial('bytes that are not HTTP, and a head of 1 MB, are answered and logged', async (t) => {
  world.lines.length = 0;
  t.regex(await raw('NONSENSE\r\n\r\n'), /^HTTP\/1\.1 400/);
  t.true(world.said(/was not HTTP/));
  const big = `GET /raft/probe HTTP/1.1\r\nHost: m\r\nX-Big: ${'a'.repeat(1024 * 1024)}\r\n\r\n`;
  world.lines.length = 0;
  t.regex(await raw(big), /^HTTP\/1\.1 431/);
  t.is(world.lines.filter((line) => line.level === 'warn').length, 1);
});

test.serial('a body over the limit is answered while it still arrives', async (t) => {
  const body = Buffer.alloc(3 * 1024 * 1024, 0x20);
  const answer = await world.request(undefined, 'POST', '/ca/certificates', { body });
  t.is(answer.status, 413);
  t.is(answer.code, 'TOO_LARGE');
  const chunked = await raw(
    `POST /ca/certificates HTTP/1.1\r\nHost: m\r\nTransfer-Encoding: chunked\r\n\r\n${`10000\r\n${' '.repeat(65536)}\r\n`.repeat(3)}`,
  );
  t.regex(chunked, /^HTTP\/1\.1 413/);
});

test.serial('bodies that are not JSON, or not a certificate request, are refused', async (t) => {
  for (const body of ['{', 'null', '[]', '7', '"x"', '{"csr":1}', '{"csr":"x"}', '\xff\xfe']) {
    const answer = await world.request(undefined, 'POST', '/ca/certificates', { body });
    t.true(answer.status === 400 || answer.status === 401, `${body}: ${answer.status}`);
    t.true(answer.message.length > 10);
  }
  const bad = await world.request(undefined, 'POST', '/ca/certificates', { body: '{' });
  t.is(bad.status, 400);
  t.regex(bad.message, /JSON/);
});

test.serial('unknown paths and methods get their own errors', async (t) => {
  t.is((await world.request(good, 'GET', '/no/such/path')).status, 404);
  t.is((await world.request(good, 'PUT', '/raft/members')).status, 404);
  t.is((await world.request(undefined, 'GET', '/no/such/path')).status, 401);
  t.is((await world.request(good, 'GET', '/constructor')).status, 404);
  for (const path of ['/nowhere', '/raft/other', '/dispatcher/more', '/%']) {
    const answer = await world.upgrade(good, path);
    if (answer instanceof WebSocket) {
      answer.terminate();
      t.fail(path);
    } else t.true(answer.status === 404 || answer.status === 400, `${path}: ${answer.status}`);
  }
});

test.serial('unreadable Raft frames end the connection with a code that says so', async (t) => {
  for (const frames of [
    ['text'],
    [Buffer.from('no hello')],
    [Buffer.alloc(0)],
    [Buffer.alloc(1024 * 1024, 7)],
  ]) {
    const socket = (await world.upgrade(good, '/raft')) as WebSocket;
    t.true(socket instanceof WebSocket);
    const code = new Promise<number>((resolve) => socket.once('close', resolve));
    for (const frame of frames) socket.send(frame);
    t.true([4000, 4004].includes(await code), String(await code));
  }
});

test.serial('only a manager says where it is, and only for itself', async (t) => {
  const listed = async () =>
    ((await world.request(good, 'GET', '/raft/members')).json as { address: string }[]).map(
      ({ address }) => address,
    );
  const claim = async (who: NodeIdentity, address: string): Promise<boolean> => {
    const headers = { 'x-swarm-manager-address': address };
    const opened = await world.upgrade(who, '/raft', { headers });
    if (opened instanceof WebSocket) opened.terminate();
    return opened instanceof WebSocket;
  };
  const before = await listed();
  const elsewhere = '127.0.0.1:9';
  t.false(await claim(await world.certificate('worker', 'worker'), elsewhere));
  t.true(await claim(good, elsewhere), 'a manager that is no member speaks for itself');
  t.true(await claim(world.own, 'no address'));
  t.deepEqual(await listed(), before);
  t.true(await claim(world.own, elsewhere));
  t.deepEqual(await listed(), [elsewhere]);
  t.true(await claim(world.own, before[0]!));
  t.deepEqual(await listed(), before);
});

test.serial(
  'a broken session of an agent, or one that is not a WebSocket, ends alone',
  async (t) => {
    const worker = await world.certificate('worker', 'worker');
    const socket = (await world.upgrade(worker, '/dispatcher')) as WebSocket;
    const code = new Promise<number>((resolve) => socket.once('close', resolve));
    socket.send(Buffer.from('no message'));
    t.true((await code) >= 1000);
    const answer = await raw(
      'GET /dispatcher HTTP/1.1\r\nHost: m\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
    );
    t.regex(answer, /^HTTP\/1\.1 400/);
  },
);

test.serial('a manager stops at once despite open connections', async (t) => {
  const other = await PortWorld.open();
  await put(other.manager.store, 'node', nodeDraft('worker'));
  const sockets = await Promise.all([open(other, undefined), open(other, good), half(other.port)]);
  const agent = (await other.upgrade(
    await other.certificate('worker', 'worker'),
    '/dispatcher',
  )) as WebSocket;
  agent.on('error', () => {});
  const ends = sockets.map((socket) => closed(socket));
  const startedAt = performance.now();
  await other.close();
  t.true(performance.now() - startedAt < 2000);
  await Promise.all(ends);
  t.is(agent.readyState === WebSocket.OPEN, false);
});

/** Sends bytes as a manager and returns the whole answer. */
async function raw(text: string): Promise<string> {
  const socket = await open(world, good);
  let answer = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    answer += chunk;
  });
  socket.write(text);
  await until('the head is whole', () => answer.includes('\r\n\r\n'));
  socket.destroy();
  return answer;
}

function open(to: PortWorld, who: NodeIdentity | undefined): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const own = who === undefined ? {} : tlsServerOptions(who);
    const socket = tlsConnect(
      { ...own, port: to.port, host: '127.0.0.1', rejectUnauthorized: false },
      () => resolve(socket),
    );
    socket.on('error', reject);
  });
}

/** A connection that never sends anything. */
function half(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket));
    socket.on('error', reject);
  });
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.resume();
    if (socket.destroyed) resolve();
    else socket.once('close', () => resolve());
  });
}
