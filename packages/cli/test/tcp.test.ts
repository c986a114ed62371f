import { execFileSync } from 'node:child_process';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, LookupFunction } from 'node:net';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { ApiClient, ReplyLostError } from '../src/client/api-client.js';
import { type Endpoint, resolveEndpoint } from '../src/client/endpoint.js';
import { UsageError } from '../src/command.js';
import { main } from '../src/main.js';
import { managerTls } from '@swarm/node';
import { testNode, tokenOf } from '@swarm/node/testing';
import { noNode } from './support/no-node.js';
import { recorder } from './support/recorder.js';
import { folderOf } from './support/folder.js';

const REFUSED = { instanceOf: UsageError, message: /in the clear.*--tlsverify.*ssh -N -L/s };

for (const host of [
  '198.18.0.1',
  '[fd00::1]',
  '[::ffff:198.18.0.1]',
  '0.0.0.0',
  '[::]',
  'h',
  'localhost.example.com',
  '127.0.0.1.example.com',
]) {
  test(`tcp://${host} without TLS is refused with what to do`, (t) => {
    for (const env of [{}, { DOCKER_TLS_VERIFY: '' }]) {
      t.throws(() => resolveEndpoint(`tcp://${host}:2375`, env, 0), REFUSED);
      t.throws(
        () => resolveEndpoint(undefined, { ...env, SWARM_HOST: `tcp://${host}:1` }, 0),
        REFUSED,
      );
    }
  });
}

test('without TLS, loopback addresses and localhost are accepted', (t) => {
  const hosts = {
    '127.0.0.1': '127.0.0.1',
    '127.9.9.9': '127.9.9.9',
    '[::1]': '::1',
    LocalHost: 'LocalHost',
  };
  for (const [written, host] of Object.entries(hosts))
    t.deepEqual(resolveEndpoint(`tcp://${written}:2375`, {}, 0), { host, port: 2375 });
});

test('a command to another host without TLS ends before anything is sent', async (t) => {
  const output = recorder();
  t.is(
    await main(['--host', 'tcp://198.18.0.1:2375', 'service', 'ls'], { output, node: noNode }),
    1,
  );
  t.regex(output.err, REFUSED.message);
  t.is(output.out, '');
});

