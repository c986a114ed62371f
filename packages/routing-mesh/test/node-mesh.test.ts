import { type MeshDelta, type MeshState, type PortKey, silentLogger } from '@swarm/api';
import test from 'ava';
import { until, VirtualClock } from '@swarm/sim';
import type { HostPort } from '../src/mesh.js';
import { parseNetworkId, parseTaskId } from '../src/layout.js';
import { NodeMesh } from '../src/node-mesh.js';
import { ip, rawPeer } from './support/checked.js';
import { FakeParts } from './support/fake-parts.js';

const state = (generation: number, ...indexes: number[]): MeshState => ({
  generation,
  peers: indexes.map(rawPeer),
  ports: [
    {
      protocol: 'tcp',
      publishedPort: 8080,
      serviceId: 's',
      endpoints: [{ taskId: 't', nodeId: 'node2', address: '10.240.2.2', port: 80 }],
    },
  ],
});
const attachment = (taskId: string, ...hostPorts: number[]) => ({
  taskId,
  netns: '/run/netns/x',
  attachments: [
    { networkId: 'net1', addresses: ['10.240.1.2/32', 'fd00::2/128'] },
    { networkId: 'net2', addresses: ['10.240.1.3/32'] },
  ],
  hostPorts: hostPorts.map(
    (publishedPort): HostPort => ({ protocol: 'tcp', publishedPort, targetPort: 80 }),
  ),
});

const CHECK_MS = 1000;
/** Of a task's only link. */
const PLACE = { place: 0, traits: undefined };

async function started(ownPorts: readonly PortKey[] = [], limitsProblem?: string) {
  const fake = new FakeParts();
  const clock = new VirtualClock();
  const mesh = new NodeMesh({
    parts: { ...fake.parts, limitsProblem },
    checkIntervalMs: CHECK_MS,
    ownPorts: () => ownPorts,
    logger: silentLogger,
    clock,
  });
  await mesh.start(rawPeer(1));
  return { mesh, fake, clock };
}

test('a start makes the node’s own end, then writes what nothing leads to yet', async (t) => {
  const { mesh, fake } = await started();
  t.deepEqual(fake.take(), [
    'tunnel.start',
    'paths.start 1450',
    'balancer.start',
    'transaction.start',
    'commit',
  ]);
  await mesh.start(rawPeer(1));
  t.deepEqual(fake.take(), [], 'nothing is new');
  await t.throwsAsync(mesh.start({ ...rawPeer(1), subnet: '10.240.9.0/24' }), {
    instanceOf: RangeError,
    message: /no place in 10\.240\.0\.0\/12: its block is not 10\.240\.1\.0\/24/,
  });
});

test('a state: new ways first, one commit, then ways that are gone, then connections', async (t) => {
  const { mesh, fake } = await started();
  fake.take();
  await mesh.apply(state(7, 1, 2));
  t.deepEqual(fake.take(), [
    'tunnel.reach node1 node2',
    'balancer.apply',
    'overlay.apply 0',
    'commit',
    'names.apply 0',
    'paths.follow node1 node2',
    'tunnel.prune node1 node2',
    'overlay.settle',
    'balancer.settle',
  ]);
  t.is(mesh.generation, 7);
});

test('a change takes the same way without the nodes, and names what it touched', async (t) => {
  const { mesh, fake } = await started();
  const delta = (base: number, more: Partial<MeshDelta> = {}): MeshDelta => ({
    ...{ base, generation: base + 1, peers: [], removedPeers: [], removedPorts: [] },
    ports: [{ ...state(1).ports[0]!, publishedPort: 8081 }],
    ...more,
  });
  t.false(await mesh.change(delta(0)), 'nothing is held yet');
  await mesh.apply(state(7, 1, 2));
  fake.take();
  t.true(await mesh.change(delta(7)));
  t.deepEqual(fake.take(), [
    'balancer.apply',
    'overlay.apply 0',
    'commit',
    'names.apply 0',
    'overlay.settle',
    'balancer.settle',
  ]);
  t.is(mesh.generation, 8);
  t.deepEqual([...fake.slices.at(-1)!.touched!], ['tcp/8081']);
  t.deepEqual([...fake.slices.at(-1)!.ports.keys()], ['tcp/8080', 'tcp/8081']);

  t.false(await mesh.change(delta(7)), 'another base');
  t.false(await mesh.change(delta(8, { peers: [rawPeer(3)] })), 'another node');
  t.false(await mesh.change(delta(8, { removedPeers: ['node2'] })));
  t.deepEqual(fake.take(), [], 'only a whole state will do');

  fake.during.set('names.apply', async () => {
    throw new Error('no resolver');
  });
  await t.throwsAsync(mesh.change(delta(8)), { message: 'no resolver' });
  fake.during.clear();
  t.false(await mesh.change(delta(8)), 'some parts hold it and some do not');
  await mesh.apply(state(9, 1, 2));
  t.true(await mesh.change(delta(9)));
});

