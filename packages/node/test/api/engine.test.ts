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
    return void response.end('{"Name":"engine","Images":7,"Swarm":{"LocalNodeState":"inactive"}}');
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
  if (url.includes('/events')) {
    response.write('{"Type":"container"');
    response.on('close', () => {
      closedEarly += 1;
    });
    setTimeout(() => response.write(',"Action":"start"}\n'), 20);
    return;
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

test.serial('the engine is not for remote clients', async (t) => {
  const peer = await api.listenAs('other');
  t.is((await call(peer, 'GET', '/containers/x/json')).message, 'page not found');
});

test.serial('events of the engine and the cluster arrive in whole lines', async (t) => {
  const end = (Date.now() / 1000 + 0.4).toFixed(3);
  const stream = api.call('GET', `/events?until=${end}`);
  await until('the events are asked for', () => seen.some((line) => line.includes('/events')));
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
