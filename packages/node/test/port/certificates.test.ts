import { X509Certificate } from 'node:crypto';
import { connect as tlsConnect, type TLSSocket } from 'node:tls';
import { ApiError, clientVersion, PROGRAM } from '@swarm/api';
import test from 'ava';
import { WebSocket } from 'ws';
import { ALL_RIGHTS, type NodeIdentity, tlsServerOptions } from '@swarm/identity';
import { removeNode } from '@swarm/manager/testing';
import { DAY_MS, identity, root } from '@swarm/manager/testing';
import { nodeDraft, put } from '@swarm/manager/testing';
import { until } from '@swarm/sim';
import { type Answer, PortWorld } from './world.js';

let world: PortWorld;
let good: NodeIdentity;

test.before(async () => {
  world = await PortWorld.open();
  good = await world.certificate('second', 'manager');
  await put(world.manager.store, 'node', nodeDraft('second', manager('second')));
});

test.after.always(() => world?.close());

/** After any refusal the manager goes on. */
test.afterEach.always(async (t) => {
  t.is((await world.request(good, 'GET', '/raft/probe')).status, 200);
});

interface Case {
  readonly who: string;
  readonly certificate: () => Promise<NodeIdentity | undefined>;
  readonly status: number;
  readonly code: string;
  readonly message: RegExp;
  /** WebSocket paths that refuse it. */
  readonly upgrades: readonly string[];
}

const EVERYWHERE = ['/dispatcher', '/raft', '/raft/snapshot', '/nowhere'];
const ONLY_MANAGERS = ['/raft', '/raft/snapshot', '/nowhere'];

const CASES: readonly Case[] = [
  {
    who: 'without a certificate',
    certificate: async () => undefined,
    status: 401,
    code: 'UNAUTHENTICATED',
    message: /No certificate was presented.*join/,
    upgrades: EVERYWHERE,
  },
  {
    who: 'with the certificate of another cluster',
    certificate: async () => identity(await root(Date.now()), Date.now(), { role: 'manager' }),
    status: 401,
    code: 'UNAUTHENTICATED',
    message: /not issued by this cluster.*swarm leave --force/,
    upgrades: EVERYWHERE,
  },
  {
    who: 'with an expired certificate',
    certificate: () =>
      world.certificate('late', 'manager', {
        nowMs: Date.now() - 40 * DAY_MS,
        lifeMs: 30 * DAY_MS,
      }),
    status: 401,
    code: 'CERTIFICATE_EXPIRED',
    message: /expired at 20\d\d-.*swarm leave --force.*join/,
    upgrades: EVERYWHERE,
  },
  {
    who: 'with the certificate of a worker',
    certificate: async () => {
      await known('worker');
      return world.certificate('worker', 'worker');
    },
    status: 403,
    code: 'PERMISSION_DENIED',
    message: /needs a manager's certificate; node worker is a worker/,
    upgrades: ONLY_MANAGERS,
  },
  {
    who: 'with the certificate of a removed node',
    certificate: async () => {
      const { store } = world.manager;
      if (store.get('node', 'gone') === undefined && !isRemoved('gone')) {
        await put(store, 'node', nodeDraft('gone'));
        await store.transact((transaction) => removeNode(transaction, 'gone', Date.now()));
      }
      return world.certificate('gone', 'manager');
    },
    status: 403,
    code: 'PERMISSION_DENIED',
    message: /Node gone was removed from the cluster.*swarm leave --force/,
    upgrades: EVERYWHERE,
  },
  {
    who: 'with the certificate of a worker that the store does not know',
    certificate: () => world.certificate('stranger', 'worker'),
    status: 403,
    code: 'UNKNOWN_NODE',
    message: /This cluster does not know node stranger: .*swarm leave --force.*join/,
    upgrades: EVERYWHERE,
  },
  {
    who: 'with the certificate of a manager that the store does not know',
    certificate: () => world.certificate('stranger', 'manager'),
    status: 403,
    code: 'UNKNOWN_NODE',
    message: /This cluster does not know node stranger: .*swarm leave --force.*join/,
    upgrades: EVERYWHERE,
  },
  {
    who: 'with the old certificate of a demoted manager',
    certificate: async () => {
      const certificate = await world.certificate('demoted', 'manager');
      await known('demoted');
      return certificate;
    },
    status: 403,
    code: 'PERMISSION_DENIED',
    message: /Node demoted was demoted/,
    upgrades: ONLY_MANAGERS,
  },
];