test('each part gets its slice only, and nothing leads to a peer without a way', async (t) => {
  const { mesh, fake } = await started();
  fake.refused = new Set(['node2']);
  await mesh.apply(state(1, 1, 2));
  const [slice] = fake.slices;
  t.deepEqual(Object.keys(slice!).sort(), ['peers', 'ports', 'touched']);
  t.deepEqual([...slice!.peers.keys()], ['node1']);
  t.true(fake.take().includes('tunnel.prune node1'));
});

test('endpoints on nodes that are not reached are left out, at once, while there are others', async (t) => {
  const { mesh, fake } = await started();
  const [port] = state(1).ports;
  const more = { taskId: 'u', nodeId: 'node3', address: '10.240.3.2', port: 80 };
  const both = { ...port!, endpoints: [...port!.endpoints, more] };
  await mesh.apply({ ...state(1, 1, 2, 3), ports: [both, { ...port!, publishedPort: 8081 }] });
  const served = () =>
    [...fake.slices.at(-1)!.ports.values()].map(({ endpoints }) =>
      endpoints.map(({ taskId }) => taskId),
    );
  const held = async (expected: string[][]) => {
    await until('the slice follows', () => String(served()) === String(expected));
    t.deepEqual(served(), expected);
  };
  await held([['t', 'u'], ['t']]);
  fake.findProblem('node2', 'mtu');
  await held([['u'], ['t']]);
  t.like(mesh.paths?.Problems, [{ NodeID: 'node2', Kind: 'mtu' }]);
  fake.findProblem('node3', 'blocked');
  await held([['t', 'u'], ['t']]);
  fake.findProblem('node2', undefined);
  await held([['t'], ['t']]);
  t.is(mesh.generation, 1);
  t.false(fake.slices.at(-1)!.peers.size < 3, 'their ways stay');
});

test('of states that arrive while one is applied, the newest follows, and calls to parts never overlap', async (t) => {
  const { mesh, fake } = await started();
  fake.take();
  await Promise.all([
    mesh.apply(state(1, 1)),
    mesh.apply(state(2, 1)),
    mesh.apply(state(3, 1)),
    mesh.attach(attachment('task1', 80)).then(() => mesh.detach('task1')),
    mesh.apply(state(4, 1)),
  ]);
  t.is(mesh.generation, 4);
  t.true(fake.slices.length <= 2, `${fake.slices.length} states were held`);
  t.is(fake.mostAtOnce, 1);
});

test('an older state than the one held changes nothing', async (t) => {
  const { mesh, fake } = await started();
  await mesh.apply(state(5, 1));
  fake.take();
  await mesh.apply(state(4, 1, 2));
  t.deepEqual(fake.take(), []);
  t.is(mesh.generation, 5);
});

test('a commit that fails reaches the caller, removes no way, and the generation is not held', async (t) => {
  const { mesh, fake } = await started();
  await mesh.apply(state(5, 1, 2));
  fake.take();
  fake.during.set('commit', () => Promise.reject(new Error('refused')));
  await t.throwsAsync(mesh.apply(state(6, 1)), { message: 'refused' });
  t.false(fake.take().some((call) => /prune|settle/.test(call)));
  t.is(mesh.generation, 0);
  fake.during.clear();
  await mesh.apply(state(6, 1));
  t.is(mesh.generation, 6);
});

