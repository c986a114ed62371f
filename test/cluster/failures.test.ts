import type { Service } from '@swarm/api';
import test from 'ava';
import { Cluster, failuresOf, type Host, Lab, until } from '../lab/index.js';

const PORT = 8080;
const LOAD_CONCURRENCY = 4;
let lab: Lab;
let cluster: Cluster;

test.before(async (t) => {
  t.timeout(120_000);
  lab = await Lab.up({ name: 'fail', managers: 3, workers: 2, clients: 1 });
  cluster = new Cluster(lab);
  await cluster.createWeb('web', {
    replicas: 6,
    publish: `${PORT}:80`,
    extra: ['--restart-delay', '1s'],
  });
  await cluster.untilRunning('web', 6);
});

test.after.always(async (t) => {
  t.timeout(60_000);
  await lab?.down();
});

test.serial(
  'after a SIGKILL of the leader another manager takes a write within 3 s and the port goes on',
  async (t) => {
    t.timeout(120_000);
    const client = lab.host('c1');
    const leader = await cluster.leader();
    const others = lab.nodes.filter((host) => host !== leader);
    const load = cluster.load(client, {
      port: PORT,
      targets: others.map((host) => host.address),
      concurrency: LOAD_CONCURRENCY,
      timeoutMs: 5000,
      pauseMs: 20,
    });
    await lab.kill(leader.name);
    const killedAt = performance.now();
    await until('a write is accepted', () => scale(otherManagers(leader), 7), {
      deadlineMs: 10_000,
      everyMs: 50,
    });
    const tookMs = performance.now() - killedAt;
    t.log(`accepted after ${tookMs.toFixed(0)} ms`);
    t.true(tookMs <= 3000, `a write was accepted only after ${tookMs.toFixed(0)} ms`);
    await cluster.untilRunning('web', 7);
    const seen = await load.stop();
    t.log(`${seen.requests} requests, ${seen.failures} failed, max ${seen.maxMs.toFixed(0)} ms`);
    t.deepEqual(Object.keys(seen.hosts).sort(), others.map((host) => host.address).sort());
    t.is(seen.failures, 0, failuresOf(seen));
    await lab.start(leader.name);
    await untilReady(5);
  },
);

test.serial('after the leader is cut off no other node is down, and its tasks stay', async (t) => {
  t.timeout(120_000);
  const leader = await cluster.leader();
  const leaderId = await idOf(leader);
  const before = await elsewhere(leaderId);
  await lab.cut(leader.name);
  const down = new Set<string>();
  await until(
    'the leader that was cut off is down',
    async () => {
      for (const { ID, Status } of await cluster.nodes()) if (Status.State === 'down') down.add(ID);
      return down.has(leaderId);
    },
    { everyMs: 200, deadlineMs: 60_000 },
  );
  // A node that a new leader gives up on too early comes back soon.
  const after = await elsewhere(leaderId);
  await lab.heal(leader.name);
  await untilReady(5);
  t.deepEqual([...down], [leaderId]);
  t.deepEqual(
    before.filter((id) => !after.includes(id)),
    [],
    'no task of another node was replaced',
  );
  await cluster.untilRunning('web', 7);
});

test.serial('after a SIGKILL of a worker its tasks run elsewhere within 6 s', async (t) => {
  t.timeout(120_000);
  const worker = lab.host('w1');
  await spreadTo(worker);
  await lab.kill(worker.name);
  const killedAt = performance.now();
  const nodeId = await idOf(worker);
  await until(
    'all tasks run elsewhere',
    async () => {
      const running = await cluster.running('web');
      return running.filter((task) => task.NodeID !== nodeId).length === 7;
    },
    { deadlineMs: 20_000, everyMs: 50 },
  );
  const tookMs = performance.now() - killedAt;
  t.log(`replaced after ${tookMs.toFixed(0)} ms`);
  t.true(tookMs <= 6000, `the tasks ran elsewhere only after ${tookMs.toFixed(0)} ms`);
  await lab.start(worker.name);
  await untilReady(5);
});

test.serial('a worker cut off for 30 s and healed runs no duplicate tasks', async (t) => {
  t.timeout(180_000);
  const worker = lab.host('w2');
  await spreadTo(worker);
  await lab.cut(worker.name);
  const cutAt = performance.now();
  const nodeId = await idOf(worker);
  await until('the tasks run elsewhere', async () => {
    const running = await cluster.running('web');
    return running.filter((task) => task.NodeID !== nodeId).length === 7;
  });
  t.true((await webProcesses(worker)) > 0, 'the cut-off worker keeps its tasks');
  await until('30 s have passed', () => performance.now() - cutAt >= 30_000, {
    deadlineMs: 40_000,
    everyMs: 500,
  });
  await lab.heal(worker.name);
  await untilReady(5);
  await until('as many processes as tasks', async () => {
    const running = await cluster.running('web');
    if (running.length !== 7) return false;
    let processes = 0;
    for (const host of lab.nodes) processes += await webProcesses(host);
    return processes === 7;
  });
  const slots = (await cluster.running('web')).map((task) => task.Slot).sort((a, b) => a - b);
  t.deepEqual(slots, [1, 2, 3, 4, 5, 6, 7]);
  const result = await cluster.request(lab.host('c1'), { port: PORT, requests: 50 });
  t.is(result.failures, 0, failuresOf(result));
});