for (const { who, certificate, status, code, message, upgrades } of CASES) {
  test.serial(
    `a peer ${who} gets the reason, over HTTP and WebSocket, and is logged`,
    async (t) => {
      const given = await certificate();
      const refused = (answer: Answer, where: string) => {
        t.is(answer.status, status, where);
        t.is(answer.code, code, where);
        t.regex(answer.message, message, where);
      };
      for (const [method, path] of [
        ['GET', '/nodes'],
        ['POST', '/v1.44/services/create'],
        ['GET', '/raft/members'],
        ['POST', '/raft/members'],
        ['DELETE', '/raft/members'],
        ['GET', '/raft/probe'],
        ['GET', '/raft'],
      ] as const) {
        world.lines.length = 0;
        const body = method === 'POST' ? '{"raftId":7,"address":"127.0.0.1:1"}' : undefined;
        refused(
          await world.request(given, method, path, body === undefined ? {} : { body }),
          `${method} ${path}`,
        );
      }
      for (const path of upgrades) {
        world.lines.length = 0;
        const answer = await world.upgrade(given, path);
        if (answer instanceof WebSocket) {
          answer.terminate();
          t.fail(`${path} was opened`);
        } else refused(answer, path);
      }
      for (const path of EVERYWHERE.filter((each) => !upgrades.includes(each))) {
        const opened = await world.upgrade(given, path);
        t.true(opened instanceof WebSocket, `${path} is for all nodes`);
        (opened as WebSocket).terminate();
      }
    },
  );
}

test.serial(
  'only a node that the cluster’s CA knows and its store does not is a stranger',
  async (t) => {
    const fresh = await PortWorld.open();
    try {
      const foreign = await identity(await root(Date.now()), Date.now(), { nodeId: 'forged' });
      await fresh.upgrade(foreign, '/dispatcher');
      await fresh.upgrade(undefined, '/dispatcher');
      t.deepEqual(fresh.manager.strangers(), []);
      const late = await fresh.certificate('late', 'worker');
      await fresh.upgrade(late, '/dispatcher');
      t.like(fresh.manager.strangers(), [{ nodeId: 'late', address: '127.0.0.1' }]);
      const metric = fresh.manager.portMetrics().find(({ name }) => name === 'swarm_strangers');
      t.like(metric, { kind: 'gauge', values: [{ value: 1 }] });
    } finally {
      await fresh.close();
    }
  },
);

test.serial('a refusal is logged with who, what and why', async (t) => {
  const fresh = await PortWorld.open();
  try {
    const foreign = await identity(await root(Date.now()), Date.now(), { role: 'manager' });
    await fresh.request(foreign, 'GET', '/raft/members');
    await fresh.upgrade(foreign, '/raft');
    for (const [method, path] of [
      ['GET', '/raft/members'],
      ['GET', '/raft'],
    ]) {
      t.true(
        fresh.said(/refused a request/, {
          method,
          path,
          code: 'UNAUTHENTICATED',
          remoteAddress: '127.0.0.1',
        }),
        path,
      );
    }
    // Repeated refusals do not fill the disk.
    for (let i = 0; i < 40; i++) await fresh.request(foreign, 'GET', '/raft/members');
    t.is(fresh.lines.filter(({ message }) => message.startsWith('refused')).length, 20);
  } finally {
    await fresh.close();
  }
});

test.serial(
  'a certificate that expires while its node is connected is refused the next time',
  async (t) => {
    const shortly = await world.certificate('brief', 'manager', { lifeMs: DAY_MS });
    await put(world.manager.store, 'node', nodeDraft('brief', manager('brief')));
    t.is((await world.request(shortly, 'GET', '/raft/probe')).status, 200);
    world.time.offsetMs = 2 * DAY_MS;
    try {
      const answer = await world.request(shortly, 'GET', '/raft/probe');
      t.is(answer.status, 401);
      t.is(answer.code, 'CERTIFICATE_EXPIRED');
    } finally {
      world.time.offsetMs = 0;
    }
  },
);

test.serial('a renewed certificate is used for new connections, and open ones go on', async (t) => {
  const before = new X509Certificate(world.own.certificate).fingerprint256;
  const { key, cert } = tlsServerOptions(good);
  const standing = tlsConnect({
    port: world.port,
    host: '127.0.0.1',
    key,
    cert,
    rejectUnauthorized: false,
  });
  await new Promise((resolve, reject) => {
    standing.once('secureConnect', resolve).once('error', reject);
  });
  t.is(standing.getPeerX509Certificate()?.fingerprint256, before);
  await world.renew();
  const after = new X509Certificate(world.own.certificate).fingerprint256;
  t.not(after, before);
  t.is(await presented(), after);
  standing.write('GET /raft/probe HTTP/1.1\r\nHost: m\r\n\r\n');
  const text = await new Promise<string>((resolve, reject) => {
    standing.once('data', (data) => resolve(String(data))).once('error', reject);
  });
  t.regex(text, /^HTTP\/1\.1 200/);
  standing.destroy();
});

