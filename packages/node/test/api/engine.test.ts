import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { networkDraft, put } from '@swarm/manager/testing';
import { until } from '@swarm/sim';
import { call } from './support/client.js';
import { start } from './support/fake-node.js';

const folder = mkdtempSync(join(tmpdir(), 'swarm-engine-'));
const engineSocket = join(folder, 'engine.sock');
const seen: string[] = [];
let received = 0;
let closedEarly = 0;
/** Streams of a flood of events that were closed. */
let floods = 0;

const sandbox = (name: string, State = 'running') => ({
  ...{ Id: `id-${name}`, Names: [`/${name}`], State },
  Labels: { 'swarm.owner': 'x', 'swarm.role': 'sandbox' },
});
const CONTAINERS: readonly { readonly Id: string; readonly Labels: object }[] = [
  sandbox('swarm-spare-1'),
  { Id: 'new', Labels: { 'swarm.role': 'task' } },
  sandbox('swarm-sandbox-t', 'exited'),
  sandbox('swarm-spare-2'),
  { Id: 'old', Labels: {} },
];
const isOurs = ({ Labels }: { readonly Labels: object }) => 'swarm.role' in Labels;
/** What the engine tells of the past; set by a test. */
let history: readonly { readonly timeNano: number; readonly [field: string]: unknown }[] = [];

/** An engine as old as Debian's: it knows the API up to 1.41 and refuses newer paths. */
const engine = http.createServer((request, response) => {
  const { method, url = '' } = request;
  seen.push(`${method} ${url}`);
  response.setHeader('Api-Version', '1.41');
  if (url === '/_ping') return void response.end('OK');
  const minor = /^\/v1\.(\d+)\//.exec(url)?.[1];
  if (Number(minor ?? 0) > 41) {
    response.statusCode = 400;
    return void response.end('{"message":"client version is too new"}');
  }
  if (url.endsWith('/info')) {
    return void response.end(
      JSON.stringify({
        ...{ Name: 'engine', Images: 7, ServerVersion: '20.10.24' },
        ...{ Containers: 5, ContainersRunning: 4, ContainersStopped: 1 },
        Swarm: { LocalNodeState: 'inactive' },
      }),
    );
  }
  if (url.includes('/networks')) {
    return void response.end('[{"Name":"bridge","Scope":"local","Driver":"bridge"}]');
  }
  if (url.includes('/events') && url.includes('flood')) {
    const line = `${JSON.stringify({ Type: 'container', Action: 'x'.repeat(64 * 1024) })}\n`;
    const timer = setInterval(() => response.write(line), 1);
    response.on('close', () => {
      clearInterval(timer);
      floods += 1;
    });
    return;
  }
  if (url.includes('/events') && url.includes('since=7')) {
    const until = Number(new URL(url, 'http://engine').searchParams.get('until'));
    for (const line of history.filter(({ timeNano }) => timeNano <= until * 1e9))
      response.write(`${JSON.stringify(line)}\n`);
    return void response.end();
  }
  if (url.includes('/events')) {
    const until = Number(new URL(url, 'http://engine').searchParams.get('until') ?? Infinity);
    // As an engine does when there is nothing more to come.
    if (until * 1000 <= Date.now()) return void response.end();
    response.write('{"Type":"container"');
    response.on('close', () => {
      closedEarly += 1;
    });
    setTimeout(() => response.write(',"Action":"start"}\n'), 20);
    return;
  }
  if (url.includes('/containers/json')) {
    const asked = new URL(url, 'http://engine').searchParams.get('filters') ?? '';
    const shown = asked.includes('swarm.role') ? CONTAINERS.filter(isOurs) : CONTAINERS;
    return void response.end(JSON.stringify(shown));
  }
  if (url.endsWith('/system/df')) {
    return void response.end(JSON.stringify({ LayersSize: 9, Containers: CONTAINERS }));
  }
  if (url.includes('/containers/prune')) {
    return void response.end('{"ContainersDeleted":null,"SpaceReclaimed":0}');
  }
  if (url.endsWith('/version')) {
    return void response.end(
      '{"Version":"20.10.24","Components":[{"Name":"Engine","Version":"20.10.24"}]}',
    );
  }
  if (url.includes('/images/load')) {
    request.on('data', (chunk: Buffer) => {
      received += chunk.byteLength;
    });
    request.on('end', () => response.end(`${received}`));
    return;
  }
  response.statusCode = 404;
  response.end('{"message":"No such container: x"}');
});
engine.on('upgrade', (request, socket: net.Socket, head: Buffer) => {
  seen.push(`upgrade ${request.url}`);
  if (request.url?.includes('missing')) {
    socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 13\r\n\r\n{"message":1}');
    return;
  }
  socket.write('HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nhi;');
  socket.write(head);
  socket.on('data', (data) => socket.write(data));
  socket.on('end', () => socket.end());
});
await new Promise<void>((resolve) => engine.listen(engineSocket, resolve));
const api = await start({ engineSocket });
test.after.always(async () => {
  await api.close();
  engine.closeAllConnections();
  engine.close();
  rmSync(folder, { recursive: true, force: true });
});

