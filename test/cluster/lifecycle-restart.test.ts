import { readdir, readFile, writeFile } from 'node:fs/promises';
import type { Service } from '@swarm/api';
import test from 'ava';
import { Cluster, failuresOf, type Host, Lab, until } from '../lab/index.js';

/** Restarts of daemons only: they do not affect tasks, their processes and their traffic. */
const PORT = 8080;
let lab: Lab;
let cluster: Cluster;

test.before(async (t) => {
  t.timeout(120_000);
  lab = await Lab.up({ name: 'liferst', managers: 3, workers: 2, clients: 1 });
  cluster = new Cluster(lab);
  await cluster.createWeb('web', { replicas: 8, publish: `${PORT}:80` });
  await cluster.untilRunning('web', 8);
});

test.after.always(async (t) => {
  t.timeout(60_000);
  await lab?.down();
});

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  test.serial(`a daemon ended by ${signal} leaves its tasks and their traffic alone`, async (t) => {
    t.timeout(120_000);
    const worker = lab.host('w1');
    const before = await webProcesses(worker);
    t.true(before.length > 0);
    const tasks = await taskIds();
    const targets = [worker.address];
    const load = cluster.load(lab.host('c1'), { port: PORT, pauseMs: 5, concurrency: 2, targets });
    const endedAt = performance.now();
    await endDaemon(worker, signal);
    t.deepEqual(await webProcesses(worker), before);
    const [alone] = await Promise.all([
      cluster.request(lab.host('c1'), { port: PORT, requests: 20, targets }),
      worker.startDaemons(),
    ]);
    t.is(alone.failures, 0, failuresOf(alone));
    t.log(`away for ${(performance.now() - endedAt).toFixed(0)} ms`);
    await untilReady(5);
    const seen = await load.stop();
    t.true(seen.requests >= 10, `only ${seen.requests} requests`);
    t.is(seen.failures, 0, failuresOf(seen));
    t.deepEqual(await webProcesses(worker), before, 'the same processes');
    t.deepEqual(await taskIds(), tasks, 'the same tasks');
  });
}

test.serial(
  'the tasks of a daemon that is down for long keep serving; when it returns it stops those that moved',
  async (t) => {
    t.timeout(120_000);
    const worker = lab.host('w1');
    const before = await webProcesses(worker);
    await endDaemon(worker, 'SIGKILL');
    await until('its tasks run elsewhere', async () => {
      const nodes = await cluster.nodes();
      const down = nodes.find((node) => node.Status.State === 'down');
      const running = await cluster.running('web');
      return down !== undefined && running.filter((task) => task.NodeID !== down.ID).length === 8;
    });
    const alone = await cluster.request(lab.host('c1'), {
      port: PORT,
      requests: 50,
      targets: [worker.address],
    });
    t.is(alone.failures, 0, failuresOf(alone));
    t.deepEqual(await webProcesses(worker), before, 'nobody stops them while the daemon is down');
    await worker.startDaemons();
    await untilReady(5);
    await until('as many processes as tasks', async () => (await allProcesses()).length === 8);
    await cluster.manager.must([
      ...['swarm', 'service', 'update', '-d', '--force', '--update-parallelism', '0', 'web'],
    ]);
    await until('w1 has tasks', async () => (await webProcesses(worker)).length > 0);
    await cluster.untilRunning('web', 8);
    await until('as many processes as tasks', async () => (await allProcesses()).length === 8);
  },
);

test.serial('managers restart one after the other, with a write in between each', async (t) => {
  t.timeout(180_000);
  const processes = await allProcesses();
  const load = cluster.load(lab.host('c1'), { port: PORT, pauseMs: 10, concurrency: 2 });
  const names: string[] = [];
  for (const host of lab.managers) {
    await endDaemon(host, 'SIGTERM');
    const other = lab.managers.find((each) => each !== host)!;
    const name = `while-${host.name}-is-away`;
    const endedAt = performance.now();
    await until('a write is accepted', async () => (await write(other, name)) === 201, {
      deadlineMs: 10_000,
      everyMs: 20,
    });
    t.log(`${host.name}: a write after ${(performance.now() - endedAt).toFixed(0)} ms`);
    t.true(performance.now() - endedAt < 3000);
    names.push(name);
    await host.startDaemons();
    await untilReady(5);
    // It has what was written while it was down, and answers reads from such a state.
    await until('it has caught up', async () => {
      const service = await cluster.get<Service>(`/services/${name}`, host);
      return service.Spec.Name === name;
    });
  }
  const seen = await load.stop();
  t.is(seen.failures, 0, failuresOf(seen));
  t.deepEqual(await allProcesses(), processes);
  for (const host of lab.managers) {
    const services = await cluster.get<Service[]>('/services', host);
    t.deepEqual(services.map(({ Spec }) => Spec.Name).sort(), [...names, 'web'].sort());
  }
});

