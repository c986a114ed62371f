import { connect, type Socket } from 'node:net';
import { connect as tlsConnect, type TLSSocket } from 'node:tls';
import test, { type ExecutionContext } from 'ava';
import { WebSocket } from 'ws';
import { createKeyRequest, type NodeIdentity, tlsServerOptions } from '@swarm/identity';
import { until } from '@swarm/sim';
import { ADDRESS_SHARE, AGENT_SHARE } from '../../src/port/connection-budgets.js';
import { REQUESTS_AT_ONCE } from '../../src/port/front-door.js';
import { nodeDraft, put } from '@swarm/manager/testing';
import { PortWorld } from './world.js';

/**
 * Longest time for seven honest requests in a row during a flood: half of what a joining node waits for one
 * answer. Alone they take less than a second, but the machine may be busy.
 */
const PATIENCE_MS = 5_000;

let world: PortWorld;
let good: NodeIdentity;
let worker: NodeIdentity;
const open = new Set<Socket>();

test.before(async () => {
  world = await PortWorld.open();
  good = await world.certificate('second', 'manager');
  worker = await world.certificate('worker', 'worker');
  await put(
    world.manager.store,
    'node',
    nodeDraft('second', {
      Spec: { Labels: {}, Role: 'manager', Availability: 'active' },
      Role: 'manager',
    }),
  );
  await put(world.manager.store, 'node', nodeDraft('worker'));
});

/** After any flood nothing leaks. */
test.afterEach.always(async (t) => {
  for (const socket of open) socket.destroy();
  open.clear();
  await until('nothing is open', () => counts().every(([, value]) => value === 0)).catch(() => {});
  t.is(counts().length, 5);
  for (const [name, value] of counts()) t.is(value, 0, `${name} in the end`);
});

test.after.always(() => world?.close());

test.serial('1,500 silent connections from one address keep nobody out', async (t) => {
  const flood = await silent(1500, '127.0.0.2');
  await allAreServed(t);
  t.is(count('unproved'), ADDRESS_SHARE);
  t.true(world.said(/cut a connection/, { remoteAddress: '127.0.0.2' }));
  // The oldest was cut.
  await until(
    'the oldest are cut',
    () => flood.filter((socket) => socket.destroyed).length === 1500 - ADDRESS_SHARE,
  );
  t.true(flood.slice(0, 1000).every((socket) => socket.destroyed));
  t.true(flood.slice(-100).every((socket) => !socket.destroyed));
});

test.serial('silent connections from many addresses keep nobody out', async (t) => {
  const hosts = Array.from({ length: 20 }, (_, i) => `127.0.${i + 1}.9`);
  for (const host of hosts) await silent(100, host);
  await allAreServed(t);
});

test.serial('100 slow bodies and 100 slow heads keep nobody out', async (t) => {
  for (let i = 0; i < 100; i++) {
    const body = await secure(undefined, '127.0.0.3');
    body.write('POST /ca/certificates HTTP/1.1\r\nHost: m\r\nContent-Length: 16384\r\n\r\n');
    body.write(Buffer.alloc(16_000, 0x20));
    const head = await secure(undefined, '127.0.0.3');
    head.write('GET /ca/root HTTP/1.1\r\nHost: m\r\nX-A: ');
  }
  await allAreServed(t);
});

test.serial(
  'a node that keeps sending requests without waiting is cut before it fills the memory',
  async (t) => {
    const greedy = await secure(good, '127.0.0.4');
    const gone = new Promise((resolve) => greedy.once('close', resolve));
    const head = 'GET /events HTTP/1.1\r\nHost: m\r\n\r\n';
    greedy.resume().write(head.repeat(REQUESTS_AT_ONCE));
    await until('one connection is left', () => count('client') === 1);
    t.false(greedy.destroyed);
    greedy.write(head);
    await gone;
    t.is(cuts('pipelined'), 1);
    // Any number of requests one after the other.
    const patient = await secure(good, '127.0.0.4');
    for (let i = 0; i < 3 * REQUESTS_AT_ONCE; i++) {
      patient.write('GET /ca/root HTTP/1.1\r\nHost: m\r\n\r\n');
      const answer = await new Promise<string>((resolve) =>
        patient.once('data', (data) => resolve(String(data))),
      );
      t.regex(answer, /^HTTP\/1.1 200/);
    }
  },
);

test.serial('slow bodies of a worker keep nobody else out', async (t) => {
  for (let i = 0; i < 100; i++) {
    const body = await secure(worker, '127.0.0.4');
    body.write('POST /ca/certificates HTTP/1.1\r\nHost: m\r\nContent-Length: 16384\r\n\r\n');
    body.write(Buffer.alloc(16_000, 0x20));
  }
  t.true(count('client') <= 8, String(count('client')));
  await allAreServed(t);
});

