import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Task } from '@swarm/api';
import type { TaskAttachment } from '@swarm/routing-mesh';
import test from 'ava';
import type { NetNamespaces } from '../src/runtime/process/net-namespaces.js';
import { PortPool } from '../src/runtime/process/port-pool.js';
import { ProcessSandboxes } from '../src/runtime/process/process-sandboxes.js';
import { sandboxSpec } from '../src/runtime/sandbox.js';
import { HTTP_PORT, makeTask, NODE_FACTS } from './support/make-task.js';
import { openProcessRuntime } from './support/process-harness.js';
import { ALL_LOGS, collect, text } from './support/real.js';
import { prepare } from './support/prepare.js';

const PORTS = [HTTP_PORT, { ...HTTP_PORT, TargetPort: 443, PublishedPort: 8443 }];

function webTask(id: string): Task {
  const script = 'echo "$HOST $PORT $PORT_80 $PORT_443"';
  return makeTask(`${id}x${process.pid}`, {
    container: { Command: ['/bin/sh', '-c', script], Args: [] },
    ports: PORTS,
    address: '10.240.1.9/32',
  });
}

test('Without root each task gets its own ports, and the mesh learns where they are', async (t) => {
  const harness = await openProcessRuntime(false);
  const attached: TaskAttachment[] = [];
  const network = {
    backend: 'userspace' as const,
    attach: async (task: TaskAttachment) => {
      attached.push(task);
    },
  };
  const seen = new Set<number>();
  for (const task of [webTask('p1'), webTask('p2')]) {
    const prepared = await prepare(harness.runtime, task, { network });
    t.is(prepared.address, '127.0.0.1');
    const targets = prepared.ports?.map(({ TargetPort }) => TargetPort) ?? [];
    t.deepEqual(
      prepared.ports?.map(({ PublishedPort }) => PublishedPort),
      [8080, 8443],
    );
    t.like(attached.at(-1), {
      taskId: task.ID,
      attachments: [{ networkId: 'ingress1', addresses: ['127.0.0.1/32'] }],
    });
    for (const port of targets) seen.add(port);
    await harness.runtime.start(task.ID, { started() {}, waiting() {} }).catch(() => {});
    await harness.runtime.wait(task.ID);
    const lines = await collect(harness.runtime.logs(task.ID, ALL_LOGS));
    t.deepEqual(lines.map(text), [`127.0.0.1 ${targets[0]} ${targets[0]} ${targets[1]}\n`]);
  }
  t.is(seen.size, 4, 'no port is given twice');
  for (const port of seen) t.true(await isClosed(port));
  await harness.close();
});

test('Without root a task listens where managers say that its node is, if that is on this host', async (t) => {
  const harness = await openProcessRuntime(false);
  const expected: [string, string][] = [
    ['127.0.77.51', '127.0.77.51'],
    ['::ffff:127.0.77.51', '127.0.77.51'],
    ['198.18.255.254', '127.0.0.1'],
    ['-p 22', '127.0.0.1'],
  ];
  for (const [i, [address, listens]] of expected.entries()) {
    const node = { ...NODE_FACTS, address };
    const prepared = await prepare(harness.runtime, webTask(`h${i}`), { node });
    t.is(prepared.address, listens);
    t.true(prepared.ports?.every(({ TargetPort }) => TargetPort >= 20_000 && TargetPort <= 29_999));
  }
  await harness.close();
});

test('An adopted task keeps its ports, and the mesh hears of them again', async (t) => {
  const harness = await openProcessRuntime(false);
  const task = webTask('p3');
  const before = await prepare(harness.runtime, task);
  const runtime = await harness.reopen();
  let attached: TaskAttachment | undefined;
  const network = {
    backend: 'userspace' as const,
    attach: async (attachment: TaskAttachment) => {
      attached = attachment;
    },
  };
  t.deepEqual(await prepare(runtime, task, { network }), before);
  t.deepEqual(
    attached?.attachments.map(({ addresses }) => addresses),
    [['127.0.0.1/32']],
  );
  await harness.close();
});

function isClosed(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => resolve(true));
    socket.on('connect', () => {
      socket.destroy();
      resolve(false);
    });
  });
}

test('With root, a mesh in user space still reaches a task: it gets ports of the host, and no namespace', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'swarm-sandboxes-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const made: string[] = [];
  const namespaces = {
    path: (name: string) => `/run/netns/${name}`,
    add: async (name: string) => void made.push(name),
    raiseLoopback: async () => {},
    remove: async () => {},
  } as unknown as NetNamespaces;
  const sandboxes = new ProcessSandboxes({
    folder,
    namespaces,
    ports: new PortPool(Math.random),
    privileged: true,
    bootId: 'boot',
  });
  await sandboxes.adopt();
  const task = webTask('r');
  const inUserSpace = await sandboxes.create(sandboxSpec(task, NODE_FACTS, 'userspace'));
  t.is(inUserSpace.netns, undefined);
  t.is(inUserSpace.address, '127.0.0.1');
  t.is(inUserSpace.ports?.length, 2);
  t.deepEqual(made, []);
  const linked = await sandboxes.create(sandboxSpec(webTask('s'), NODE_FACTS, 'nftables'));
  t.truthy(linked.netns);
  t.is(linked.ports, undefined);
});