test.serial(
  'with two of three managers lost writes are refused within 5 s, tasks and mesh go on',
  async (t) => {
    t.timeout(120_000);
    const [first, ...lost] = lab.managers as [Host, Host, Host];
    for (const host of lost) await lab.kill(host.name);
    const askedAt = performance.now();
    const reply = await first.api('POST', '/services/create', {
      Name: 'late',
      TaskTemplate: { ContainerSpec: { Image: 'host', Command: ['sleep', '1'] } },
    });
    const tookMs = performance.now() - askedAt;
    t.log(`refused after ${tookMs.toFixed(0)} ms: ${reply.text.trim()}`);
    t.is(reply.status, 503);
    t.regex(
      (reply.json as { message: string }).message,
      /does not have a leader.*more than half of the managers/,
    );
    t.true(tookMs <= 5000, `refused only after ${tookMs.toFixed(0)} ms`);
    const cli = await first.exec(['swarm', 'service', 'scale', '-d', 'web=2']);
    t.not(cli.code, 0);
    t.regex(cli.stderr, /more than half of the managers/);
    const alive = lab.nodes.filter((host) => host.up).map((host) => host.address);
    const result = await cluster.request(lab.host('c1'), {
      port: PORT,
      requests: 60,
      targets: alive,
    });
    t.is(result.failures, 0, failuresOf(result));
    for (const host of lost) await lab.start(host.name);
    await untilReady(5);
    t.is((await cluster.get<Service[]>('/services')).length, 1, 'a refused write did not happen');
  },
);

test.serial(
  'after a SIGKILL of all five at once the cluster is the same and nothing acknowledged is lost',
  async (t) => {
    t.timeout(180_000);
    const before = await cluster.get<{ ID: string }>('/swarm');
    await until('seven tasks again', async () => (await cluster.running('web')).length === 7);
    for (let i = 0; i < 10; i++) {
      const reply = await cluster.manager.api('POST', '/services/create', {
        Name: `kept-${i}`,
        Labels: { number: String(i) },
        TaskTemplate: { ContainerSpec: { Image: 'host', Command: ['sleep', '1000'] } },
        Mode: { Replicated: { Replicas: 0 } },
      });
      t.is(reply.status, 201, reply.text);
    }
    await Promise.all(lab.nodes.map((host) => lab.kill(host.name)));
    await Promise.all(lab.nodes.map((host) => lab.start(host.name)));
    await untilReady(5);
    t.is((await cluster.get<{ ID: string }>('/swarm')).ID, before.ID);
    for (let i = 0; i < 10; i++)
      t.is((await cluster.service(`kept-${i}`)).Spec.Labels.number, String(i));
    await cluster.untilRunning('web', 7);
    await until('every node answers', async () => {
      const result = await cluster.request(lab.host('c1'), { port: PORT, requests: 50 });
      return result.failures === 0;
    });
    t.pass();
  },
);

function otherManagers(leader: Host): Host[] {
  return lab.managers.filter((host) => host !== leader);
}

/** Tries to scale on one manager after another; true when one accepted. */
async function scale(managers: readonly Host[], replicas: number): Promise<boolean> {
  for (const host of managers) {
    const read = await host.api('GET', '/services/web', undefined, { timeoutMs: 2000 });
    if (read.status !== 200) continue;
    const service = read.json as Service;
    const spec = { ...service.Spec, Mode: { Replicated: { Replicas: replicas } } };
    const reply = await host.api(
      'POST',
      `/services/${service.ID}/update?version=${service.Version.Index}`,
      spec,
      { timeoutMs: 2000 },
    );
    if (reply.status === 200) return true;
  }
  return false;
}

/** Tasks that run on other nodes than this one. */
async function elsewhere(nodeId: string): Promise<string[]> {
  return (await cluster.running('web')).flatMap(({ ID, NodeID }) =>
    NodeID === nodeId ? [] : [ID],
  );
}

async function untilReady(count: number): Promise<void> {
  await until(
    `${count} nodes are ready`,
    async () =>
      (await cluster.nodes()).filter((node) => node.Status.State === 'ready').length === count,
    {
      deadlineMs: 60_000,
    },
  );
}

async function idOf(host: Host): Promise<string> {
  const node = (await cluster.nodes()).find((each) => each.Description?.Hostname === host.name);
  if (node === undefined) throw new Error(`no node ${host.name}`);
  return node.ID;
}

/** Makes sure that a host has tasks of the service, replacing all of them if necessary. */
async function spreadTo(host: Host): Promise<void> {
  const nodeId = await idOf(host);
  await until(
    `tasks on ${host.name}`,
    async () => {
      const running = await cluster.running('web');
      if (running.length === 7 && running.some((task) => task.NodeID === nodeId)) return true;
      const service = await cluster.service('web');
      if (service.UpdateStatus?.State !== 'updating') {
        await cluster.manager.must([
          'swarm',
          'service',
          'update',
          '-d',
          '--force',
          '--update-parallelism',
          '0',
          '--update-monitor',
          '100ms',
          'web',
        ]);
      }
      return false;
    },
    { everyMs: 1000, deadlineMs: 60_000 },
  );
}

/** Web servers that run on a host; each is one process besides its shim. */
async function webProcesses(host: Host): Promise<number> {
  const out = await host.must([
    'sh',
    '-c',
    "ps -eo comm,args | grep '^node' | grep -c '[w]eb-server.js' || true",
  ]);
  return Number(out.trim());
}
