import http from 'node:http';
import { join } from 'node:path';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import test, { type ExecutionContext } from 'ava';
import { until } from '@swarm/sim';
import { call, type Reply } from './support/client.js';
import { type Running, serviceBody, start, type StartOptions } from './support/fake-node.js';

/** A leader that does what it is asked and dies before it answers. */
async function dyingLeader(t: ExecutionContext, leader: Running, deaths = 1): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'swarm-dying-'));
  const socketPath = join(folder, 'leader.sock');
  const inner = await leader.listenAs('follower');
  let left = deaths;
  const server = http.createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const raw = Buffer.concat(chunks);
      const { 'content-length': _, ...headers } = request.headers;
      void call(inner, request.method!, request.url!, { raw, headers }).then((reply) => {
        left -= 1;
        if (left >= 0) request.socket.destroy();
        else response.writeHead(reply.status, reply.headers).end(reply.body);
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
    rmSync(folder, { recursive: true });
  });
  return socketPath;
}

/** A follower of that leader. */
async function followerOf(
  t: ExecutionContext,
  leader: Running,
  socket: string,
  options: StartOptions = {},
): Promise<Running> {
  const follower = await start({ ...options, limits: { leaderMs: 3000 } });
  t.teardown(() => follower.close());
  follower.node.leads = false;
  follower.node.others = [
    { nodeId: leader.node.nodeId, address: 'x:2377', reachability: 'reachable', leader: true },
  ];
  follower.node.leaderSocket = socket;
  return follower;
}

async function pair(
  t: ExecutionContext,
  deaths = 1,
  options: StartOptions = {},
): Promise<{ leader: Running; follower: Running }> {
  const leader = await start(options);
  t.teardown(() => leader.close());
  const follower = await followerOf(t, leader, await dyingLeader(t, leader, deaths), options);
  return { leader, follower };
}

const services = (api: Running) => [...api.node.store.list('service')];
const code = (reply: Reply) => reply.headers['x-swarm-error-code'];
const create = (api: Running, name: string, headers = {}, patch = {}) =>
  api.call('POST', '/services/create', { json: serviceBody(name, patch), headers });

test('a creation whose answer is lost with the leader is made once and answered', async (t) => {
  const { leader, follower } = await pair(t);
  const reply = await create(follower, 'web');
  t.is(reply.status, 201, reply.text);
  t.deepEqual(
    services(leader).map(({ ID }) => ID),
    [reply.json.ID],
  );
});

test('also one without a name', async (t) => {
  const { leader, follower } = await pair(t, 2);
  const reply = await create(follower, '');
  t.is(reply.status, 201, reply.text);
  t.is(services(leader).length, 1);
});

test('when every answer is lost, the error says that the service may exist', async (t) => {
  const { leader, follower } = await pair(t, 99);
  const reply = await create(follower, 'web');
  t.is(reply.status, 503);
  t.is(code(reply), 'TIMEOUT');
  t.regex(reply.message, /may have been made; look before you try again$/);
  t.is(services(leader).length, 1);
  const keyed = await create(follower, 'web2', { 'idempotency-key': 'k' });
  t.regex(keyed.message, /or send the same request with the same Idempotency-Key$/);
});

test('an update whose answer is lost is refused the second time, and the error says why', async (t) => {
  const { leader, follower } = await pair(t);
  const made = await create(leader, 'web');
  const { Version } = (await leader.call('GET', '/services/web')).json;
  const reply = await follower.call('POST', `/services/web/update?version=${Version.Index}`, {
    json: serviceBody('web', { Labels: { a: 'b' } }),
  });
  t.is(reply.status, 500);
  t.is(code(reply), 'OUT_OF_SEQUENCE');
  t.regex(reply.message, /^update out of sequence: .*may have made this change; look before/);
  t.is(leader.node.store.get('service', made.json.ID)?.Spec.Labels.a, 'b');
});

test('a removal whose answer is lost succeeds, or says that it may have removed the object', async (t) => {
  const { leader, follower } = await pair(t);
  const made = await create(leader, 'web');
  const byId = await follower.call('DELETE', `/services/${made.json.ID}`);
  t.is(byId.status, 200);
  const { follower: other, leader: its } = await pair(t);
  await create(its, 'web');
  const byName = await other.call('DELETE', '/services/web');
  t.is(byName.status, 404);
  t.regex(byName.message, /may have removed it; look before/);
});

test('a leader that cannot be reached did nothing, and the next one is asked', async (t) => {
  const leader = await start();
  t.teardown(() => leader.close());
  const follower = await followerOf(t, leader, '/nowhere.sock');
  const reply = create(follower, 'web');
  await until(
    'the first leader is asked',
    async () => (await follower.call('GET', '/_ping')).status === 200,
  );
  follower.node.leaderSocket = await leader.listenAs('follower');
  t.is((await reply).status, 201);
});

test('a request that hangs at a leader goes to the next one', async (t) => {
  const leader = await start();
  t.teardown(() => leader.close());
  const folder = mkdtempSync(join(tmpdir(), 'swarm-hung-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  let asked = false;
  const hung = http.createServer(() => {
    asked = true;
  });
  await new Promise<void>((resolve) => hung.listen(join(folder, 's'), resolve));
  t.teardown(() => {
    hung.closeAllConnections();
    hung.close();
  });
  const follower = await followerOf(t, leader, join(folder, 's'));
  const reply = create(follower, 'web');
  await until('it is asked', () => asked);
  follower.node.leaderSocket = await leader.listenAs('follower');
  follower.node.replaced.abort(new Error('another manager leads now'));
  t.is((await reply).status, 201);
});

test('a leader that loses its place with a change in its log asks the next one', async (t) => {
  const next = await start();
  t.teardown(() => next.close());
  for (const code of ['RAFT_PROPOSAL_UNKNOWN', 'RAFT_PROPOSAL_DROPPED']) {
    const former = await followerOf(t, next, await next.listenAs('follower'));
    former.node.leads = true;
    former.node.store.pause();
    former.node.store.failNext(Object.assign(new Error('x'), { code }));
    const reply = create(former, code.toLowerCase());
    await until('it is proposed', () => former.node.store.waiting > 0);
    former.node.leads = false;
    former.node.store.resume();
    t.is((await reply).status, 201);
  }
  t.is(services(next).length, 2);
});
