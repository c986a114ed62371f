import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Service, Task } from '@swarm/api';
import { Cluster, type Host, Lab, LAB_ASSETS, until } from '../lab/index.js';
import { atLeast, atMost, type Goal, median, type Report } from './report.js';

const PORT = 8080;
const ROUNDS = 5;
/** Kept-alive connections; the load is closed-loop. */
const CONNECTIONS = 16;
const LOAD_SECONDS = 4;
/** A server outside the mesh, for comparison. */
const DIRECT_ADDRESS = '198.18.77.2';

/** Times of the main job: creation, failover, mesh throughput against direct, memory. */
export async function benchMain(say: (text: string) => void): Promise<Report> {
  const lab = await Lab.up({ name: 'bench', managers: 3, workers: 2, clients: 1 });
  try {
    const cluster = new Cluster(lab);
    const goals: Goal[] = [];
    const figures: { name: string; value: number; unit: string }[] = [];
    const notes: string[] = [];

    for (const [replicas, rounds] of [
      [1, ROUNDS],
      [10, ROUNDS],
      [100, 3],
    ] as const) {
      say(`service create, ${replicas} replicas`);
      const timings: Timing[] = [];
      for (let round = 0; round < rounds; round++)
        timings.push(await timeCreate(cluster, replicas));
      const seconds = median(timings.map((timing) => timing.totalMs)) / 1000;
      if (replicas === 100) {
        const goal = atMost('create to 100 running', seconds, 's', 6);
        goals.push(goal);
        if (!goal.met) notes.push(`100 replicas: ${stages(timings[0]!)}`);
      } else figures.push({ name: `create to ${replicas} running`, value: seconds, unit: 's' });
    }

    say('mesh against direct');
    goals.push(...(await measureMesh(cluster, figures)));

    say('memory with 100 tasks');
    goals.push(...(await measureMemory(cluster)));

    say('leader SIGKILL to first accepted write');
    const writes: number[] = [];
    await createSleepers(cluster, 'steady', 1);
    for (let round = 0; round < ROUNDS; round++) writes.push(await timeFailover(cluster));
    goals.push(atMost('leader SIGKILL to first accepted write', median(writes), 's', 2));

    say('worker SIGKILL to replacement running');
    const replacements: number[] = [];
    for (let round = 0; round < ROUNDS; round++) replacements.push(await timeReplacement(cluster));
    goals.push(atMost('worker SIGKILL to replacement running', median(replacements), 's', 5));
    return { bench: 'main', goals, figures, notes };
  } finally {
    await lab.down();
  }
}

interface Timing {
  readonly totalMs: number;
  readonly tasks: readonly Task[];
}

async function createSleepers(cluster: Cluster, name: string, replicas: number): Promise<void> {
  const reply = await cluster.manager.api('POST', '/services/create', {
    Name: name,
    TaskTemplate: {
      ContainerSpec: { Image: 'host', Command: ['sleep', '100000'], StopGracePeriod: 1e9 },
      RestartPolicy: { Condition: 'any', Delay: 0 },
    },
    Mode: { Replicated: { Replicas: replicas } },
  });
  if (reply.status !== 201) throw new Error(`create: ${reply.status} ${reply.text}`);
  await until(
    `${replicas} of ${name} run`,
    async () => {
      const [service] = await cluster.get<Service[]>(
        `/services?status=true&filters=${encodeURIComponent(JSON.stringify({ name: [name] }))}`,
      );
      return service?.ServiceStatus?.RunningTasks === replicas;
    },
    { everyMs: 20, deadlineMs: 120_000 },
  );
}

async function timeCreate(cluster: Cluster, replicas: number): Promise<Timing> {
  const name = `sleep-${replicas}`;
  const begin = performance.now();
  await createSleepers(cluster, name, replicas);
  const totalMs = performance.now() - begin;
  const tasks = await cluster.tasks(name);
  await remove(cluster, name);
  return { totalMs, tasks };
}

async function remove(cluster: Cluster, name: string): Promise<void> {
  await cluster.manager.must(['swarm', 'service', 'rm', name]);
  await until(
    `${name} is gone`,
    async () => (await cluster.manager.api('GET', `/services/${name}`)).status === 404,
  );
}

/** From the tasks' own times: when the last was created and when the last ran. */
function stages({ tasks, totalMs }: Timing): string {
  const created = tasks.map((task) => Date.parse(task.CreatedAt));
  const running = tasks.map((task) => Date.parse(task.Status.Timestamp));
  const first = Math.min(...created);
  return `${Math.max(...created) - first} ms to create all tasks, ${Math.max(...running) - first} ms until the last ran on its node, ${totalMs.toFixed(0)} ms as the client sees it`;
}

async function measureMesh(
  cluster: Cluster,
  figures: { name: string; value: number; unit: string }[],
): Promise<Goal[]> {
  const client = cluster.lab.host('c1');
  const manager = cluster.manager;
  const node = (await cluster.nodes()).find((each) => each.Description?.Hostname === manager.name)!;
  await cluster.createWeb('one', {
    replicas: 1,
    publish: `${PORT}:80`,
    extra: ['--constraint', `node.id==${node.ID}`],
  });
  const [task] = await cluster.untilRunning('one', 1);
  if (task === undefined) throw new Error('no task');
  await serveDirectly(manager);
  const remote = cluster.lab.nodes.find((host) => host !== manager)!;
  await client.must(['ip', 'route', 'replace', DIRECT_ADDRESS, 'via', manager.address]);
  const direct: number[] = [];
  const local: number[] = [];
  const across: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    direct.push(await throughput(client, DIRECT_ADDRESS, 80));
    local.push(await throughput(client, manager.address, PORT));
    across.push(await throughput(client, remote.address, PORT));
  }
  await client.must(['ip', 'route', 'del', DIRECT_ADDRESS]);
  await remove(cluster, 'one');
  const ratio = (values: readonly number[]) => median(values.map((value, i) => value / direct[i]!));
  figures.push({ name: 'direct to a task', value: median(direct), unit: 'requests/s' });
  figures.push({
    name: 'remote endpoint through the mesh / direct',
    value: ratio(across),
    unit: 'ratio',
  });
  return [atLeast('local endpoint through the mesh / direct', ratio(local), 'ratio', 0.9)];
}

