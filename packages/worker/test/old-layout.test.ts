import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { until } from '@swarm/sim';
import { attachedSandbox } from '../src/agent/task-sandbox.js';
import { bootId } from '../src/runtime/process/proc.js';
import { PROGRESS } from './support/host-task.js';
import { HTTP_PORT, makeTask, NODE_FACTS } from './support/make-task.js';
import { IS_ROOT, openProcessRuntime, type ProcessHarness } from './support/process-harness.js';
import { ALL_LOGS, collect, text } from './support/real.js';

// Tasks that a daemon prepared before sandboxes had records of their own: one folder for each task, whose
// manifest names the network. They run on when the daemon is replaced by this version.

const { signal } = new AbortController();
const SCRIPT = 'trap "exit 6" TERM; echo up; while :; do sleep 0.05; done';
let counter = 0;

/** Writes a task's folder as that version did, with `change` for what depends on the host. */
function writeOldTask(harness: ProcessHarness, change: object): string {
  counter += 1;
  const taskId = `old${process.pid}x${counter}`;
  const folder = join(harness.folder, 'tasks', taskId);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const manifest = {
    version: 2,
    taskId,
    bootId: bootId(),
    env: { PATH: '/usr/bin:/bin', HOSTNAME: 'old', HOME: '/tmp', SWARM_TASK_ID: taskId },
    directory: '/',
    wrappers: [],
    command: ['/bin/sh', '-c', SCRIPT],
    logLimitBytes: 16 * 1024 * 1024,
    cgroupFiles: [],
    hasCgroup: false,
    isolated: false,
    ownsUser: false,
    ...change,
  };
  writeFileSync(join(folder, 'task.json'), JSON.stringify(manifest), { mode: 0o600 });
  return taskId;
}

async function runs(harness: ProcessHarness, taskId: string): Promise<void> {
  await harness.runtime.list();
  await harness.runtime.start(taskId, PROGRESS);
  await until('it is up', async () => {
    const lines = await collect(harness.runtime.logs(taskId, ALL_LOGS));
    return lines.map(text).join('') === 'up\n';
  });
}

const NO_OBJECTS = { get: () => undefined };

test('A running task of an older daemon without root is adopted with its ports', async (t) => {
  const harness = await openProcessRuntime(false);
  try {
    const ports = [{ ...HTTP_PORT, TargetPort: 21_234 }];
    const taskId = writeOldTask(harness, { address: '127.0.0.1', ports });
    await runs(harness, taskId);
    const pid = harness.runtime.pid(taskId);
    const runtime = await harness.reopen();
    t.like(await runtime.list(), [{ taskId, sandboxId: taskId, state: 'running' }]);
    t.deepEqual(await runtime.listSandboxes(), [taskId]);
    t.is(runtime.pid(taskId), pid);
    const attached: unknown[] = [];
    const network = {
      backend: 'userspace' as const,
      attach: async (attachment: unknown) => {
        attached.push(attachment);
      },
    };
    const task = makeTask(taskId, { ports: [HTTP_PORT], address: '10.240.1.9/32' });
    const context = { runtime, network, node: NODE_FACTS, objects: NO_OBJECTS, signal };
    t.deepEqual(await attachedSandbox(task, context), { id: taskId, address: '127.0.0.1', ports });
    t.like(attached, [{ taskId, attachments: [{ addresses: ['127.0.0.1/32'] }], netns: '' }]);
    await runtime.stopSandbox(taskId, { graceMs: 10_000 });
    t.like(await runtime.wait(taskId), { kind: 'exit', code: 6 });
    t.deepEqual(await runtime.listSandboxes(), []);
    await runtime.removeSandbox(taskId);
    t.deepEqual(readdirSync(join(harness.folder, 'tasks')), []);
  } finally {
    await harness.close();
  }
});

(IS_ROOT ? test : test.skip)(
  'A running task of an older daemon with root is adopted with its network namespace',
  async (t) => {
    const harness = await openProcessRuntime(true);
    try {
      const user = { uid: 2_100_000_123, gid: 2_100_000_123, groups: [], home: '/tmp' };
      const netns = `swarm-old${process.pid}x${counter + 1}`;
      const taskId = writeOldTask(harness, { netns, user, isolated: true, ownsUser: true });
      execFileSync('ip', ['netns', 'add', netns]);
      await runs(harness, taskId);
      const pid = harness.runtime.pid(taskId);
      const manifest = readFileSync(join(harness.folder, 'tasks', taskId, 'task.json'), 'utf8');
      t.false(manifest.includes('sandbox'), 'nothing rewrote it');
      const runtime = await harness.reopen();
      t.like(await runtime.list(), [{ taskId, sandboxId: taskId, state: 'running' }]);
      t.is(runtime.pid(taskId), pid);
      const task = makeTask(taskId, { address: '10.240.1.9/32' });
      const network = { backend: 'nftables' as const, attach: async () => {} };
      const context = { runtime, network, node: NODE_FACTS, objects: NO_OBJECTS, signal };
      const sandbox = await attachedSandbox(task, context);
      t.deepEqual(sandbox, { id: taskId, netns: `/run/netns/${netns}` });
      t.is(inode(`/proc/${pid}/ns/net`), inode(sandbox.netns!));
      await runtime.stopSandbox(taskId, { graceMs: 10_000 });
      t.like(await runtime.wait(taskId), { kind: 'exit', code: 6 });
      t.false(existsSync(sandbox.netns!));
      t.deepEqual(await runtime.listSandboxes(), []);
    } finally {
      await harness.close();
    }
  },
);

test('What an older daemon left of ended and of half-made tasks is removed with them', async (t) => {
  const harness = await openProcessRuntime(IS_ROOT);
  try {
    const half = `half${process.pid}`;
    mkdirSync(join(harness.folder, 'tasks', half), { recursive: true });
    const other = writeOldTask(harness, { bootId: 'another boot' });
    if (IS_ROOT) execFileSync('ip', ['netns', 'add', `swarm-${half}`]);
    t.deepEqual(await harness.runtime.list(), []);
    t.deepEqual(await harness.runtime.listSandboxes(), []);
    t.false(existsSync(`/run/netns/swarm-${half}`));
    t.false(existsSync(join(harness.folder, 'tasks', other)));
  } finally {
    await harness.close();
  }
});

function inode(path: string): string {
  return execFileSync('stat', ['-L', '-c', '%i', path]).toString();
}