test.serial('other routes pass through, in a version that the engine knows', async (t) => {
  const reply = await api.call('GET', '/v1.50/containers/x/json?size=1');
  t.is(reply.status, 404);
  t.is(reply.message, 'No such container: x');
  t.is(seen.at(-1), 'GET /v1.41/containers/x/json?size=1');
  await api.call('GET', '/containers/x/json');
  t.is(seen.at(-1), 'GET /containers/x/json');
});

test.serial('bodies of any size pass through as a stream', async (t) => {
  const body = Buffer.alloc(12_000_000, 1);
  const reply = await api.call('POST', '/v1.41/images/load', { raw: body });
  t.is(reply.text, String(body.byteLength));
});

test.serial('info and networks combine what the engine and the cluster know', async (t) => {
  const info = (await api.call('GET', '/info')).json;
  t.is(info.Name, 'engine');
  t.is(info.Images, 7);
  t.is(info.Swarm.LocalNodeState, 'active');
  await put(api.node.store, 'network', {
    ...networkDraft('ingress'),
    Subnets: [{ Subnet: '10.240.0.0/16', Gateway: '10.240.0.1' }],
  });
  const networks = (await api.call('GET', '/v1.50/networks')).json;
  t.deepEqual(
    networks.map((network: { Name: string }) => network.Name),
    ['ingress', 'bridge'],
  );
  t.like(networks[0], {
    Id: 'ingress',
    Scope: 'swarm',
    Driver: 'overlay',
    Containers: null,
    IPAM: { Driver: 'default', Config: [{ Subnet: '10.240.0.0/16', Gateway: '10.240.0.1' }] },
  });
});

test.serial(
  'containers that only hold a network are hidden, unless they are asked for',
  async (t) => {
    const list = async (query: string) => {
      const { json } = await api.call('GET', `/v1.41/containers/json${query}`);
      return json.map(({ Id }: { Id: string }) => Id);
    };
    t.deepEqual(await list('?all=1'), ['new', 'old']);
    t.deepEqual(await list('?limit=1'), ['new']);
    t.is(seen.at(-1), 'GET /v1.41/containers/json?all=1', 'ours must not use up the limit');
    t.deepEqual(await list('?filters={"label":["com.docker.swarm.task"]}'), ['new', 'old']);
    for (const label of ['{"swarm.role=sandbox":true}', '["swarm.owner"]']) {
      const names = await list(`?all=1&filters={"label":${label}}`);
      t.true(names.includes('id-swarm-spare-1'), label);
    }
    const usage = (await api.call('GET', '/v1.41/system/df')).json;
    t.deepEqual(
      usage.Containers.map(({ Id }: { Id: string }) => Id),
      ['new', 'old'],
    );
    t.is(usage.LayersSize, 9);
    t.is((await api.call('GET', '/v1.41/containers/id-swarm-spare-1/json')).status, 404);
    t.is(seen.at(-1), 'GET /v1.41/containers/id-swarm-spare-1/json');
  },
);

test.serial('a prune leaves the containers of tasks and their networks', async (t) => {
  const prune = (filters: string) =>
    api.call('POST', `/v1.41/containers/prune?filters=${encodeURIComponent(filters)}`);
  t.is((await prune('{"until":["1h"]}')).status, 200);
  const query = new URL(seen.at(-1)!.split(' ')[1]!, 'http://engine').searchParams;
  t.deepEqual(JSON.parse(query.get('filters')!), {
    until: ['1h'],
    'label!': { 'swarm.role': true },
  });
  const refused = await prune('{"label!":["keep"]}');
  t.is(refused.status, 400);
  t.regex(refused.message, /"label!" cannot be used.*prune by "label"/);
  await prune('nonsense');
  t.true(seen.at(-1)!.endsWith('filters=nonsense'), 'the engine explains what it cannot read');
});

test.serial('info and version name the same engine and the same daemon', async (t) => {
  const info = (await api.call('GET', '/info')).json;
  const version = (await api.call('GET', '/version')).json;
  t.is(info.ServerVersion, '20.10.24');
  t.is(version.Version, info.ServerVersion);
  const own = version.Components.find(({ Name }: { Name: string }) => Name === 'Swarm');
  t.is(own.Version, '1.2.3');
  t.is(info.Swarm.Version, own.Version);
  t.deepEqual(info.Swarm.Sandboxes, { InUse: 1, Spare: 2 });
  t.like(info, { Containers: 2, ContainersRunning: 2, ContainersStopped: 0 });
});

