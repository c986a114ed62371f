import { chmodSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { systemProblem } from '@swarm/api/client';
import test from 'ava';
import { DaemonError } from '../src/client/api-client.js';
import { explain } from '../src/explain.js';
import { main } from '../src/main.js';
import { command } from './support/fake-daemon.js';
import { folderOf } from './support/folder.js';
import { noNode } from './support/no-node.js';
import { OURS } from './support/owners.js';
import { recorder } from './support/recorder.js';

async function swarm(...argv: string[]) {
  const output = recorder();
  const node = () => import('@swarm/node');
  return { code: await main(argv, { output, node }), out: output.out, err: output.err };
}

test("the daemon's advice names our commands, and leaves all else as it is", (t) => {
  const said = (message: string) => explain(new DaemonError(503, message));
  const start = 'Error response from daemon: ';
  t.is(
    said(
      'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join another one.',
    ),
    `${start}This node is already part of a swarm. Use "swarm leave" to leave this swarm and join another one.`,
  );
  t.is(
    said("run 'docker node demote', then `docker swarm init --x`"),
    `${start}run 'swarm node demote', then \`swarm init --x\``,
  );
  t.is(said('Use the "docker info" command'), `${start}Use the "swarm info" command`);
  t.is(said('Use "docker service ls"'), `${start}Use "swarm service ls"`);
  for (const other of [
    'no service "docker-swarm"',
    'docker swarm is a name',
    '"docker run" is not ours',
  ])
    t.is(said(other), start + other);
});

/** How Node.js writes what the system refused. */
const RAW = /\bE[A-Z]{3,}\b|, (open|lstat|stat|mkdir|connect|read) '/;

/** Lines that meet a file or a folder that is not what they need, and what they say. */
const FILES: readonly (readonly [readonly string[], RegExp])[] = [
  [
    ['backup', '/nope/x'],
    /^\/nope\/x: there is no folder \/nope: create it, or use another path\n$/,
  ],
  [['backup', '/etc/passwd/x'], /^\/etc\/passwd\/x: there is no folder \/etc\/passwd: /],
  [['restore', '/nope'], /^\/nope: no such file or folder\n$/],
  [['restore', '/etc'], /is a folder, not a file\n$/],
  [
    ['service', 'create', '--env-file', '/nope', 'x'],
    /^--env-file \/nope: no such file or folder\n$/,
  ],
  [
    ['service', 'create', '--env-file', '/etc', 'x'],
    /^--env-file \/etc: is a folder, not a file\n$/,
  ],
  [['raft', 'status', '--data-root', '/nope'], /\/nope/],
  [['raft', 'verify', '--data-root', '/etc/passwd'], /\/etc\/passwd/],
  [['--host', 'unix:///etc/passwd', 'node', 'ls'], /unix:\/\/\/etc\/passwd/],
  [
    ['--host', 'unix:///nope/x/y', 'node', 'ls'],
    /^no swarm daemon responds at unix:\/\/\/nope\/x\/y: /,
  ],
  [
    ['--host', 'tcp://127.0.0.1:1', 'node', 'ls'],
    /^no swarm daemon responds at tcp:\/\/127.0.0.1:1: /,
  ],
];
for (const [argv, message] of FILES) {
  test(`'swarm ${argv.join(' ')}' says in words what is wrong`, async (t) => {
    // Never a daemon of this host.
    const { code, out, err } = await (argv[0] === '--host'
      ? swarm(...argv)
      : command(t, {}, ...argv));
    t.deepEqual([code, out], [1, '']);
    t.regex(err, message);
    t.notRegex(err, RAW);
  });
}

test('a file that may not be read says so', async (t) => {
  if (OURS === 0) {
    t.pass('root may read everything');
    return;
  }
  const file = join(folderOf(t), 'env');
  writeFileSync(file, '');
  chmodSync(file, 0);
  const { err } = await swarm('service', 'create', '--env-file', file, 'x');
  t.is(err, `--env-file ${file}: permission denied\n`);
});

test('any other refusal of the system is put into words, with what it is about', (t) => {
  const error = Object.assign(new Error("ENOSPC: no space left on device, mkdir '/x'"), {
    ...{ code: 'ENOSPC', errno: -28, syscall: 'mkdir', path: '/x' },
  });
  t.is(explain(error), '/x: no space left on device');
  const listen = Object.assign(
    new Error('listen EADDRINUSE: address already in use 127.0.0.1:80'),
    {
      ...{ code: 'EADDRINUSE', errno: -98, syscall: 'listen', address: '127.0.0.1', port: 80 },
    },
  );
  t.is(explain(listen), '127.0.0.1:80: address already in use');
});

test('of a name with several addresses, the first refusal counts', (t) => {
  const refused = Object.assign(new Error('connect ECONNREFUSED ::1:1'), {
    ...{ code: 'ECONNREFUSED', errno: -111, syscall: 'connect' },
  });
  t.is(systemProblem(new AggregateError([refused, new Error('x')])), 'connection refused');
  t.is(systemProblem(new Error('plain')), 'plain');
});

test('a daemon that hangs up says nothing of sockets', async (t) => {
  const folder = folderOf(t);
  const socket = join(folder, 'daemon.sock');
  const server = createServer((request) => request.socket.destroy());
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  t.teardown(() => server.close());
  const output = recorder();
  t.is(await main(['--host', `unix://${socket}`, 'node', 'ls'], { output, node: noNode }), 1);
  t.is(
    output.err,
    `unix://${socket}: the daemon closed the connection before it answered: it may be stopping, and its log says why\n`,
  );
});

test('what is wrong with a service comes without the warning about its image', async (t) => {
  const refused = { 'POST /services/create': { status: 400, message: 'invalid name' } };
  const create = ['service', 'create', '-d', '--name', '!', 'nginx:1'];
  const { code, err } = await command(t, refused, ...create);
  t.deepEqual([code, err], [1, 'Error response from daemon: invalid name\n']);
  const service = {
    ...{ ID: 's1', Version: { Index: 1 } },
    Spec: { Name: 'web', TaskTemplate: { ContainerSpec: { Image: 'x' } }, Mode: {} },
  };
  const answers = {
    'GET /services/web': service,
    'POST /services/s1/update': { status: 400, message: 'invalid image' },
  };
  const update = await command(t, answers, 'service', 'update', '-d', '--image', 'y:1', 'web');
  t.deepEqual([update.code, update.err], [1, 'Error response from daemon: invalid image\n']);
});
