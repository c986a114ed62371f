import type { Node } from '@swarm/api';
import test, { type ExecutionContext } from 'ava';
import { Cluster, failuresOf, type Host, Lab, until } from '../lab/index.js';

const PORT = 8080;
let lab: Lab;
let cluster: Cluster;

test.before(async (t) => {
  t.timeout(120_000);
  lab = await Lab.up({ name: 'life', managers: 3, workers: 3, clients: 1 });
  cluster = new Cluster(lab);
  await cluster.createWeb('web', { replicas: 6, publish: `${PORT}:80` });
  await cluster.untilRunning('web', 6);
});

test.after.always(async (t) => {
  t.timeout(60_000);
  await lab?.down();
});

test.serial('a promoted worker becomes a reachable manager that answers', async (t) => {
  t.timeout(60_000);
  const [m1, w1] = [lab.host('m1'), lab.host('w1')];
  const before = await webProcesses(w1);
  await m1.must(['swarm', 'node', 'promote', 'w1']);
  await untilManagers(m1, ['m1', 'm2', 'm3', 'w1']);
  // All managers answer the same.
  for (const host of [...lab.managers, w1]) await untilManagers(host, ['m1', 'm2', 'm3', 'w1']);
  t.is(await write(w1, 'by-w1'), 201, 'a new manager takes writes');
  t.deepEqual(await webProcesses(w1), before, 'tasks go on as they were');
});