test.serial('a node whose role changed gets its certificate with the next renewal', async (t) => {
  const { createKeyRequest, certificateSubject } = await import('@swarm/identity');
  const { store } = world.manager;
  await put(store, 'node', nodeDraft('changing'));
  const old = await world.certificate('changing', 'worker');
  const ask = async (who: NodeIdentity) => {
    const { csr } = await createKeyRequest();
    const answer = await world.request(who, 'POST', '/ca/certificates', {
      body: JSON.stringify({ csr }),
    });
    t.is(answer.status, 200, answer.message);
    return certificateSubject((answer.json as { certificate: string }).certificate);
  };
  t.is((await ask(old)).role, 'worker');
  await setRole('changing', 'manager');
  t.deepEqual(await ask(old), { nodeId: 'changing', role: 'manager', clusterId: 'cluster' });
  await setRole('changing', 'worker');
  t.is((await ask(await world.certificate('changing', 'manager'))).role, 'worker');
});

test.serial(
  'only a node that should be a manager joins the Raft group, under its own id',
  async (t) => {
    const join = (who: NodeIdentity, said: unknown, headers = {}) => {
      const isBody = typeof said === 'object' && said !== null;
      const body = JSON.stringify(isBody ? { program: PROGRAM, ...said } : said);
      return world.request(who, 'POST', '/raft/members', { body, headers });
    };
    const unreachable = await join(good, { raftId: 77, address: '127.0.0.1:1' });
    t.is(unreachable.status, 400);
    t.regex(
      unreachable.message,
      /can ?not reach the new manager at 127\.0\.0\.1:1 .*--advertise-addr/,
    );
    const other = await join(good, { raftId: 78, address: `127.0.0.1:${world.port}` });
    t.regex(other.message, /is node first, not second/);
    const own = world.raftId;
    const stolen = await join(good, { raftId: own, address: `127.0.0.1:${world.port}` });
    t.is(stolen.status, 409);
    t.is(world.manager.members().length, 1);
    for (const body of [
      {},
      { raftId: 0, address: 'a:1' },
      { raftId: 1.5, address: 'a:1' },
      7,
      null,
    ])
      t.is((await join(good, body)).status, 400);
    t.is((await join(good, { raftId: 5, address: 'nowhere' })).status, 400);
    const { Newest } = PROGRAM.FeatureLevel;
    const program = { ...PROGRAM, FeatureLevel: { Oldest: 1, Newest: Newest - 1 } };
    const old = await join(good, { raftId: 5, address: '127.0.0.1:1', program });
    t.is(old.status, 400);
    t.regex(old.message, /at feature level \d, and node second runs .* upgrade node second first/);
    const nobody = await world.certificate('nobody', 'manager');
    const unknown = await join(nobody, { raftId: 5, address: '127.0.0.1:1' });
    t.is(unknown.status, 403);
    t.regex(unknown.message, /does not know node/);
  },
);

test.serial('a forwarded request that names no peer is refused', async (t) => {
  const headers = (said: string) => ({ headers: { 'x-swarm-peer': said }, body: '{}' });
  for (const said of [
    '{',
    '[]',
    '{"remoteAddress":1}',
    '{"remoteAddress":"a"}',
    '{"remoteAddress":"127.0.0.1","proof":{}}',
    posing({ nodeId: '../first' }),
    posing({ role: 'admin' }),
    ' '.repeat(2000),
  ]) {
    const answer = await world.request(good, 'POST', '/ca/certificates', headers(said));
    t.is(answer.status, 400, said);
    t.regex(answer.message, /x-swarm-peer/);
  }
});