test.serial('a body of an unproved caller or a worker has at most 16 KiB', async (t) => {
  for (const who of [undefined, worker]) {
    const over = await world.request(who, 'POST', '/ca/certificates', {
      body: Buffer.alloc(16 * 1024 + 1, 0x20),
    });
    t.is(over.code, 'TOO_LARGE');
    t.regex(over.message, /16 KiB/);
    const full = await world.request(who, 'POST', '/ca/certificates', {
      body: Buffer.alloc(16 * 1024, 0x20),
    });
    t.not(full.code, 'TOO_LARGE');
  }
});

test.serial(
  'a body that is too long is refused before it is sent, with Expect: 100-continue',
  async (t) => {
    const head = (bytes: number) =>
      'POST /ca/certificates HTTP/1.1\r\nHost: m\r\nExpect: 100-continue\r\n' +
      `Content-Length: ${bytes}\r\n\r\n`;
    const long = await secure(undefined);
    const refused = answer(long);
    long.write(head(16 * 1024 + 1));
    t.regex(await refused, /^HTTP\/1\.1 413/);
    const short = await secure(undefined);
    const taken = answer(short);
    short.write(head(2));
    t.regex(await taken, /^HTTP\/1\.1 100 Continue/);
  },
);

test.serial('an unproved connection may send one request, and learns so', async (t) => {
  const one = await secure(undefined);
  const text = all(one);
  one.write('GET /ca/root HTTP/1.1\r\nHost: m\r\n\r\n');
  t.regex(await text, /^HTTP\/1\.1 200 .*\r\n(?:.+\r\n)*connection: close/i);
  const pipelined = await secure(undefined);
  const ended = all(pipelined);
  pipelined.write('GET /ca/root HTTP/1.1\r\nHost: m\r\n\r\n'.repeat(50));
  t.true((await ended).split('HTTP/1.1 200').length <= 2);
  // Proved callers keep their connection.
  const proved = await secure(good);
  for (let i = 0; i < 3; i++) {
    const next = answer(proved);
    proved.write('GET /raft/probe HTTP/1.1\r\nHost: m\r\n\r\n');
    t.regex(await next, /^HTTP\/1\.1 200/);
  }
});

test.serial('requests of any shape in one write end only their own connection', async (t) => {
  const get = 'GET /ca/root HTTP/1.1\r\nHost: m\r\n\r\n';
  const body = 'GET /swarm HTTP/1.1\r\nHost: m\r\nContent-Length: 4\r\n\r\ntrue';
  const upgrade =
    'GET /dispatcher HTTP/1.1\r\nHost: m\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
  const shapes = [get + body + get, body + body + body, get + get + body + get, get + upgrade];
  for (const [place, written] of shapes.entries()) {
    const socket = await secure(undefined);
    const ended = closed(socket);
    socket.write(written);
    await t.notThrowsAsync(ended, `shape ${place + 1}`);
  }
  t.true(cuts('second request') >= 3);
  await allAreServed(t);
});