test('a task: links, names, host ports; and back: host ports, links, names', async (t) => {
  const { mesh, fake } = await started();
  fake.take();
  await mesh.attach(attachment('task1', 80));
  t.deepEqual(fake.take(), [
    'links.attach task1 1450',
    'overlay.attach task1',
    'balancer.attach task1 10.240.1.2 fd00::2 10.240.1.3',
  ]);
  await mesh.detach('task1');
  t.deepEqual(fake.take(), [
    'balancer.detach task1',
    'links.detach task1',
    'names.detach task1',
    'overlay.detach task1',
    'balancer.cut 10.240.1.2 fd00::2 10.240.1.3',
  ]);
});

test('a task on an overlay network: its names and networks are complete before it may run', async (t) => {
  const { mesh, fake } = await started();
  await mesh.apply(state(7, 1, 2));
  fake.take();
  const overlay = {
    networkId: 'backend',
    name: 'backend',
    subnets: ['10.0.1.0/24'],
    isInternal: false,
    isEncrypted: false,
  };
  const attachments = [{ networkId: 'backend', overlay, addresses: ['10.0.1.7/32'] }];
  await mesh.attach({ taskId: 'task1', netns: '/run/netns/task1', attachments });
  t.deepEqual(fake.take(), [
    'links.attach task1 1450',
    'overlay.attach task1',
    'names.attach task1',
    'overlay.apply 1',
    'commit',
    'names.apply 1',
    'overlay.settle',
    'balancer.attach task1 10.0.1.7',
  ]);
  await mesh.detach('task1');
  t.deepEqual(fake.take(), [
    'balancer.detach task1',
    'links.detach task1',
    'names.detach task1',
    'overlay.detach task1',
    'overlay.apply 0',
    'commit',
    'names.apply 0',
    'overlay.settle',
    'balancer.cut 10.0.1.7',
  ]);
});

test('encrypted networks of a task are covered from before it has links until it has none', async (t) => {
  const { mesh, fake } = await started();
  await mesh.apply(state(7, 1, 2));
  fake.isUncoveringTold = true;
  const on = (name: string, subnet: number) => ({
    networkId: name,
    overlay: {
      networkId: name,
      name,
      subnets: [`10.0.${subnet}.0/24`],
      isInternal: false,
      isEncrypted: true,
    },
    addresses: [`10.0.${subnet}.7/32`],
  });
  const attach = (...attachments: ReturnType<typeof on>[]) =>
    mesh.attach({ taskId: 'task1', netns: '/run/netns/task1', attachments });
  const coversAndLinks = () => fake.take().filter((call) => /^encryption|^links|commit/.test(call));
  coversAndLinks();
  await attach(on('one', 1), on('two', 2));
  t.deepEqual(coversAndLinks(), [
    'encryption.cover task1 one two',
    'links.attach task1 1450',
    'encryption.cover task1 one two',
    'commit',
  ]);
  // The link that goes may carry packets until it is gone.
  await attach(on('two', 2), on('three', 3));
  t.deepEqual(coversAndLinks(), [
    'encryption.cover task1 one two two three',
    'links.attach task1 1450',
    'encryption.cover task1 two three',
    'commit',
  ]);
  await mesh.detach('task1');
  t.deepEqual(coversAndLinks(), ['links.detach task1', 'commit', 'encryption.uncover task1']);
  await attach(on('one', 1));
  coversAndLinks();
  await mesh.retain(new Set());
  t.deepEqual(coversAndLinks(), ['links.retain ', 'commit', 'encryption.uncover task1']);
  // One that could not be linked is covered until nothing of it is left.
  fake.during.set('links.attach', () => Promise.reject(new Error('no namespace')));
  await t.throwsAsync(attach(on('one', 1)), { message: 'no namespace' });
  t.deepEqual(coversAndLinks(), [
    'encryption.cover task1 one',
    'links.attach task1 1450',
    'links.detach task1',
    'encryption.uncover task1',
  ]);
});

