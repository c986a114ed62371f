import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Node, Service } from '@swarm/api';
import test from 'ava';
import { Cluster, failuresOf, type Host, Lab, until } from '../lab/index.js';

const PORT = 8080;
let lab: Lab;
let cluster: Cluster;

test.before(async (t) => {
  t.timeout(120_000);
  lab = await Lab.up({ name: 'rec', managers: 3, workers: 1, clients: 1 });
  cluster = new Cluster(lab);
  await cluster.createWeb('web', { replicas: 4, publish: `${PORT}:80` });
  await cluster.untilRunning('web', 4);
});

test.after.always(async (t) => {
  t.timeout(60_000);
  await lab?.down();
});

test.serial('the Raft member can be inspected online and offline, without secrets', async (t) => {
  t.timeout(120_000);
  const [m1, , m3] = lab.managers as [Host, Host, Host];
  const shown = await m1.must(['swarm', 'raft', 'status']);
  for (const manager of lab.managers) t.true(shown.includes(`${manager.address}:2377`), shown);
  t.regex(shown, /Member: +\d+ \(leader\)/);
  const metrics = await m1.api('GET', '/x/metrics');
  t.regex(metrics.text, /^swarm_raft_is_leader 1$/m);
  t.regex(metrics.text, /^swarm_raft_log_sync_seconds_count [1-9]/m);

  const root = join(m3.state.folder, 'data');
  const locked = await m3.exec(['swarm', 'raft', 'verify', '--data-root', root]);
  t.is(locked.code, 1);
  t.regex(locked.stderr, /in use by process \d+: stop that daemon first/);
  await lab.kill('m3');
  const offline = await m1.exec(['swarm', 'raft', 'verify', '--data-root', root]);
  t.is(offline.code, 0, offline.stdout + offline.stderr);
  t.regex(offline.stdout, /Problems: none/);
  const listed = await m1.must(['swarm', 'raft', 'inspect', '--data-root', root]);
  t.regex(listed, /create service web \(/);
  t.regex(listed, /members\t\d+\tvoter \d+/);
  const dumped = await m1.must(['swarm', 'raft', 'dump', '--data-root', root]);
  for (const line of dumped.trim().split('\n')) JSON.parse(line);
  t.regex(dumped, /"CAKey":"<redacted>"/);
  for (const text of [listed, dumped]) t.notRegex(text, /PRIVATE KEY|SWMTKN/);
  await lab.start('m3');
  await untilReady(4);
});

test.serial(
  'two of three managers lost for good: the third goes on alone, and others join',
  async (t) => {
    t.timeout(240_000);
    const survivor = lab.host('m3');
    const refused = await survivor.exec(['swarm', 'init', '--force-new-cluster']);
    t.not(refused.code, 0);
    t.regex(refused.stderr, /have a quorum/);
    const before = (await cluster.get<{ ID: string }>('/swarm', survivor)).ID;
    const ids = await idsOf(['m3', 'w1'], survivor);
    const staying = (await cluster.running('web', survivor))
      .filter((task) => ids.includes(task.NodeID!))
      .map((task) => task.ID);
    t.true(staying.length > 0);
    await lab.kill('m1');
    await lab.kill('m2');
    await until('there is no quorum', async () => {
      const reply = await survivor.api('GET', '/services');
      return reply.status === 503;
    });
    const stale = await survivor.exec(['swarm', 'backup', join(survivor.state.folder, 'none')]);
    t.not(stale.code, 0, 'without a quorum a backup may lack something');
    const stalePath = join(survivor.state.folder, 'stale');
    await survivor.must(['swarm', 'backup', '--stale', stalePath]);

    const out = await survivor.must(['swarm', 'init', '--force-new-cluster']);
    t.regex(out, /is now a manager/);
    t.is((await cluster.get<{ ID: string }>('/swarm', survivor)).ID, before);
    t.is((await cluster.get<Service[]>('/services', survivor)).length, 1);
    await survivor.must(['swarm', 'service', 'update', '-d', '--label-add', 'alone=yes', 'web']);
    await cluster.untilRunning('web', 4, { host: survivor });
    const running = (await cluster.running('web', survivor)).map((task) => task.ID);
    for (const id of staying) t.true(running.includes(id), `task ${id} was replaced`);
    await until('the lost managers are down, and are workers', async () => {
      const nodes = await cluster.nodes(survivor);
      const lost = nodes.filter((node) => ['m1', 'm2'].includes(node.Description!.Hostname));
      return (
        lost.length === 2 &&
        lost.every((node) => node.Status.State === 'down' && node.Spec.Role === 'worker') &&
        lost.every((node) => node.ManagerStatus === undefined)
      );
    });
    const status = await survivor.must(['swarm', 'raft', 'status', '--json']);
    t.is((JSON.parse(status) as { members: unknown[] }).members.length, 1);
    // Repeating it does nothing and no harm.
    await survivor.must(['swarm', 'init', '--force-new-cluster']);

    // One lost manager comes back, as a worker. The other is set up again.
    await lab.start('m1');
    await until(
      'm1 is back as a worker',
      async () => {
        const nodes = await cluster.nodes(survivor);
        const back = nodes.find((node) => node.Description?.Hostname === 'm1');
        return back?.Status.State === 'ready' && back.Role === 'worker';
      },
      { deadlineMs: 60_000 },
    );
    await survivor.must(['swarm', 'node', 'promote', 'm1']);
    await until('m1 is a manager again', async () => (await managers(survivor)).length === 2, {
      deadlineMs: 60_000,
    });
    const m2 = lab.host('m2');
    await lab.start('m2');
    await m2.must(['swarm', 'leave', '--force']);
    const token = (await survivor.must(['swarm', 'join-token', '-q', 'manager'])).trim();
    const remote = `${survivor.address}:2377`;
    await m2.must(['swarm', 'join', '--advertise-addr', m2.address, '--token', token, remote]);
    await until('three managers again', async () => (await managers(survivor)).length === 3, {
      deadlineMs: 60_000,
    });
    await survivor.must(['swarm', 'service', 'update', '-d', '--label-add', 'again=yes', 'web']);
    const result = await cluster.request(lab.host('c1'), { port: PORT, requests: 40 });
    t.is(result.failures, 0, failuresOf(result));
  },
);

test.serial(
  'a backup taken while running restores everything after all is destroyed',
  async (t) => {
    t.timeout(240_000);
    const follower = (await managers(lab.host('m3'))).find((node) => !node.ManagerStatus?.Leader)!;
    const source = cluster.hostOf(follower);
    const saved = join(lab.state.folder, 'backup');
    await source.must(['swarm', 'service', 'update', '-d', '--label-add', 'backup=yes', 'web']);
    await source.must(['swarm', 'backup', saved]);
    t.is((await stat(saved)).mode & 0o777, 0o600);
    const again = await source.exec(['swarm', 'backup', saved]);
    t.regex(again.stderr, /already exists/);
    const clusterId = (await cluster.get<{ ID: string }>('/swarm', source)).ID;
    const service = await cluster.service('web', source);
    const tokens = (await source.must(['swarm', 'join-token', '-q', 'worker'])).trim();

    for (const host of lab.nodes) await lab.kill(host.name);
    const m1 = lab.host('m1');
    await lab.start('m1');
    await m1.must(['swarm', 'leave', '--force']);
    const address = ['--advertise-addr', m1.address];
    const bytes = await readFile(saved);
    bytes[bytes.length >> 1]! ^= 1;
    const bad = join(lab.state.folder, 'bad');
    await writeFile(bad, bytes);
    const refused = await m1.exec(['swarm', 'restore', ...address, bad]);
    t.not(refused.code, 0);
    t.regex(refused.stderr, /backup cannot be used/);
    t.regex(await m1.must(['swarm', 'info']), /Swarm: inactive/);

    const out = await m1.must(['swarm', 'restore', ...address, saved]);
    t.regex(out, /is now its only manager.*swarm reconnect ADDRESS/s);
    t.is((await cluster.get<{ ID: string }>('/swarm', m1)).ID, clusterId);
    t.deepEqual((await cluster.service('web', m1)).Spec, service.Spec);
    t.is((await m1.must(['swarm', 'join-token', '-q', 'worker'])).trim(), tokens);
    const nodes = await cluster.nodes(m1);
    t.is(nodes.filter((node) => node.Status.State === 'ready').length, 1);
    t.true(nodes.filter((node) => node.Status.State === 'down').length >= 4);
    await cluster.untilRunning('web', 4, { host: m1 });
    const result = await cluster.request(lab.host('c1'), {
      port: PORT,
      requests: 20,
      targets: [m1.address],
    });
    t.is(result.failures, 0, failuresOf(result));
    const refusedAgain = await m1.exec(['swarm', 'restore', ...address, saved]);
    t.regex(refusedAgain.stderr, /already part of a swarm/);

    // The worker knows the address of m1, and its certificate is still good.
    await lab.start('w1');
    await until(
      'the worker is back under its old id',
      async () => {
        const found = (await cluster.nodes(m1)).filter((n) => n.Description?.Hostname === 'w1');
        return found.length === 1 && found[0]!.Status.State === 'ready';
      },
      { deadlineMs: 60_000 },
    );
    const m2 = lab.host('m2');
    await lab.start('m2');
    await m2.must(['swarm', 'leave', '--force']);
    const token = (await m1.must(['swarm', 'join-token', '-q', 'manager'])).trim();
    await m2.must([
      'swarm',
      'join',
      '--advertise-addr',
      m2.address,
      '--token',
      token,
      `${m1.address}:2377`,
    ]);
    await until('a second manager', async () => (await managers(m1)).length === 2, {
      deadlineMs: 60_000,
    });
    await m1.must(['swarm', 'service', 'scale', '-d', 'web=5']);
    await cluster.untilRunning('web', 5, { host: m1 });
  },
);

async function managers(host: Host): Promise<Node[]> {
  return (await cluster.nodes(host)).filter(
    (node) => node.ManagerStatus?.Reachability === 'reachable',
  );
}

async function idsOf(names: readonly string[], host: Host): Promise<string[]> {
  const nodes = await cluster.nodes(host);
  return nodes
    .filter((node) => names.includes(node.Description?.Hostname ?? ''))
    .map(({ ID }) => ID);
}

async function untilReady(count: number): Promise<void> {
  await until('all nodes are ready', async () => {
    const nodes = await cluster.nodes();
    return nodes.filter((node) => node.Status.State === 'ready').length === count;
  });
}
