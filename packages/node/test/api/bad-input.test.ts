import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import test from 'ava';
import { nodeDraft, put } from '@swarm/manager/testing';
import { call } from './support/client.js';
import { serviceBody, start } from './support/fake-node.js';

const api = await start({ limits: { headersMs: 300, bodyMs: 300, discardMs: 500 } });
test.after.always(() => api.close());

function code(reply: { readonly headers: Record<string, unknown> }): unknown {
  return reply.headers['x-swarm-error-code'];
}

test('malformed JSON is refused with the place where it is malformed', async (t) => {
  const reply = await api.call('POST', '/v1.50/services/create', { raw: '{\n"Name": "web",,}' });
  t.is(reply.status, 400);
  t.is(code(reply), 'BAD_REQUEST');
  t.regex(reply.message, /^malformed JSON body: .*position 16.*line 2 column 15/);
  const short = await api.call('POST', '/v1.50/services/create', { raw: '{"Name":' });
  t.regex(short.message, /^malformed JSON body: .*position 8/);
});

test('a wrong type is refused by the name of the field', async (t) => {
  const reply = await api.call('POST', '/services/create', {
    json: { Name: 'web', TaskTemplate: { ContainerSpec: { Image: 7 } } },
  });
  t.is(reply.status, 400);
  t.is(reply.message, 'TaskTemplate.ContainerSpec.Image: must be a string, not a number');
});

test('a 50 MB body gets 413 while it is sent, is not kept, and the daemon goes on', async (t) => {
  const before = process.memoryUsage().rss;
  const reply = await api.call('POST', '/services/create', { raw: Buffer.alloc(50_000_000, 0x20) });
  t.is(reply.status, 413);
  t.is(code(reply), 'TOO_LARGE');
  t.regex(reply.message, /larger than 4 MiB/);
  t.is(reply.headers.connection, 'close');
  t.is((await api.call('GET', '/_ping')).text, 'OK');
  // The client's own 50 MB are in this process too; the server must not add another 50 MB.
  t.true(process.memoryUsage().rss - before < 90_000_000);
});

test('a body without a length is cut at the limit too', async (t) => {
  // A server of its own, with the usual time for a body: six megabytes take a busy machine a while.
  const api = await start();
  t.teardown(() => api.close());
  const chunk = Buffer.alloc(64 * 1024, 0x20).toString();
  const text = await new Promise<string>((resolve, reject) => {
    let answer = '';
    let sent = 0;
    const socket = net.connect(api.socketPath);
    socket.write('POST /services/create HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n');
    const feed = (): void => {
      while (sent < 100 && answer === '') {
        sent += 1;
        if (!socket.write(`10000\r\n${chunk}\r\n`)) {
          socket.once('drain', feed);
          return;
        }
      }
    };
    socket.on('data', (data) => {
      answer += data.toString();
      socket.end();
    });
    socket.on('close', () => resolve(answer));
    socket.on('error', reject);
    feed();
  });
  t.regex(text, /^HTTP\/1\.1 413 /);
});

test('an unknown route is 404 with Docker’s text', async (t) => {
  const reply = await api.call('GET', '/v1.50/containers/json');
  t.is(reply.status, 404);
  t.deepEqual(reply.json, { message: 'page not found' });
  t.is(code(reply), 'NOT_FOUND');
});

test('a known route with another method is 405 and names the methods', async (t) => {
  const reply = await api.call('PUT', '/v1.50/services/create');
  t.is(reply.status, 405);
  t.is(code(reply), 'METHOD_NOT_ALLOWED');
  t.regex(reply.message, /use .*POST/);
});

test('a taken name is 409 with Docker’s text', async (t) => {
  t.is((await api.call('POST', '/services/create', { json: serviceBody('taken') })).status, 201);
  const reply = await api.call('POST', '/services/create', { json: serviceBody('taken') });
  t.is(reply.status, 409);
  t.is(reply.message, 'name conflicts with an existing object: service taken already exists');
});

test('a port that is already published is refused, naming its service', async (t) => {
  const ports = { EndpointSpec: { Ports: [{ TargetPort: 80, PublishedPort: 8088 }] } };
  const first = await api.call('POST', '/services/create', { json: serviceBody('first', ports) });
  t.is(first.status, 201);
  const reply = await api.call('POST', '/services/create', { json: serviceBody('second', ports) });
  t.is(reply.status, 409);
  t.is(code(reply), 'CONFLICT');
  t.regex(reply.message, /^port '8088' is already in use by service 'first'/);
});

test('constraints that do not parse are refused', async (t) => {
  const json = serviceBody('bound', {
    TaskTemplate: {
      ContainerSpec: { Image: 'nginx' },
      Placement: { Constraints: ['node.role = manager'] },
    },
  });
  const reply = await api.call('POST', '/services/create', { json });
  t.is(reply.status, 400);
  t.is(code(reply), 'INVALID_ARGUMENT');
  t.regex(reply.message, /node\.role = manager/);
});

test('missing objects are 404 in Docker’s words', async (t) => {
  for (const [path, message] of [
    ['/nodes/nowhere', 'node nowhere not found'],
    ['/services/nothing', 'service nothing not found'],
    ['/tasks/none', 'task none not found'],
    ['/networks/nothing', 'network nothing not found'],
    ['/secrets/none', 'secret none not found'],
    ['/configs/none', 'config none not found'],
  ] as const) {
    const reply = await api.call('GET', path);
    t.is(reply.status, 404);
    t.is(reply.message, message);
  }
});