test('a host port has one task; it is free again when that task goes, or could not be attached', async (t) => {
  const { mesh, fake } = await started();
  await mesh.attach(attachment('task1', 80));
  fake.take();
  await t.throwsAsync(mesh.attach(attachment('task2', 81, 80)), {
    message: /tcp\/80 of task task2 belongs to task task1/,
  });
  t.deepEqual(fake.take(), [], 'no part hears of it');
  await t.throwsAsync(mesh.attach(attachment('task2', 82, 82)), {
    message: /names a host port twice/,
  });
  await mesh.attach(attachment('task1', 80));
  fake.during.set('links.attach', () => Promise.reject(new Error('no namespace')));
  await t.throwsAsync(mesh.attach(attachment('task3', 83)), { message: 'no namespace' });
  fake.during.clear();
  await mesh.attach(attachment('task4', 83));
  await mesh.detach('task1');
  await t.notThrowsAsync(mesh.attach(attachment('task5', 80)));
});

test('a task whose attachments are no lists of addresses is refused before any part hears of it', async (t) => {
  const { mesh, fake } = await started();
  fake.take();
  const good = attachment('task1');
  for (const attachments of [
    [],
    [{ networkId: 'net1', addresses: [] }],
    [{ networkId: 'net1', addresses: ['10.240.1.2'] }],
    [{ networkId: 'net1', addresses: ['10.240.1.2/33'] }],
    [{ networkId: 'a b', addresses: ['10.240.1.2/32'] }],
    [...good.attachments, { networkId: 'net1', addresses: ['10.240.1.9/32'] }],
    Array.from({ length: 17 }, (_, i) => ({
      networkId: `net${i}`,
      addresses: [`10.240.1.${9 + i}/32`],
    })),
  ]) {
    await t.throwsAsync(mesh.attach({ ...good, attachments }), { instanceOf: RangeError });
  }
  t.deepEqual(fake.take(), []);
});

test('an earlier process’s table is left alone until the first state; its host ports are taken', async (t) => {
  const fake = new FakeParts();
  const clock = new VirtualClock();
  const task = parseTaskId('old1')!;
  const port: HostPort = { protocol: 'tcp', publishedPort: 80, targetPort: 80 };
  fake.earlier = {
    links: [
      { taskId: task, networkId: parseNetworkId('net1'), ...PLACE, addresses: [ip('10.240.1.2')] },
      {
        taskId: parseTaskId('old2'),
        networkId: undefined,
        ...PLACE,
        addresses: [ip('10.240.1.4')],
      },
      { taskId: undefined, networkId: undefined, ...PLACE, addresses: [] },
    ],
    hostPorts: new Map([[task, [port]]]),
  };
  const options = { logger: silentLogger, clock };
  const mesh = new NodeMesh({ parts: fake.parts, checkIntervalMs: CHECK_MS, ...options });
  await mesh.start(rawPeer(1));
  t.false(fake.take().includes('commit'));
  await clock.advance(CHECK_MS);
  await mesh.detach('unknown');
  t.false(
    fake.take().some((call) => /repair/.test(call)),
    'what stands is not ours yet',
  );
  await t.throwsAsync(mesh.attach(attachment('task2', 80)), { message: /belongs to task old1/ });
  await mesh.retain(new Set(['old1']));
  t.deepEqual(fake.take(), [
    'balancer.detach old2',
    'links.retain old1',
    'names.detach old2',
    'overlay.detach old2',
    'balancer.cut 10.240.1.4',
  ]);
  await mesh.apply(state(1, 1));
  t.true(fake.take().includes('commit'));
});