test.serial(
  'only a manager may name another peer, and a demoted one gets nothing in its own name',
  async (t) => {
    const { createKeyRequest } = await import('@swarm/identity');
    await known('worker2');
    await known('demoted');
    // An honest manager that is being demoted forwards a worker's request, with the worker's key.
    for (const who of [
      await world.certificate('worker2', 'worker'),
      await world.certificate('demoted', 'manager'),
    ]) {
      const { csr } = await createKeyRequest();
      for (const said of [posing(), posing({ nodeId: 'worker2', role: 'worker' })]) {
        const headers = { 'x-swarm-peer': said, 'x-swarm-forwarded-by': 'first' };
        const ask = (method: string, path: string, body = '') =>
          world.request(who, method, path, { body, headers });
        const answer = await ask('POST', '/ca/certificates', JSON.stringify({ csr }));
        t.is(answer.code, 'NOT_IN_SWARM');
        t.regex(answer.message, /ask another/);
        const body = '{"raftId":7,"address":"127.0.0.1:1"}';
        t.is((await ask('POST', '/raft/members', body)).code, 'NOT_IN_SWARM');
        t.is((await ask('DELETE', '/raft/members')).code, 'NOT_IN_SWARM');
        t.is((await ask('GET', '/swarm')).status, 403);
        t.is((await ask('POST', '/swarm/update?version=1', '{}')).status, 403);
      }
    }
  },
);

test.serial('the rights of a peer that a manager names are checked again', async (t) => {
  await known('demoted');
  const asks = (said: string, method: string, path: string, forwardedBy = 'second') =>
    world.request(good, method, path, {
      headers: { 'x-swarm-peer': said, 'x-swarm-forwarded-by': forwardedBy },
      ...(method === 'POST' ? { body: '{"raftId":7,"address":"127.0.0.1:1"}' } : {}),
    });
  for (const nodeId of ['demoted', 'stranger']) {
    const said = posing({ nodeId });
    for (const [method, path] of [
      ['POST', '/raft/members'],
      ['DELETE', '/raft/members'],
      ['GET', '/nodes'],
      ['DELETE', '/nodes/demoted'],
    ] as const)
      t.is((await asks(said, method, path)).status, 403, `${nodeId} ${method} ${path}`);
  }
  const expired = posing({}, { expiresAtMs: Date.now() - DAY_MS });
  t.is((await asks(expired, 'GET', '/nodes')).code, 'CERTIFICATE_EXPIRED');
  t.is((await asks(posing(), 'GET', '/nodes')).status, 200);
  t.is((await asks(posing(), 'GET', '/nodes', 'first')).status, 400, 'it forwards as itself only');
  t.is((await asks(posing(), 'GET', '/swarm')).status, 400, 'every manager answers this itself');
});

test.serial('a node that leaves the cluster loses its open connections, streams too', async (t) => {
  const { store } = world.manager;
  await put(store, 'node', nodeDraft('leaving', manager('leaving')));
  const who = await world.certificate('leaving', 'manager');
  const agent = (await world.upgrade(who, '/dispatcher')) as WebSocket;
  const raft = (await world.upgrade(who, '/raft')) as WebSocket;
  const events = await stream(who, '/events');
  const idle = await stream(who, '/_ping');
  const ends = [ended(raft), ended(events), ended(idle)];
  await setRole('leaving', 'worker');
  await Promise.all(ends);
  t.is(agent.readyState, WebSocket.OPEN, 'a worker has its session');
  const end = ended(agent);
  await until('the node is removed', async () => {
    try {
      await store.transact((transaction) => removeNode(transaction, 'leaving', Date.now()));
      return true;
    } catch (error) {
      if (error instanceof ApiError && error.code === 'OUT_OF_SEQUENCE') return false;
      throw error;
    }
  });
  await end;
  t.is((await world.request(who, 'GET', '/_ping')).status, 403);
});

test.serial(
  'a stream is cut when the right to it ends, even if its connection had other requests since',
  async (t) => {
    await put(world.manager.store, 'node', nodeDraft('sly', manager('sly')));
    const who = await world.certificate('sly', 'manager');
    const { store } = world.manager;
    const events = await stream(who, '/events');
    const session = await stream(who, '/events');
    const ends = [ended(events), ended(session)];
    // A worker may request these too.
    events.write('GET /ca/root HTTP/1.1\r\nHost: m\r\n\r\n');
    session.write(
      'GET /dispatcher HTTP/1.1\r\nHost: m\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
        'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
    );
    // Answered on another connection, so the earlier requests on these have been read.
    t.is((await world.request(who, 'GET', '/_ping')).status, 200);
    t.false(events.destroyed || session.destroyed);
    await setRole('sly', 'worker');
    await Promise.all(ends);
    t.is(store.get('node', 'sly')?.Spec.Role, 'worker');
  },
);