test.serial('a follower answers a write only once a new leader took it', async (t) => {
  t.timeout(60_000);
  const leader = await cluster.leader();
  const follower = lab.managers.find((host) => host !== leader)!;
  await endDaemon(leader, 'SIGKILL');
  // At once, while the follower still follows the dead leader.
  const askedAt = performance.now();
  const reply = await follower.api('POST', '/services/create', spec('just-after'));
  t.log(`answered ${reply.status} after ${(performance.now() - askedAt).toFixed(0)} ms`);
  t.is(reply.status, 201, reply.text);
  await leader.startDaemons();
  await untilReady(5);
});

test.serial('adopted tasks stop when fewer are wanted, and leave nothing behind', async (t) => {
  t.timeout(90_000);
  const worker = lab.host('w2');
  await endDaemon(worker, 'SIGKILL');
  await worker.startDaemons();
  await untilReady(5);
  t.true((await webProcesses(worker)).length > 0);
  const load = cluster.load(lab.host('c1'), { port: PORT, pauseMs: 10, concurrency: 2 });
  await cluster.manager.must(['swarm', 'service', 'scale', '-d', 'web=1']);
  await cluster.untilRunning('web', 1);
  await until('one process is left', async () => (await allProcesses()).length === 1);
  const seen = await load.stop();
  t.is(seen.failures, 0, failuresOf(seen));
  await until('task folders are gone', async () => {
    const namespaces = (await worker.must(['ip', 'netns', 'list'])).trim();
    const own = (await webProcesses(worker)).length;
    return namespaces === '' ? own === 0 : namespaces.split('\n').length === own;
  });
});

test.serial(
  'a daemon whose log is damaged stays up, says so, and can leave and join again',
  async (t) => {
    t.timeout(120_000);
    const [m1, m3] = [lab.host('m1'), lab.host('m3')];
    await endDaemon(m3, 'SIGKILL');
    const log = `${m3.state.folder}/data/raft/log`;
    await damage(log);
    await m3.startDaemons();
    const info = await until('it says what is wrong', async () => {
      const { Swarm } = await cluster.get<{ Swarm: { LocalNodeState: string; Error: string } }>(
        '/info',
        m3,
      );
      return Swarm.LocalNodeState === 'error' ? Swarm : undefined;
    });
    t.regex(info.Error, /damaged.*swarm leave --force/s);
    const token = (await m1.must(['swarm', 'join-token', '-q', 'manager'])).trim();
    await m3.must(['swarm', 'leave', '--force']);
    await until('it is no longer a member', async () => (await managerCount(m1)) === 2);
    await m3.must([
      ...['swarm', 'join', '--advertise-addr', m3.address, '--token', token],
      `${m1.address}:2377`,
    ]);
    await until('it is a manager again', async () => (await managerCount(m1)) === 3);
    t.is(await write(m3, 'from-the-new-m3'), 201);
  },
);

async function endDaemon(host: Host, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  if (signal === 'SIGKILL') return host.killDaemon();
  const pid = host.state.daemonPid!;
  process.kill(pid, signal);
  await until(`the daemon of ${host.name} ended`, () => !isAlive(pid), {
    deadlineMs: 10_000,
    everyMs: 10,
  });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function untilReady(count: number): Promise<void> {
  await until(
    `${count} nodes are ready`,
    async () =>
      (await cluster.nodes()).filter((node) => node.Status.State === 'ready').length === count,
  );
}

async function managerCount(from: Host): Promise<number> {
  const nodes = await cluster.nodes(from);
  return nodes.filter((node) => node.ManagerStatus?.Reachability === 'reachable').length;
}

async function taskIds(): Promise<string[]> {
  return (await cluster.running('web')).map((task) => task.ID).sort();
}

function spec(name: string) {
  return {
    Name: name,
    TaskTemplate: { ContainerSpec: { Image: 'host', Command: ['sleep', '1000'] } },
    Mode: { Replicated: { Replicas: 0 } },
  };
}

async function write(host: Host, name: string): Promise<number> {
  return (await host.api('POST', '/services/create', spec(name))).status;
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

async function allProcesses(): Promise<string[]> {
  const lists = await Promise.all(
    lab.nodes.map(async (host) => (await webProcesses(host)).map((pid) => `${host.name} ${pid}`)),
  );
  return lists.flat();
}

/** Flips bytes in the middle of LevelDB's files. */
async function damage(folder: string): Promise<void> {
  let harmed = 0;
  for (const name of await readdir(folder, { recursive: true })) {
    if (!/\.(log|ldb)$/.test(name)) continue;
    const path = `${folder}/${name}`;
    const bytes = await readFile(path);
    if (bytes.length < 64) continue;
    for (let i = bytes.length >> 1; i < (bytes.length >> 1) + 32; i++) bytes[i] = bytes[i]! ^ 0x5a;
    await writeFile(path, bytes);
    harmed += 1;
  }
  if (harmed === 0) throw new Error(`nothing to damage in ${folder}`);
}