test('the check repairs what was damaged or rejected', async (t) => {
  const { mesh, fake, clock } = await started();
  await mesh.apply(state(1, 1, 2));
  const check = async (): Promise<string[]> => {
    fake.take();
    await clock.advance(CHECK_MS);
    // The other timers look for taken ports and refused clients.
    await clock.until(() => clock.pending > 2, 'the check is done');
    return fake.take();
  };
  t.deepEqual(await check(), ['tunnel.repair', 'transaction.repair', 'balancer.repair']);
  fake.isDamaged = true;
  t.true((await check()).includes('tunnel.reach node1 node2'));
  fake.isDamaged = false;
  fake.isRetryDue = true;
  t.true((await check()).includes('balancer.apply'));
  fake.isRetryDue = false;
  fake.wasFlushed = true;
  t.deepEqual(
    await check(),
    ['tunnel.repair', 'transaction.repair', 'balancer.settle unsure', 'balancer.repair'],
    'connections may have begun without rules',
  );
  await mesh.apply(state(2, 1, 2));
  t.is(fake.take().at(-1), 'balancer.settle unsure');
  await mesh.close({ keep: true });
  t.is(clock.pending, 0);
});

test('after close nothing is written any more, whatever was under way', async (t) => {
  const { mesh, fake } = await started();
  await mesh.attach(attachment('task1', 80));
  let linked = (): void => {};
  const isLinking = new Promise<void>((resolve) => {
    fake.during.set('links.attach', () => {
      resolve();
      return new Promise((go) => {
        linked = go;
      });
    });
  });
  const attaching = mesh.attach(attachment('task2', 81));
  await isLinking;
  fake.take();
  await mesh.close({ keep: false });
  linked();
  await t.throwsAsync(attaching, { message: 'mesh: closed' });
  await mesh.detach('task1');
  await t.throwsAsync(mesh.apply(state(2, 1)), { message: 'mesh: closed' });
  await t.throwsAsync(mesh.start(rawPeer(2)), { message: 'mesh: closed' });
  const calls = fake.take();
  t.deepEqual(
    calls.slice(calls.indexOf('tunnel.close') + 1).filter((call) => !/^(links|names)/.test(call)),
    ['balancer.cut 10.240.1.2 fd00::2 10.240.1.3'],
  );
});

test('close leaves everything that works by itself, or nothing', async (t) => {
  const kept = await started();
  kept.fake.take();
  await kept.mesh.close({ keep: true });
  t.deepEqual(kept.fake.take(), ['balancer.close', 'transaction.close true']);
  const gone = await started();
  gone.fake.take();
  await gone.mesh.close({ keep: false });
  t.deepEqual(gone.fake.take(), [
    'balancer.close',
    'links.retain ',
    'transaction.close false',
    'tunnel.close',
  ]);
});

test('one address on all networks, as in the host’s network, is one address of the task', async (t) => {
  const { mesh, fake } = await started();
  fake.take();
  await mesh.attach({
    ...attachment('task1'),
    attachments: [
      { networkId: 'net1', addresses: ['198.18.0.1/32'] },
      { networkId: 'net2', addresses: ['198.18.0.1/32'] },
    ],
  });
  t.true(fake.take().includes('balancer.attach task1 198.18.0.1'));
});

const PORT_CHECK_MS = 3000;
const served = (fake: FakeParts) =>
  [...(fake.slices.at(-1)?.ports.values() ?? [])].map(({ publishedPort }) => publishedPort);

test('a port that a program of the host has is left to it, reported, and taken once it is free', async (t) => {
  const { mesh, fake, clock } = await started();
  let changes = 0;
  mesh.watchConflicts(() => changes++);
  fake.taken.set('tcp/8080', 'nginx (pid 812) listens on it');
  await mesh.apply(state(1, 1, 2));
  t.deepEqual(served(fake), []);
  t.is(mesh.generation, 1, 'nobody waits for this node');
  t.deepEqual(mesh.conflicts, [
    { Protocol: 'tcp', PublishedPort: 8080, Reason: 'nginx (pid 812) listens on it' },
  ]);
  fake.taken.clear();
  await clock.advance(PORT_CHECK_MS);
  await clock.until(() => served(fake)?.length === 1, 'the port is served');
  await clock.until(() => mesh.conflicts.length === 0, 'nothing is reported');
  t.is(changes, 2);
  // And back, when a program takes it later.
  fake.taken.set('tcp/8080', 'caddy (pid 9) listens on it');
  await clock.advance(PORT_CHECK_MS);
  await clock.until(() => served(fake)?.length === 0, 'the port is left to the program');
  await clock.until(() => mesh.conflicts.length === 1, 'it is reported');
  t.regex(mesh.conflicts[0]?.Reason ?? '', /caddy/);
  fake.take();
  await clock.advance(PORT_CHECK_MS);
  t.deepEqual(
    fake.take().filter((call) => /balancer/.test(call)),
    [],
    'nothing is new',
  );
  t.is(changes, 3);
});