test.serial('upgrades without a certificate are refused and the connection ends', async (t) => {
  for (const path of ['/dispatcher', '/raft', '/elsewhere']) {
    const socket = await secure(undefined);
    const text = all(socket);
    socket.write(
      `GET ${path} HTTP/1.1\r\nHost: m\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
    );
    t.regex(await text, /^HTTP\/1\.1 401/);
  }
});

test.serial('a TLS 1.2 client cannot renegotiate', async (t) => {
  const socket = await secure(good, '127.0.0.1', { maxVersion: 'TLSv1.2' });
  const failed = new Promise<Error | null>((resolve) => {
    socket.once('error', resolve);
    socket.renegotiate({}, resolve);
  });
  t.is(((await failed) as NodeJS.ErrnoException | null)?.code, 'ERR_SSL_NO_RENEGOTIATION');
});

test.serial('silence after the handshake ends the connection soon', async (t) => {
  const socket = await secure(undefined);
  const startedAt = performance.now();
  await closed(socket);
  const tookMs = performance.now() - startedAt;
  t.true(tookMs > 3000 && tookMs < 15_000, String(tookMs));
});

test.serial(
  'an unfinished head of a manager times out, and so does a silent connection',
  async (t) => {
    const startedAt = performance.now();
    const lateBefore = cuts('late');
    const [mute] = await silent(1, '127.0.0.5');
    const socket = await secure(good);
    const text = all(socket);
    socket.write('GET /raft/probe HTTP/1.1\r\nHost: m\r\nX-A: ');
    t.regex(await text, /^HTTP\/1\.1 408/);
    await closed(mute!);
    t.true(performance.now() - startedAt > 9000);
    t.is(cuts('late'), lateBefore + 1);
  },
);

test.serial('500 agents have a session each, and one node has its share', async (t) => {
  const names = Array.from({ length: 500 }, (_, i) => `agent-${i}`);
  for (let i = 0; i < names.length; i += 100) {
    await world.manager.store.transact((transaction) => {
      for (const name of names.slice(i, i + 100)) transaction.create('node', nodeDraft(name));
    });
  }
  const identities = await Promise.all(names.map((name) => world.certificate(name, 'worker')));
  const cutBefore = cuts('crowded');
  const sockets: WebSocket[] = [];
  const session = async (identity: NodeIdentity): Promise<void> => {
    const socket = await world.upgrade(identity, '/dispatcher');
    if (!(socket instanceof WebSocket)) return t.fail(socket.message);
    socket.on('error', () => {});
    sockets.push(socket);
  };
  for (let i = 0; i < names.length; i += 50)
    await Promise.all(identities.slice(i, i + 50).map(session));
  t.is(sockets.length, 500);
  t.is(cuts('crowded'), cutBefore);
  for (const socket of sockets.splice(0)) socket.terminate();
  await until('no agent is left', () => count('agent') === 0);
  for (let i = 0; i <= AGENT_SHARE; i++) await session(identities[0]!);
  t.is(count('agent'), AGENT_SHARE);
  t.is(cuts('crowded'), cutBefore + 1);
  for (const socket of sockets) socket.terminate();
});

/** Checks that a join, a manager's request, an agent's session and a member's connection are served soon. */
async function allAreServed(t: ExecutionContext): Promise<void> {
  const startedAt = performance.now();
  const { csr } = await createKeyRequest();
  const token = world.manager.store.cluster()?.JoinTokens.Worker;
  const root = await world.request(undefined, 'GET', '/ca/root');
  t.is(root.status, 200);
  const body = JSON.stringify({ csr, token });
  const join = await world.request(undefined, 'POST', '/ca/certificates', { body });
  t.is(join.status, 200, join.message);
  const probe = await world.request(good, 'GET', '/raft/probe');
  t.is(probe.status, 200, probe.message);
  t.is((await world.request(good, 'GET', '/v1.45/nodes')).status, 200);
  const renewal = await world.request(good, 'POST', '/raft/members', { body: '{}' });
  t.is(renewal.code, 'INVALID_ARGUMENT');
  for (const [who, path] of [
    [worker, '/dispatcher'],
    [good, '/raft'],
  ] as const) {
    const socket = await world.upgrade(who, path);
    t.true(socket instanceof WebSocket, path);
    (socket as WebSocket).terminate();
  }
  const tookMs = performance.now() - startedAt;
  t.true(tookMs < PATIENCE_MS, `all took ${tookMs} ms`);
}

/** Silent TCP connections. */
function silent(many: number, localAddress: string): Promise<Socket[]> {
  return Promise.all(
    Array.from({ length: many }, () => {
      const socket = connect({ port: world.port, host: '127.0.0.1', localAddress });
      open.add(socket);
      socket.on('error', () => {}).resume();
      return new Promise<Socket>((resolve) => {
        socket.once('connect', () => resolve(socket));
        socket.once('close', () => resolve(socket));
      });
    }),
  );
}

function secure(
  who: NodeIdentity | undefined,
  localAddress = '127.0.0.1',
  more: { maxVersion?: 'TLSv1.2' } = {},
): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const own = who === undefined ? {} : tlsServerOptions(who);
    const raw = connect({ port: world.port, host: '127.0.0.1', localAddress });
    open.add(raw);
    raw.on('error', reject);
    const socket = tlsConnect({ ...own, ...more, socket: raw, rejectUnauthorized: false }, () =>
      resolve(socket),
    );
    socket.on('error', reject);
  });
}

/** The next bytes received. */
function answer(socket: TLSSocket): Promise<string> {
  return new Promise((resolve) => socket.once('data', (data) => resolve(data.toString())));
}

/** All bytes until the end. */
async function all(socket: TLSSocket): Promise<string> {
  let text = '';
  socket.on('data', (data) => {
    text += data.toString();
  });
  await closed(socket);
  return text;
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.resume();
    if (socket.destroyed) resolve();
    else socket.once('close', () => resolve());
  });
}

function counts(): [string, number][] {
  return measured('swarm_port_connections', 'class');
}

function cuts(why: 'crowded' | 'late' | 'second request' | 'pipelined'): number {
  const all = new Map(measured('swarm_port_connections_cut_total', 'why'));
  return all.get(why) ?? Number.NaN;
}

function measured(metricName: string, label: string): [string, number][] {
  const metrics = world.manager.portMetrics();
  const metric = metrics.find(({ name }) => name === metricName);
  if (metric === undefined || metric.kind === 'histogram') return [];
  return metric.values.map(({ labels, value }) => [labels?.[label] ?? '', value]);
}

function count(name: string): number {
  return counts().find(([each]) => each === name)?.[1] ?? Number.NaN;
}