/**
 * The same web server as a task's, in a namespace of its own behind a veth as a task is, but with a
 * plain route: the mesh lets nobody reach a task's address except through a published port.
 */
async function serveDirectly(host: Host): Promise<void> {
  const server = join(LAB_ASSETS, 'web-server.js');
  await host.must([
    'sh',
    '-ec',
    `ip netns add direct
     ip link add direct type veth peer name eth0 netns direct
     ip addr add 198.18.77.1/32 dev direct
     ip link set direct up
     ip route add ${DIRECT_ADDRESS} dev direct
     ip -n direct addr add ${DIRECT_ADDRESS}/32 dev eth0
     ip -n direct link set eth0 up
     ip -n direct link set lo up
     ip -n direct route add 198.18.77.1 dev eth0
     ip -n direct route add default via 198.18.77.1
     nsenter --net=/run/netns/direct -- ${process.execPath} ${server} >/dev/null 2>&1 &
     for attempt in $(seq 100); do
       ip netns exec direct ss -Hltn 'sport = :80' | grep -q . && exit 0
       sleep 0.1
     done
     echo 'the web server does not listen' >&2
     exit 1`,
  ]);
}

/** Requests per second over kept-alive connections. */
async function throughput(client: Host, address: string, port: number): Promise<number> {
  const out = await client.must([
    process.execPath,
    join(LAB_ASSETS, '..', 'dist', 'bench', 'keep-alive-load.js'),
    ...[address, String(port), String(CONNECTIONS), String(LOAD_SECONDS)],
  ]);
  return Number(out.trim());
}

async function measureMemory(cluster: Cluster): Promise<Goal[]> {
  await createSleepers(cluster, 'hundred', 100);
  // Leaves time for collection after the burst, as in a cluster that runs for a while.
  await delay(5000);
  const managers: number[] = [];
  const workers: number[] = [];
  for (const host of cluster.lab.nodes) {
    (host.state.role === 'manager' ? managers : workers).push((await residentKib(host)) / 1024);
  }
  await remove(cluster, 'hundred');
  return [
    atMost('manager resident memory, largest', Math.max(...managers), 'MB', 130),
    atMost('worker resident memory, largest', Math.max(...workers), 'MB', 100),
  ];
}

async function residentKib(host: Host): Promise<number> {
  const status = await readFile(`/proc/${host.state.daemonPid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]);
}

async function timeFailover(cluster: Cluster): Promise<number> {
  const leader = await cluster.leader();
  await cluster.lab.kill(leader.name);
  const begin = performance.now();
  const others = cluster.lab.managers.filter((host) => host !== leader);
  await until('a write is accepted', () => touch(others), { everyMs: 20, deadlineMs: 30_000 });
  const seconds = (performance.now() - begin) / 1000;
  await cluster.lab.start(leader.name);
  await allReady(cluster);
  return seconds;
}

/** Asks all managers at once to change a label. @returns whether one did */
async function touch(managers: readonly Host[]): Promise<boolean> {
  const done = await Promise.allSettled(
    managers.map(async (host) => {
      const read = await host.api('GET', '/services/steady', undefined, { timeoutMs: 1500 });
      if (read.status !== 200) return false;
      const service = read.json as Service;
      const spec = { ...service.Spec, Labels: { touched: String(Date.now()) } };
      const path = `/services/${service.ID}/update?version=${service.Version.Index}`;
      return (await host.api('POST', path, spec, { timeoutMs: 1500 })).status === 200;
    }),
  );
  return done.some((result) => result.status === 'fulfilled' && result.value);
}

async function timeReplacement(cluster: Cluster): Promise<number> {
  const worker = cluster.lab.host('w1');
  const node = (await cluster.nodes()).find((each) => each.Description?.Hostname === worker.name)!;
  await cluster.manager.must([
    'swarm',
    'service',
    'create',
    '-d',
    '--name',
    'moves',
    '--replicas',
    '10',
    '--restart-delay',
    '0s',
    'host',
    'sleep',
    '100000',
  ]);
  await cluster.untilRunning('moves', 10);
  const here = (await cluster.running('moves')).filter((task) => task.NodeID === node.ID).length;
  if (here === 0) throw new Error('no task on the worker that is to be killed');
  await cluster.lab.kill(worker.name);
  const begin = performance.now();
  await until(
    'the replacements run',
    async () =>
      (await cluster.running('moves')).filter((task) => task.NodeID !== node.ID).length === 10,
    { everyMs: 20, deadlineMs: 60_000 },
  );
  const seconds = (performance.now() - begin) / 1000;
  await cluster.lab.start(worker.name);
  await allReady(cluster);
  await remove(cluster, 'moves');
  return seconds;
}

async function allReady(cluster: Cluster): Promise<void> {
  await until(
    'all nodes are ready',
    async () => (await cluster.nodes()).every((node) => node.Status.State === 'ready'),
    { deadlineMs: 60_000 },
  );
}
