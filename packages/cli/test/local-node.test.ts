import * as node from '@swarm/node';
import { daemonOptions, testNode } from '@swarm/node/testing';
import { join } from 'node:path';
import test from 'ava';
import { DAEMON } from '../src/commands/daemon.js';
import type { LocalNode } from '../src/local-node.js';
import { main } from '../src/main.js';
import { folderOf } from './support/folder.js';
import { noNode } from './support/no-node.js';
import { recorder } from './support/recorder.js';

/** The launcher is no TypeScript: here the compiler sees that what it passes in fits. */
const OURS: LocalNode = node;

const ENV = { HOME: '/home/u' };

test('flags of the daemon reach the node as they were given, those not given do not', async (t) => {
  const given: unknown[] = [];
  const runDaemon: LocalNode['runDaemon'] = async (flags) => {
    given.push(flags);
    return 3;
  };
  const run = (...argv: string[]) =>
    main(['daemon', ...argv], { output: recorder(), node: async () => ({ ...OURS, runDaemon }) });
  t.is(await run('--label', 'a=1', '--label', 'b=2', '--mesh', 'userspace'), 3);
  t.is(await run(), 3);
  t.deepEqual(given, [{ label: ['a=1', 'b=2'], mesh: 'userspace' }, {}]);
});

test('the node knows every flag of the daemon, and its defaults are those in the help', (t) => {
  const unsaid = daemonOptions({}, ENV, 7);
  for (const [name, { type, default: shown }] of Object.entries(DAEMON.flags)) {
    if (shown !== undefined) t.deepEqual(daemonOptions({ [name]: shown }, ENV, 7), unsaid, name);
    else if (name === 'mesh-bind')
      t.notThrows(() => daemonOptions({ [name]: ['127.0.0.1', '::1'] }, ENV, 7), name);
    else if (type === 'list') t.notThrows(() => daemonOptions({ [name]: ['a=1'] }, ENV, 7), name);
    else t.notDeepEqual(daemonOptions({ [name]: '/x' }, ENV, 7), unsaid, name);
  }
  t.throws(() => daemonOptions({ 'no-such': 'x' }, ENV, 7), { message: /unknown flag: --no-such/ });
});

test('flags of the daemon that cannot work are refused before it starts', (t) => {
  for (const [flags, message] of [
    [{ 'mesh-bind': ['eth0'] }, /'eth0' for --mesh-bind: use an IP address of this host/],
    [{ socket: '' }, /flag needs an argument: --socket/],
    [{ 'data-root': '' }, /flag needs an argument: --data-root/],
  ] as const)
    t.throws(() => daemonOptions(flags, ENV, 7), { message });
});

test('a command line that is wrong starts no daemon', async (t) => {
  const lines = [
    ['init', '--data-path-port', 'x'],
    ['init', '--cert-expiry', 'x'],
    ['init', '--availability', 'x'],
    ['join', '--availability', 'x', '--token', 'x', '192.0.2.1'],
    ['join', '192.0.2.1'],
    ['restore', '/none'],
    ['restore', '/etc'],
  ];
  const socket = join(folderOf(t), 'daemon.sock');
  for (const line of lines) {
    const output = recorder();
    const code = await main(['--host', `unix://${socket}`, ...line], { output, node: noNode });
    t.is(code, 1, line.join(' '));
    t.notRegex(output.err, /asked for the node/, line.join(' '));
  }
});

test('commands that ask a daemon never load the node', async (t) => {
  for (const argv of [['version'], ['daemon', '--help'], ['--help']]) {
    const output = recorder();
    t.is(await main(argv, { output, node: noNode }), 0, argv.join(' '));
    t.is(output.err, '');
  }
});

test('a data root is inspected once its daemon has ended, and only then', async (t) => {
  const manager = await testNode(t);
  await manager.init();
  const raft = async (...argv: string[]) => {
    const output = recorder();
    const options = { output, node: async () => OURS };
    const code = await main(['raft', ...argv, '--data-root', manager.folder], options);
    return { code, out: output.out, err: output.err };
  };
  t.regex((await raft('verify')).err, /in use.*'swarm raft status' without --data-root/);
  await manager.end();
  const { code, out } = await raft('verify');
  t.is(code, 0);
  t.regex(out, /^Objects: {2}.*cluster 1/m);
  t.regex((await raft('inspect')).out, /\tchanges\t\d+\tcreate cluster \w+/);
  const [summary, ...entries] = (await raft('dump')).out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.is(summary.lastIndex, entries.at(-1).index);
  t.deepEqual(JSON.parse((await raft('status', '--json')).out), summary);
  const empty = await main(['raft', 'verify', '--data-root', folderOf(t)], {
    ...{ output: recorder(), node: async () => OURS },
  });
  t.is(empty, 1);
});
