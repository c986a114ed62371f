import { createServer } from 'node:http';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { ApiClient, DaemonUnreachableError } from '../src/client/api-client.js';
import { defaultSocket } from '@swarm/api';
import { describeEndpoint, resolveEndpoint } from '../src/client/endpoint.js';
import { main } from '../src/main.js';
import { noNode } from './support/no-node.js';
import { recorder } from './support/recorder.js';

test('--host goes before $SWARM_HOST, which goes before the own socket', (t) => {
  const env = { SWARM_HOST: 'unix:///env.sock', XDG_RUNTIME_DIR: '/nowhere/run' };
  t.deepEqual(resolveEndpoint('unix:///given.sock', env, 1000), { socketPath: '/given.sock' });
  t.deepEqual(resolveEndpoint(undefined, env, 1000), { socketPath: '/env.sock' });
});

test('root has its socket under /run, others under their runtime folder', (t) => {
  const path = (env: NodeJS.ProcessEnv, uid: number) => defaultSocket(env, uid).socketPath;
  t.is(path({ XDG_RUNTIME_DIR: '/x' }, 0), '/run/swarm/swarm.sock');
  t.is(path({ XDG_RUNTIME_DIR: '/run/user/7' }, 7), '/run/user/7/swarm/swarm.sock');
  t.is(path({}, 7), '/tmp/swarm-7/swarm/swarm.sock');
  t.is(path({ XDG_RUNTIME_DIR: 'relative' }, 7), '/tmp/swarm-7/swarm/swarm.sock');
});

test('endpoints are printed in the form in which they are given', (t) => {
  t.is(describeEndpoint({ socketPath: '/a' }), 'unix:///a');
  t.is(describeEndpoint({ host: 'h', port: 1 }), 'tcp://h:1');
  t.is(describeEndpoint({ host: '::1', port: 1 }), 'tcp://[::1]:1');
});

for (const host of [
  'h',
  'tcp://h',
  'tcp://h:x',
  'http://h:1',
  'tcp://:1',
  'unix:/x',
  'tcp://h:1/x',
  'tcp://h:0',
  'tcp://fd00::1:2377',
]) {
  test(`a host written '${host}' is refused`, async (t) => {
    const output = recorder();
    t.is(await main(['--host', host, 'node', 'ls'], { output, node: noNode }), 1);
    t.is(output.err, `bad host '${host}': use unix://PATH or tcp://HOST:PORT\n`);
  });
}

test('if no daemon responds, the error says how to start one', async (t) => {
  const client = new ApiClient({ socketPath: '/nonexistent/swarm.sock' });
  t.false(await client.ping());
  const error = await t.throwsAsync(client.get('/info'), { instanceOf: DaemonUnreachableError });
  t.regex(error!.message, /unix:\/\/\/nonexistent\/swarm\.sock.*swarm init/);
});

test('a daemon that breaks off in its answer is an error', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'swarm-cli-'));
  const socketPath = join(folder, 'd.sock');
  const server = createServer((_, response) => {
    response.writeHead(200, { 'content-length': 100 });
    response.write('[', () => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  t.teardown(() => {
    server.close();
    rmSync(folder, { recursive: true });
  });
  await t.throwsAsync(new ApiClient({ socketPath }).get('/info'));
});