test('the daemon’s own ports are never served, whatever the state says, in either mode', async (t) => {
  const { mesh, fake } = await started(['tcp/8080', 'udp/4789']);
  await mesh.apply(state(1, 1, 2));
  t.deepEqual(served(fake), []);
  t.regex(mesh.conflicts[0]?.Reason ?? '', /the daemon of this node needs it itself/);
  fake.take();
  await t.throwsAsync(mesh.attach(attachment('task1', 9000, 8080)), {
    message:
      'port tcp/8080 cannot be published on this node: the daemon of this node needs it itself; free it, or publish another port',
  });
  t.false(fake.take().some((call) => call.startsWith('balancer.attach')));
  await t.notThrowsAsync(mesh.attach(attachment('task2', 9000)));
});

test('a kernel that cannot limit clients serves every port but those that ask for it, and says so', async (t) => {
  const [open] = state(1, 1, 2).ports;
  const limited = { ...open!, publishedPort: 8081, limits: { connections: 10 } };
  const { mesh, fake } = await started([], 'the kernel cannot');
  await mesh.apply({ ...state(1, 1, 2), ports: [open!, limited] });
  t.deepEqual(served(fake), [8080]);
  t.deepEqual(mesh.conflicts, [
    { Protocol: 'tcp', PublishedPort: 8081, Reason: 'the kernel cannot' },
  ]);
  const change = { base: 1, generation: 2, peers: [], removedPeers: [], removedPorts: [] };
  const { limits: _none, ...unlimited } = limited;
  t.true(await mesh.change({ ...change, ports: [unlimited] }));
  t.deepEqual(served(fake), [8080, 8081]);
  t.deepEqual(mesh.conflicts, []);
});

test('a port that the daemon begins to listen on is given up within seconds', async (t) => {
  const own: PortKey[] = [];
  const { mesh, fake, clock } = await started(own);
  await mesh.apply(state(1, 1, 2));
  t.deepEqual(served(fake), [8080]);
  own.push('tcp/8080');
  await clock.advance(PORT_CHECK_MS);
  await clock.until(() => mesh.conflicts.length === 1, 'it is reported');
  t.deepEqual(served(fake), []);
});

test('a task whose host port a program has is refused with the reason', async (t) => {
  const { mesh, fake } = await started();
  fake.taken.set('tcp/80', 'nginx (pid 812) listens on it');
  await t.throwsAsync(mesh.attach(attachment('task1', 80)), {
    message:
      'port tcp/80 cannot be published on this node: nginx (pid 812) listens on it; free it, or publish another port',
  });
  t.true(fake.take().includes('balancer.detach task1'));
  fake.taken.clear();
  await t.notThrowsAsync(mesh.attach(attachment('task1', 80)));
});

test('a host port of an earlier process that the daemon needs is cut off before anything else', async (t) => {
  const fake = new FakeParts();
  const task = parseTaskId('old1')!;
  const port = (publishedPort: number): HostPort => ({
    protocol: 'tcp',
    publishedPort,
    targetPort: 80,
  });
  fake.earlier = {
    links: [
      { taskId: task, networkId: parseNetworkId('net1'), ...PLACE, addresses: [ip('10.240.1.2')] },
    ],
    hostPorts: new Map([[task, [port(80), port(2377)]]]),
  };
  const mesh = new NodeMesh({
    parts: fake.parts,
    ownPorts: () => ['tcp/2377'],
    logger: silentLogger,
    clock: new VirtualClock(),
  });
  await mesh.start(rawPeer(1));
  t.deepEqual(fake.hostPorts.get('old1'), [80]);
});