/** A server that counts its connections and answers `/info`, then redirects. */
async function listening(
  t: ExecutionContext,
  server: Server,
): Promise<{ port: number; count(): number }> {
  let connections = 0;
  server.on('connection', () => {
    connections += 1;
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, count: () => connections };
}

const names =
  (...addresses: string[]): LookupFunction =>
  (_hostname, _options, callback) =>
    callback(
      null,
      addresses.map((address) => ({ address, family: 4 })),
    );

test('localhost is connected to only where all its addresses are loopback ones', async (t) => {
  const { port, count } = await listening(
    t,
    createServer((_, response) => response.end('{"a":1}')),
  );
  const client = (...addresses: string[]) =>
    new ApiClient({ host: 'localhost', port }, { lookup: names(...addresses) });
  for (const addresses of [['198.18.0.1'], ['127.0.0.1', '198.18.0.1']])
    await t.throwsAsync(client(...addresses).get('/info'), {
      message: /localhost resolves to 198\.18\.0\.1, which is another host: nothing was sent/,
    });
  await t.throwsAsync(client().get('/info'), { message: /no address/ });
  t.is(count(), 0);
  t.deepEqual(await client('127.0.0.1').get('/info'), { a: 1 });
});

test('a redirection is not followed: what was sent goes nowhere else', async (t) => {
  const other = await listening(
    t,
    createServer((_, response) => response.end('{}')),
  );
  const { port } = await listening(
    t,
    createServer((_, response) => {
      response.writeHead(307, { location: `http://127.0.0.1:${other.port}/v1.50/services/create` });
      response.end();
    }),
  );
  const client = new ApiClient({ host: '127.0.0.1', port });
  await client.post('/services/create', {}, {}, { 'x-registry-auth': 'secret' });
  t.is(other.count(), 0);
});

test('a daemon that stays silent may have done what it was asked to change', async (t) => {
  const { port } = await listening(
    t,
    createServer(() => {}),
  );
  const client = new ApiClient({ host: '127.0.0.1', port }, { timeoutMs: 20 });
  await t.throwsAsync(client.post('/services/create'), {
    instanceOf: ReplyLostError,
    message: /no answer within 0.02 s: it may have done what you asked; look before you try again$/,
  });
  await t.throwsAsync(client.get('/info'), { message: /no answer within 0.02 s$/ });
});

function tlsEndpoint(address: string, folder: string): Endpoint {
  const env = { DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: folder };
  return resolveEndpoint(`tcp://${address}`, env, 0);
}

/** A node's certificate under Docker's names. */
function certificatesOf(t: ExecutionContext, nodeFolder: string): string {
  const folder = folderOf(t);
  const names = {
    'ca.pem': 'swarm-root-ca.crt',
    'cert.pem': 'swarm-node.crt',
    'key.pem': 'swarm-node.key',
  };
  for (const [ours, theirs] of Object.entries(names))
    cpSync(join(nodeFolder, 'certificates', theirs), join(folder, ours));
  return folder;
}

test('with a manager’s certificate the API answers over TLS, with a worker’s or another cluster’s it does not', async (t) => {
  const manager = await testNode(t);
  const nodeId = await manager.init();
  const worker = await testNode(t);
  await worker.join(tokenOf(manager, 'Worker'), manager.address);
  const stranger = await testNode(t);
  await stranger.init();
  const ask = (folder: string, address = manager.address) =>
    new ApiClient(tlsEndpoint(address, folder), { managerTls }).get<{ ID: string }[]>('/nodes');
  const own = certificatesOf(t, manager.folder);
  t.true((await ask(own)).some(({ ID }) => ID === nodeId));
  await t.throwsAsync(ask(certificatesOf(t, worker.folder)), { message: /worker/ });
  await t.throwsAsync(ask(own, stranger.address), { message: /certificate|self-signed/ });
});

test('certificates that are missing are named', (t) => {
  const folder = folderOf(t);
  t.throws(() => tlsEndpoint('h:1', folder), {
    instanceOf: UsageError,
    message: /ca\.pem.*DOCKER_CERT_PATH/,
  });
  for (const name of ['ca.pem', 'cert.pem', 'key.pem']) writeFileSync(join(folder, name), 'x');
  t.throws(() => tlsEndpoint('h:1', folder), {
    instanceOf: UsageError,
    message: /not a certificate/,
  });
});

test('--tlsverify without tcp:// is refused', (t) => {
  t.throws(() => resolveEndpoint('unix:///x', {}, 0, true), { message: /--tlsverify is for/ });
  t.throws(() => resolveEndpoint(undefined, {}, 0, true), { message: /--tlsverify is for/ });
});

test('another authority has to vouch for the host’s name', async (t) => {
  const folder = folderOf(t);
  const [ca, key] = [join(folder, 'ca.pem'), join(folder, 'key.pem')];
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
      ...['-subj', '/CN=proxy/OU=swarm-manager/O=c', '-addext', 'subjectAltName=IP:127.0.0.1'],
      ...['-days', '2', '-keyout', key, '-out', ca],
    ],
    { stdio: 'pipe' },
  );
  cpSync(ca, join(folder, 'cert.pem'));
  const pair = { cert: readFileSync(ca), key: readFileSync(key) };
  const server = createTlsServer(pair, (_, response) => response.end('{"a":1}'));
  const { port } = await listening(t, server as never);
  t.deepEqual(await new ApiClient(tlsEndpoint(`127.0.0.1:${port}`, folder)).get('/info'), { a: 1 });
  await t.throwsAsync(new ApiClient(tlsEndpoint(`localhost:${port}`, folder)).get('/info'), {
    message: /localhost/,
  });
});