test.serial('a demoted manager leaves the Raft group and keeps its tasks', async (t) => {
  t.timeout(60_000);
  const m2 = lab.host('m2');
  await onePerHost(t, [m2]);
  const before = await webProcesses(m2);
  t.true(before.length > 0);
  const from = (await cluster.leader()) === m2 ? lab.host('m1') : await cluster.leader();
  await from.must(['swarm', 'node', 'demote', 'm2']);
  await untilManagers(from, ['m1', 'm3', 'w1']);
  await until('m2 is a worker', async () => (await localState(m2)).ControlAvailable === false);
  t.is((await localState(m2)).LocalNodeState, 'active');
  const list = await m2.exec(['swarm', 'node', 'ls']);
  t.not(list.code, 0);
  t.regex(list.stderr, /Worker nodes can't be used to view or modify cluster state/);
  t.deepEqual(await webProcesses(m2), before);
  t.is((await nodeOf(from, m2)).Status.State, 'ready');
});

test.serial(
  'a demoted leader hands over leadership, and writes go on within 5 s, until one manager is left',
  async (t) => {
    t.timeout(120_000);
    let names = ['m1', 'm3', 'w1'];
    // At the end only the promoted worker is left: it can vote, and it leads.
    while (names.length > 1) {
      const asked = lab.host('w1');
      const leader = await leaderOf(asked);
      const victim = leader.name === 'w1' ? lab.host(names.find((name) => name !== 'w1')!) : leader;
      await asked.must(['swarm', 'node', 'demote', victim.name]);
      const demotedAt = performance.now();
      await until(
        'a write is accepted',
        async () => (await write(asked, `w-${names.length}`)) === 201,
        {
          deadlineMs: 15_000,
          everyMs: 20,
        },
      );
      const tookMs = performance.now() - demotedAt;
      t.log(
        `demoted ${victim === leader ? 'the leader' : 'a follower'}: a write after ${tookMs.toFixed(0)} ms`,
      );
      t.true(tookMs <= 5000);
      names = names.filter((name) => name !== victim.name);
      await untilManagers(asked, names);
    }
    t.is((await leaderOf(lab.host('w1'))).name, 'w1');
    const last = await lab.host('w1').exec(['swarm', 'node', 'demote', 'w1']);
    t.not(last.code, 0);
    t.regex(last.stderr, /attempting to demote the last manager of the swarm/);
  },
);

test.serial('a worker that knows only one of the current managers finds the cluster', async (t) => {
  t.timeout(120_000);
  const [w1, w2] = [lab.host('w1'), lab.host('w2')];
  // While it ran it learned that all its first managers were replaced; its files name the current ones.
  await w2.killDaemon();
  await w1.must(['swarm', 'node', 'promote', 'm1', 'm2']);
  await untilManagers(w1, ['m1', 'm2', 'w1']);
  await until('w2 is down', async () => (await nodeOf(w1, w2)).Status.State === 'down');
  await w2.startDaemons();
  await until('w2 is ready', async () => (await nodeOf(w1, w2)).Status.State === 'ready');
  await w1.must(['swarm', 'node', 'promote', 'm3']);
  await untilManagers(w1, ['m1', 'm2', 'm3', 'w1']);
  await lab.host('m1').must(['swarm', 'node', 'demote', 'w1']);
  await untilManagers(lab.host('m1'), ['m1', 'm2', 'm3']);
  t.is((await nodeOf(lab.host('m1'), w2)).Status.State, 'ready');
});

test.serial('no manager is demoted when too few of the others are reachable', async (t) => {
  t.timeout(60_000);
  const down = (await leaderOf(lab.host('m1'))).name === 'm3' ? lab.host('m2') : lab.host('m3');
  const asked = lab.host('m1');
  const third = lab.managers.find((host) => host !== down && host !== asked)!;
  await down.killDaemon();
  await until('it shows as unreachable', async () => {
    const node = await nodeOf(asked, down);
    return node.ManagerStatus?.Reachability === 'unreachable';
  });
  const refused = await asked.exec(['swarm', 'node', 'demote', third.name]);
  t.not(refused.code, 0);
  t.regex(refused.stderr, /loss of quorum \(1 of the 2 managers that would be left/);
  // The one that is down can be demoted.
  t.is((await asked.exec(['swarm', 'node', 'demote', down.name])).code, 0);
  await untilManagers(asked, [asked.name, third.name]);
  // It comes back as a worker.
  await down.startDaemons();
  await until('it is a worker', async () => {
    const local = await localState(down);
    return local.LocalNodeState === 'active' && local.ControlAvailable === false;
  });
  await asked.must(['swarm', 'node', 'promote', down.name]);
  await untilManagers(asked, ['m1', 'm2', 'm3']);
});

test.serial('a node that left is clean, shows as down, and can be removed', async (t) => {
  t.timeout(90_000);
  const [m1, w3] = [lab.host('m1'), lab.host('w3')];
  await onePerHost(t, [w3]);
  const ready = await m1.exec(['swarm', 'node', 'rm', 'w3']);
  t.not(ready.code, 0);
  t.regex(ready.stderr, /is not down and can't be removed/);
  const manager = await m1.exec(['swarm', 'node', 'rm', '--force', 'm2']);
  t.not(manager.code, 0);
  t.regex(manager.stderr, /is a cluster manager.*must be demoted/s);

  await w3.must(['swarm', 'leave']);
  t.deepEqual(await webProcesses(w3), []);
  await assertClean(t, w3);
  t.is((await localState(w3)).LocalNodeState, 'inactive');
  const again = await w3.exec(['swarm', 'leave']);
  t.not(again.code, 0);
  t.regex(again.stderr, /not part of a swarm/);
  await until('w3 is down', async () => (await nodeOf(m1, w3)).Status.State === 'down');
  await m1.must(['swarm', 'node', 'rm', 'w3']);
  t.false((await cluster.nodes(m1)).some((node) => node.Description?.Hostname === 'w3'));
  await cluster.untilRunning('web', 6);
});

test.serial(
  'join tokens are rotated one by one: old ones are refused, new ones work',
  async (t) => {
    t.timeout(90_000);
    const [m1, w3] = [lab.host('m1'), lab.host('w3')];
    const token = async (...args: string[]) =>
      (await m1.must(['swarm', 'join-token', '-q', ...args])).trim();
    const [worker, manager] = [await token('worker'), await token('manager')];
    const newWorker = await token('--rotate', 'worker');
    t.is(await token('manager'), manager, 'the other token stays');
    const newManager = await token('--rotate', 'manager');
    t.is(new Set([worker, manager, newWorker, newManager]).size, 4);
    for (const old of [worker, manager]) {
      const refused = await join(w3, old);
      t.not(refused.code, 0);
      t.regex(refused.stderr, /not valid any more, it was rotated/);
      t.is((await localState(w3)).LocalNodeState, 'inactive');
    }
    t.is((await join(w3, newWorker)).code, 0);
    const twice = await join(w3, newWorker);
    t.not(twice.code, 0);
    t.regex(twice.stderr, /already part of a swarm/);
    t.regex((await w3.exec(['swarm', 'init'])).stderr, /already part of a swarm/);
    await leaveAndRemove(w3);
    t.is((await join(w3, newManager)).code, 0);
    await untilManagers(m1, ['m1', 'm2', 'm3', 'w3']);
  },
);

test.serial(
  'a manager that leaves by force takes its member with it; the others go on',
  async (t) => {
    t.timeout(90_000);
    const [m1, w3] = [lab.host('m1'), lab.host('w3')];
    const refused = await w3.exec(['swarm', 'leave']);
    t.not(refused.code, 0);
    t.regex(refused.stderr, /participating as a manager.*Demote the node first, or use `--force`/s);
    t.notRegex(refused.stderr, /Without a Raft quorum/, 'four managers can spare one');
    await w3.must(['swarm', 'leave', '--force']);
    await assertClean(t, w3);
    await untilManagers(m1, ['m1', 'm2', 'm3']);
    t.is(await write(m1, 'after-leave'), 201);
    await until('it is down', async () => (await nodeOf(m1, w3)).Status.State === 'down');
    // It is a worker now, so it need not be demoted.
    await m1.must(['swarm', 'node', 'rm', 'w3']);

    // The leader can leave too.
    const leader = await leaderOf(m1);
    const other = lab.managers.find((host) => host !== leader)!;
    await leader.must(['swarm', 'leave', '--force']);
    await untilManagers(
      other,
      lab.managers.filter((host) => host !== leader).map(({ name }) => name),
    );
    t.is(await write(other, 'after-leader-left'), 201);
    t.is((await join(leader, await tokenOf(other, 'manager'), other)).code, 0);
    await until('the old node is down', async () =>
      (await cluster.nodes(other))
        .filter(isNamed(leader.name))
        .some((node) => node.Status.State === 'down'),
    );
    await removeDown(other);
    await untilManagers(other, ['m1', 'm2', 'm3']);
  },
);

test.serial(
  'a manager that joins with a wrong address harms nothing and may join again',
  async (t) => {
    t.timeout(120_000);
    const [m1, w3] = [lab.host('m1'), lab.host('w3')];
    const token = await tokenOf(m1, 'manager');
    for (const [address, why] of [
      ['198.18.0.250', /can ?not reach the new manager at 198\.18\.0\.250:2377/],
      [lab.host('m2').address, /can ?not reach the new manager.* is node \w+, not \w+/s],
    ] as const) {
      const failed = await join(w3, token, m1, address);
      t.not(failed.code, 0);
      t.regex(failed.stderr, why);
      t.regex(failed.stderr, /--advertise-addr/);
      t.is((await localState(w3)).LocalNodeState, 'inactive', 'it can join again at once');
      await assertClean(t, w3);
      t.deepEqual(await managerNames(m1), ['m1', 'm2', 'm3']);
      t.is(await write(m1, `after-${address.replaceAll('.', '-')}`), 201);
    }
    t.is((await join(w3, token)).code, 0);
    await untilManagers(m1, ['m1', 'm2', 'm3', 'w3']);
    // A failed attempt counts as ready until the managers notice its missed heartbeats.
    await until('the failed attempts are down and removed', async () => {
      await removeDown(m1);
      return (await cluster.nodes(m1)).filter(isNamed('w3')).length === 1;
    });
    await m1.must(['swarm', 'node', 'demote', 'w3']);
    await untilManagers(m1, ['m1', 'm2', 'm3']);
    await until('w3 is a worker', async () => (await localState(w3)).ControlAvailable === false);
  },
);

test.serial(
  'a running worker that is removed by force learns of it and stops its tasks',
  async (t) => {
    t.timeout(90_000);
    const [m1, w3] = [lab.host('m1'), lab.host('w3')];
    await onePerHost(t, [w3]);
    await m1.must(['swarm', 'node', 'rm', '--force', 'w3']);
    await until('its tasks are gone', async () => (await webProcesses(w3)).length === 0);
    const local = await localState(w3);
    t.is(local.LocalNodeState, 'error');
    t.regex(local.Error ?? '', /removed from the cluster.*swarm leave --force.*join/s);
    // A daemon that was down at that time learns of it too.
    await w3.killDaemon();
    await w3.startDaemons();
    await until('it knows', async () => (await localState(w3)).LocalNodeState === 'error');
    await w3.must(['swarm', 'leave', '--force']);
    await assertClean(t, w3);
    t.is((await join(w3, await tokenOf(m1, 'worker'))).code, 0);
    const here = { port: PORT, requests: 20, targets: [w3.address] };
    const seen = await cluster.request(lab.host('c1'), here);
    t.is(seen.failures, 0, `a node that joined serves published ports: ${failuresOf(seen)}`);
    await until('w3 is ready', async () => (await nodeOf(m1, w3)).Status.State === 'ready');
    await cluster.untilRunning('web', 6);
  },
);

test.serial('a drained node loses its tasks, an active one takes tasks again', async (t) => {
  t.timeout(90_000);
  const [m1, w2] = [lab.host('m1'), lab.host('w2')];
  await onePerHost(t, [w2]);
  const load = cluster.load(lab.host('c1'), { port: PORT, pauseMs: 20, concurrency: 2 });
  await m1.must(['swarm', 'node', 'update', '--availability', 'drain', 'w2']);
  await until('w2 has no tasks', async () => (await webProcesses(w2)).length === 0);
  await cluster.untilRunning('web', 6);
  const seen = await load.stop();
  t.is(seen.failures, 0, failuresOf(seen));
  await m1.must(['swarm', 'node', 'update', '--availability', 'active', 'w2']);
  await m1.must(['swarm', 'service', 'scale', '-d', 'web=12']);
  await cluster.untilRunning('web', 12);
  t.true((await webProcesses(w2)).length > 0);
  await m1.must(['swarm', 'service', 'scale', '-d', 'web=6']);
  await cluster.untilRunning('web', 6);
});

test.serial(
  'the last manager leaves only by force, and its host may bootstrap a new cluster',
  async (t) => {
    t.timeout(90_000);
    const w3 = lab.host('w3');
    await leaveAndRemove(w3);
    await w3.must(['swarm', 'init', '--advertise-addr', w3.address]);
    const first = await cluster.get<{ ID: string }>('/swarm', w3);
    const alone = { state: lab.state, managers: [w3], nodes: [w3], host: () => w3 };
    const solo = new Cluster(alone);
    await solo.createWeb('solo', { replicas: 1, publish: '9090:80' });
    await solo.untilRunning('solo', 1);
    const refused = await w3.exec(['swarm', 'leave']);
    t.not(refused.code, 0);
    t.regex(refused.stderr, /Removing the last manager erases all current state/);
    t.is((await localState(w3)).LocalNodeState, 'active');
    await w3.must(['swarm', 'leave', '--force']);
    await assertClean(t, w3);
    await w3.must(['swarm', 'init', '--advertise-addr', w3.address]);
    const second = await cluster.get<{ ID: string }>('/swarm', w3);
    t.not(second.ID, first.ID);
    t.deepEqual(await cluster.get('/services', w3), []);
    await w3.must(['swarm', 'leave', '--force']);
    await assertClean(t, w3);
  },
);

interface LocalSwarm {
  readonly LocalNodeState: string;
  readonly ControlAvailable: boolean;
  readonly Error?: string;
}

async function localState(host: Host): Promise<LocalSwarm> {
  return (await cluster.get<{ Swarm: LocalSwarm }>('/info', host)).Swarm;
}

/** The newest node of a host: a host that left and came back has two. */
async function nodeOf(from: Host, host: Host): Promise<Node> {
  const nodes = (await cluster.nodes(from)).filter(isNamed(host.name));
  nodes.sort((a, b) => Date.parse(b.CreatedAt) - Date.parse(a.CreatedAt));
  if (nodes[0] === undefined) throw new Error(`no node ${host.name}`);
  return nodes[0];
}

function isNamed(name: string): (node: Node) => boolean {
  return (node) => node.Description?.Hostname === name;
}

/** Hosts that are reachable managers, as `from` reports. */
async function managerNames(from: Host): Promise<string[]> {
  return (await cluster.nodes(from))
    .filter((node) => node.ManagerStatus?.Reachability === 'reachable')
    .map((node) => node.Description!.Hostname)
    .sort();
}

async function untilManagers(from: Host, names: readonly string[]): Promise<void> {
  await until(
    `${names.join(', ')} are the managers`,
    async () => {
      const found = await managerNames(from);
      if (found.join() !== [...names].sort().join()) throw new Error(found.join());
      return true;
    },
    { deadlineMs: 20_000 },
  );
}

async function leaderOf(from: Host): Promise<Host> {
  const leader = (await cluster.nodes(from)).find((node) => node.ManagerStatus?.Leader === true);
  if (leader === undefined) throw new Error('no leader');
  return cluster.hostOf(leader);
}

async function tokenOf(from: Host, role: 'worker' | 'manager'): Promise<string> {
  return (await from.must(['swarm', 'join-token', '-q', role])).trim();
}

function join(host: Host, token: string, manager = lab.host('m1'), advertise = host.address) {
  const remote = `${manager.address}:2377`;
  return host.exec(['swarm', 'join', '--advertise-addr', advertise, '--token', token, remote], {
    timeoutMs: 40_000,
  });
}

async function leaveAndRemove(host: Host): Promise<void> {
  const m1 = lab.host('m1');
  await host.must(['swarm', 'leave', '--force']);
  await until(`${host.name} is down`, async () => (await nodeOf(m1, host)).Status.State === 'down');
  const { ID } = await nodeOf(m1, host);
  await m1.must(['swarm', 'node', 'rm', ID]);
}

/** Removes nodes that are not ready. */
async function removeDown(from: Host): Promise<void> {
  const gone = (await cluster.nodes(from)).filter((node) => node.Status.State !== 'ready');
  for (const node of gone) await from.must(['swarm', 'node', 'rm', node.ID]);
}

/** Status of a create of a service without tasks. */
async function write(host: Host, name: string): Promise<number> {
  const reply = await host.api('POST', '/services/create', {
    Name: name,
    TaskTemplate: { ContainerSpec: { Image: 'host', Command: ['sleep', '1000'] } },
    Mode: { Replicated: { Replicas: 0 } },
  });
  if (reply.status !== 201) console.error(`${host.name} answered: ${reply.text}`);
  return reply.status;
}

/** Makes sure that hosts have tasks of `web`: as many tasks as nodes, at most one on each. */
async function onePerHost(t: ExecutionContext, hosts: readonly Host[]): Promise<void> {
  const manager = await anyManager();
  await until(
    'every host has a task',
    async () => {
      await cluster.untilRunning('web', 6, { host: manager });
      const counts = await Promise.all(
        hosts.map(async (host) => (await webProcesses(host)).length),
      );
      if (counts.every((count) => count > 0)) return true;
      await manager.must([
        ...['swarm', 'service', 'update', '-d', '--force', '--update-parallelism', '0'],
        ...['--update-monitor', '100ms', 'web'],
      ]);
      return false;
    },
    { everyMs: 1000, deadlineMs: 40_000 },
  );
  t.pass();
}

async function anyManager(): Promise<Host> {
  for (const host of lab.nodes) if ((await localState(host)).ControlAvailable) return host;
  throw new Error('no manager');
}

/** Process ids of the web servers on a host, ascending. */
async function webProcesses(host: Host): Promise<number[]> {
  const out = await host.must(['ps', '-eo', 'pid,comm,args']);
  return out
    .split('\n')
    .filter((line) => /^\s*\d+ node\s.*web-server\.js/.test(line))
    .map((line) => Number.parseInt(line, 10))
    .sort((a, b) => a - b);
}

/**
 * Checks that a host in no cluster has nothing of ours in its kernel, compared with one that never was in
 * any.
 */
async function assertClean(t: ExecutionContext, host: Host): Promise<void> {
  t.deepEqual(await kernelState(host), await kernelState(lab.host('c1')), `${host.name} is clean`);
}

async function kernelState(host: Host): Promise<Record<string, string>> {
  const ask = async (command: string) =>
    (await host.must(['sh', '-c', command]))
      .replaceAll(host.address, 'ADDRESS')
      .replaceAll(/fe80::[0-9a-f:]+ dev/g, 'LINK-LOCAL dev')
      .trim();
  return {
    tables: await ask('nft list tables'),
    links: await ask("ip -o link | sed 's/^[0-9]*: \\([^:@]*\\).*/\\1/'"),
    // A host that forwards IPv6, which stays as other sysctls do, also answers to its networks' anycast addresses.
    routes: await ask("ip route show table all | grep -v '^anycast' | sort"),
    rules: await ask('ip rule'),
    namespaces: await ask('ip netns list'),
    sockets: await ask("ss -Hltun | awk '{print $1, $5}' | sort"),
  };
}