test('a name or the start of an id that several nodes have is refused, with what tells them apart', async (t) => {
  const named = (State: 'ready' | 'down', Hostname: string) => ({
    Status: { State, Addr: '' },
    Description: { ...nodeDraft('x').Description!, Hostname },
  });
  await put(api.node.store, 'node', nodeDraft('zz1', named('down', 'host-1')));
  await put(api.node.store, 'node', nodeDraft('zz2', named('ready', 'host-1')));
  const both = '(2 matches found): zz2 (host-1, ready), zz1 (host-1, down); use the whole id';
  for (const [method, path, given] of [
    ['GET', '/nodes/zz', 'zz'],
    ['GET', '/nodes/host-1', 'host-1'],
    ['DELETE', '/nodes/host-1', 'host-1'],
    ['DELETE', '/nodes/host-1?force=1', 'host-1'],
  ] as const) {
    const reply = await api.call(method, path);
    t.is(reply.status, 400);
    t.is(reply.message, `node ${given} is ambiguous ${both}`);
  }
  t.is(api.node.store.get('node', 'zz1')?.ID, 'zz1', 'nothing was removed');
  for (let at = 3; at < 13; at += 1) await put(api.node.store, 'node', nodeDraft(`zz${at}`));
  t.regex(
    (await api.call('GET', '/nodes/zz')).message,
    /\(12 matches found\): zz10 .* and 4 more;/,
  );
  t.is((await api.call('GET', '/nodes/zz1')).json.ID, 'zz1');
});

test('bad filters are refused and name the filter', async (t) => {
  const unknown = await api.call('GET', `/services?filters=${encodeURIComponent('{"x":["y"]}')}`);
  t.is(unknown.status, 400);
  t.regex(unknown.message, /^invalid filter 'x'/);
  const broken = await api.call('GET', '/nodes?filters=%7B');
  t.is(broken.status, 400);
  t.regex(broken.message, /^invalid filters: /);
  const role = await api.call('GET', `/nodes?filters=${encodeURIComponent('{"role":["boss"]}')}`);
  t.regex(role.message, /role=boss.*worker, manager/);
});

test('a version of the API that is not served is refused in Docker’s words', async (t) => {
  const late = await api.call('GET', '/v1.51/nodes');
  t.is(late.status, 400);
  t.is(late.message, 'client version 1.51 is too new. Maximum supported API version is 1.50');
  const early = await api.call('GET', '/v1.23/nodes');
  t.is(early.status, 400);
  t.regex(
    early.message,
    /^client version 1\.23 is too old\. Minimum supported API version is 1\.24/,
  );
  t.is((await api.call('GET', '/v1.24/nodes')).status, 200);
  t.is((await api.call('GET', '/nodes')).status, 200);
});

test('an object version that is missing, not a number or stale is refused', async (t) => {
  const { json } = await api.call('POST', '/services/create', { json: serviceBody('versioned') });
  const path = `/services/${json.ID}/update`;
  t.is((await api.call('POST', path, { json: serviceBody('versioned') })).status, 400);
  t.is((await api.call('POST', `${path}?version=x`, { json: {} })).status, 400);
  const stale = await api.call('POST', `${path}?version=1`, { json: serviceBody('versioned') });
  t.is(stale.status, 500);
  t.is(stale.message, 'update out of sequence');
  t.is(code(stale), 'OUT_OF_SEQUENCE');
});

/** Everything received on a connection that sends `text` and then nothing. */
function slowly(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = net.connect(api.socketPath, () => socket.write(text));
    socket.on('data', (data) => {
      answer += data.toString();
    });
    socket.on('close', () => resolve(answer));
    socket.on('error', reject);
  });
}

test('a client that does not finish the head of its request is cut off', async (t) => {
  t.regex(await slowly('GET /nodes HTTP/1.1\r\nHost: x\r\nX-Slow: '), /^HTTP\/1\.1 408 /);
});

test('a client that does not finish its body gets an answer and is cut off', async (t) => {
  const answer = await slowly(
    'POST /services/create HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{"a',
  );
  t.regex(answer, /^HTTP\/1\.1 400 /);
  t.regex(answer, /did not arrive within 0\.3 s/);
});

test('a head that is too large and bytes that are not HTTP are refused', async (t) => {
  t.regex(await slowly(`GET / HTTP/1.1\r\nX: ${'a'.repeat(70_000)}\r\n\r\n`), /^HTTP\/1\.1 431 /);
  t.regex(await slowly('hello\r\n\r\n'), /^HTTP\/1\.1 400 /);
});

test('an upgrade on a route of ours is refused and the connection closed', async (t) => {
  const answer = await slowly(
    'GET /nodes HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n',
  );
  t.regex(answer, /^HTTP\/1\.1 400 /);
});

test('a worker’s certificate is not enough', async (t) => {
  const socket = await api.listenAs('n1', 'worker');
  const reply = await call(socket, 'GET', '/nodes');
  t.is(reply.status, 403);
  t.is(code(reply), 'PERMISSION_DENIED');
});

test('a fault of ours is answered with 500, logged, and the next request is served', async (t) => {
  const broken = await start();
  t.teardown(() => broken.close());
  broken.node.info = () => {
    throw new Error('disk on fire');
  };
  const reply = await broken.call('GET', '/_ping');
  t.is(reply.status, 500);
  t.is(code(reply), 'INTERNAL');
  t.is(broken.faults.length, 1);
  Reflect.deleteProperty(broken.node, 'info');
  t.is((await broken.call('GET', '/_ping')).text, 'OK');
});

test('closing ends streams and connections', async (t) => {
  const other = await start();
  const stream = http.get({ socketPath: other.socketPath, path: '/events', agent: false });
  const [head] = (await once(stream, 'response')) as [http.IncomingMessage];
  const ended = once(head.resume(), 'end');
  await other.close();
  await ended;
  t.is(head.statusCode, 200);
  await t.throwsAsync(other.call('GET', '/_ping'));
});