test('what the balancer cannot open is reported and tried again', async (t) => {
  const { mesh, fake, clock } = await started();
  fake.unserved.set('tcp/8080', 'the daemon may not');
  await mesh.apply(state(1, 1));
  t.is(mesh.conflicts[0]?.Reason, 'the daemon may not');
  fake.take();
  fake.during.set('balancer.retry', async () => fake.unserved.clear());
  await clock.advance(PORT_CHECK_MS);
  await clock.until(() => mesh.conflicts.length === 0, 'it is served');
  t.pass();
});

test('a state with another ingress network moves the node, then is held with its peers there', async (t) => {
  const { mesh, fake } = await started();
  const ingress = { subnet: '10.11.0.0/16', mtuBytes: 1200 };
  const there = (index: number) => ({ ...rawPeer(index), subnet: `10.11.${index}.0/24` });
  const ports = [
    {
      ...{ protocol: 'tcp' as const, publishedPort: 80, serviceId: 'web' },
      endpoints: [{ taskId: 'a', nodeId: 'node2', address: '10.11.2.7', port: 80 }],
    },
  ];
  await mesh.apply({ generation: 1, peers: [rawPeer(1), rawPeer(2)], ports: [] });
  fake.take();
  await mesh.apply({ generation: 2, ingress, peers: [there(1), there(2)], ports });
  const calls = fake.take();
  t.deepEqual(calls.slice(0, 6), [
    'tunnel.start',
    'paths.start 1200',
    'balancer.start',
    'transaction.start',
    'tunnel.reach node1 node2',
    'balancer.apply',
  ]);
  t.deepEqual(
    fake.slices
      .at(-1)
      ?.ports.get('tcp/80')
      ?.endpoints.map(({ address }) => address),
    [ip('10.11.2.7')],
  );
  await mesh.apply({ generation: 3, ingress, peers: [there(1), there(2)], ports });
  t.false(fake.take().includes('tunnel.start'), 'it has moved');
  await t.throwsAsync(
    mesh.apply({ generation: 4, ingress: { subnet: '10.11.0.0/8' }, peers: [], ports: [] }),
    { message: /10\.0\.0\.0\/8|not an IPv4 one/ },
  );
  await mesh.apply({ generation: 5, peers: [rawPeer(1)], ports: [] });
  t.true(fake.take().includes('paths.start 1450'), 'a manager that names none means the first');
});

test('a delta with another ingress network is left to a whole state', async (t) => {
  const { mesh, fake } = await started();
  const none = { peers: [], removedPeers: [], ports: [], removedPorts: [] };
  const ingress = { subnet: '10.11.0.0/16' };
  const there = { ...rawPeer(1), subnet: '10.11.1.0/24' };
  await mesh.apply({ generation: 1, peers: [rawPeer(1)], ports: [] });
  t.true(await mesh.change({ ...none, base: 1, generation: 2 }));
  fake.take();
  t.false(await mesh.change({ ...none, base: 2, generation: 3, ingress }));
  t.deepEqual(fake.take(), []);
  await mesh.apply({ generation: 3, ingress, peers: [there], ports: [] });
  fake.take();
  t.true(await mesh.change({ ...none, base: 3, generation: 4, ingress }));
  t.false(fake.take().includes('tunnel.start'), 'it has moved');
  t.false(await mesh.change({ ...none, base: 4, generation: 5 }), 'none means the first');
});

test('a node without a block in another ingress network waits for its new index', async (t) => {
  const fake = new FakeParts();
  const clock = new VirtualClock();
  const mesh = new NodeMesh({ parts: fake.parts, logger: silentLogger, clock });
  const far = { ...rawPeer(1), index: 300, subnet: '10.241.44.0/24' };
  await mesh.start(far);
  const ingress = { subnet: '10.11.0.0/16' };
  const state = { generation: 2, ingress, peers: [], ports: [] };
  await t.throwsAsync(mesh.apply(state), {
    message: /10\.11\.0\.0\/16 has no block for this node yet/,
  });
  t.is(mesh.generation, 0);
  await mesh.start({ ...rawPeer(1), index: 7, subnet: '10.11.7.0/24' }, ingress);
  await mesh.apply(state);
  t.is(mesh.generation, 2);
});