test.serial('every row of the table of rights is served', async (t) => {
  for (const [row, right] of ALL_RIGHTS.entries()) {
    const [method, pattern] = right.split(' ') as [string, string?];
    if (pattern === undefined || method === 'message') continue;
    const path = pattern.replace(/\{[^}]+\}/g, 'x');
    if (method === 'UPGRADE') {
      const opened = await world.upgrade(good, path);
      t.true(opened instanceof WebSocket, right);
      (opened as WebSocket).terminate();
      continue;
    }
    if (pattern === '/events') continue;
    // A node of its own, because the row ends its being a manager.
    await put(world.manager.store, 'node', nodeDraft(`row${row}`, manager(`row${row}`)));
    const who = await world.certificate(`row${row}`, 'manager');
    const answer = await world.request(who, method, path, method === 'POST' ? { body: '{}' } : {});
    t.false(/page not found/.test(answer.message), `${right}: ${answer.message}`);
    t.not(answer.status, 405, right);
  }
});

/** Stores a node, as a worker. */
async function known(nodeId: string): Promise<void> {
  const { store } = world.manager;
  if (store.get('node', nodeId) === undefined) await put(store, 'node', nodeDraft(nodeId));
}

/** How a forwarding manager names its peer; by default the first manager. */
function posing(subject: object = {}, life: object = {}): string {
  return JSON.stringify({
    remoteAddress: '127.0.0.1',
    proof: {
      subject: { nodeId: 'first', role: 'manager', clusterId: 'cluster', ...subject },
      issuedAtMs: Date.now() - DAY_MS,
      expiresAtMs: Date.now() + DAY_MS,
      ...life,
    },
  });
}

/** Opens a connection and waits for the head of the answer to a request. */
async function stream(who: NodeIdentity, path: string): Promise<TLSSocket> {
  const { key, cert } = tlsServerOptions(who);
  const socket = tlsConnect({
    port: world.port,
    host: '127.0.0.1',
    key,
    cert,
    rejectUnauthorized: false,
  });
  socket.on('error', () => {});
  socket.write(`GET ${path} HTTP/1.1\r\nHost: m\r\n\r\n`);
  const head = await new Promise<string>((resolve) =>
    socket.once('data', (data) => resolve(String(data))),
  );
  if (!head.startsWith('HTTP/1.1 200')) throw new Error(head);
  return socket;
}

function ended(connection: TLSSocket | WebSocket): Promise<void> {
  return new Promise((resolve) => {
    if (connection instanceof WebSocket)
      connection.on('error', () => {}).once('close', () => resolve());
    else connection.resume().once('close', () => resolve());
  });
}

test.serial('a manager that demotes itself gets an answer, and is then cut off', async (t) => {
  await put(world.manager.store, 'node', nodeDraft('modest', manager('modest')));
  const who = await world.certificate('modest', 'manager');
  const idle = await stream(who, '/_ping');
  const end = ended(idle);
  const node = world.manager.store.get('node', 'modest')!;
  const body = JSON.stringify({ ...node.Spec, Role: 'worker' });
  const { Index } = clientVersion(node);
  // Meanwhile the allocator gives it its place in the mesh, which is not the client's business.
  const answer = await world.request(who, 'POST', `/nodes/modest/update?version=${Index}`, {
    body,
  });
  t.is(answer.status, 200, answer.message);
  await end;
  t.is((await world.request(who, 'GET', '/nodes')).status, 403);
});

function manager(id: string) {
  return {
    ID: id,
    Spec: { Labels: {}, Role: 'manager' as const, Availability: 'active' as const },
    Role: 'manager' as const,
  };
}

function isRemoved(nodeId: string): boolean {
  return world.manager.store.get('removed-node', nodeId) !== undefined;
}

async function setRole(nodeId: string, Role: 'manager' | 'worker'): Promise<void> {
  const { store } = world.manager;
  await until('the role is written', async () => {
    try {
      await store.transact((transaction) => {
        const node = transaction.get('node', nodeId)!;
        transaction.update('node', { ...node, Spec: { ...node.Spec, Role } });
      });
      return true;
    } catch (error) {
      if (error instanceof ApiError && error.code === 'OUT_OF_SEQUENCE') return false;
      throw error;
    }
  });
}

/** Fingerprint of the certificate that a new connection gets. */
function presented(): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const socket = tlsConnect(
      { port: world.port, host: '127.0.0.1', rejectUnauthorized: false },
      () => {
        const { fingerprint256 } = socket.getPeerX509Certificate() ?? {};
        socket.destroy();
        resolve(fingerprint256);
      },
    );
    socket.on('error', reject);
  });
}