test.serial(
  'past events of engine and cluster come in order of time, and end with `until`',
  async (t) => {
    const nowNano = Date.now() * 1e6;
    const own = api.node.store.list('node')[Symbol.iterator]().next().value!;
    const at = (secondsAgo: number, event: object) => ({
      timeNano: nowNano - secondsAgo * 1e9,
      ...event,
    });
    const container = (Action: string, role: string, ID = 'c') => ({
      ...{ Type: 'container', Action },
      Actor: { ID, Attributes: { 'swarm.role': role } },
    });
    history = [
      at(50, container('create', 'task')),
      at(40, container('create', 'sandbox', 's')),
      at(30, {
        Type: 'network',
        Action: 'connect',
        Actor: { ID: 'n', Attributes: { container: 's' } },
      }),
      at(20, {
        Type: 'network',
        Action: 'connect',
        Actor: { ID: 'n', Attributes: { container: 'c' } },
      }),
      at(-60, container('start', 'task')),
    ];
    await api.node.store.transact((transaction) =>
      transaction.update('node', { ...own, Spec: { ...own.Spec, Labels: { a: 'b' } } }),
    );
    const { text } = await api.call('GET', `/events?since=7&until=${Date.now() / 1000}`);
    const lines = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    t.deepEqual(
      lines.slice(0, 2).map((event) => `${event.Type} ${event.Action}`),
      ['container create', 'network connect'],
    );
    t.is(lines.at(-1).Type, 'node');
    const times = lines.map(({ timeNano }) => timeNano);
    t.deepEqual(
      times,
      times.toSorted((a, b) => a - b),
    );
    const wrong = await api.call('GET', '/events?since=8&until=7');
    t.is(wrong.status, 400);
    t.regex(wrong.message, /^`since` time \(8\) cannot be after `until` time \(7\)$/);
  },
);

test.serial('a worker’s clients do not see events of sandboxes either', async (t) => {
  const worker = await start({ engineSocket, manager: false });
  t.teardown(() => worker.close());
  const text = (await worker.call('GET', '/events?since=7&until=9e9')).text;
  t.deepEqual(
    text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).Action),
    ['create', 'connect', 'start'],
  );
});

test.serial('the engine is not for remote clients', async (t) => {
  const peer = await api.listenAs('other');
  t.is((await call(peer, 'GET', '/containers/x/json')).message, 'page not found');
});

test.serial('events of the engine and the cluster arrive in whole lines', async (t) => {
  const now = Date.now() / 1000;
  const stream = api.call('GET', `/events?since=${now.toFixed(3)}&until=${(now + 0.4).toFixed(3)}`);
  await until(
    'past and new events are asked for',
    () => seen.filter((line) => line.includes('/events')).length === 2,
  );
  await api.node.store.transact((transaction) => transaction.remove('network', 'ingress'));
  const lines = (await stream).text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.deepEqual(lines.map((event) => `${event.Type} ${event.Action}`).sort(), [
    'container start',
    'network remove',
  ]);
  await until('the engine hears of the end', () => closedEarly === 1);
});

test.serial('a client that does not read the engine’s events is cut off', async (t) => {
  const socket = net.connect(api.socketPath);
  socket.on('error', () => {});
  t.teardown(() => socket.destroy());
  socket.pause();
  socket.write('GET /events?x=flood HTTP/1.1\r\nHost: x\r\n\r\n');
  await until('the flood is cut off', () => floods === 1);
  t.is(floods, 1);
});

/** Everything received for `text`; sends `more` after the first bytes. */
function talk(text: string, more: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = net.connect({ path: api.socketPath, allowHalfOpen: true }, () => {
      socket.write(text);
    });
    socket.on('data', (data) => {
      if (answer === '') socket.end(more);
      answer += data.toString();
    });
    socket.on('end', () => socket.destroy());
    socket.on('close', () => resolve(answer));
    socket.on('error', reject);
  });
}

test.serial('a connection is taken over for exec, both ways, body included', async (t) => {
  const answer = await talk(
    'POST /v1.50/exec/x/start HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n' +
      'Content-Length: 4\r\n\r\n{ }\n',
    'typed',
  );
  t.regex(answer, /^HTTP\/1\.1 101 UPGRADED\r\n/);
  t.true(answer.endsWith('hi;{ }\ntyped'), answer);
  t.true(seen.includes('upgrade /v1.41/exec/x/start'));
});

test.serial(
  'a refused upgrade closes the connection, so that nothing bypasses the router',
  async (t) => {
    const answer = await talk(
      'POST /v1.41/exec/missing/start HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n',
      'GET /v1.41/containers/secret/json HTTP/1.1\r\nHost: x\r\n\r\n',
    );
    t.regex(answer, /^HTTP\/1\.1 404 Not Found\r\n/);
    t.regex(answer, /Connection: close/);
    t.false(seen.some((line) => line.includes('secret')));
  },
);

test.serial('an error names an engine that is down', async (t) => {
  const lonely = await start({ engineSocket: join(folder, 'nobody.sock') });
  t.teardown(() => lonely.close());
  const reply = await lonely.call('GET', '/containers/json');
  t.is(reply.status, 503);
  t.regex(reply.message, /^the Docker Engine of this node could not be reached/);
  t.is((await lonely.call('GET', '/info')).status, 200);
});
