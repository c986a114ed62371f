import { readdir } from 'node:fs/promises';
import { parseCidr } from '@swarm/api';
import type { TestFn } from 'ava';
import { Cluster, failuresOf, type Host, Lab, type LabRuntime, run, until } from '../lab/index.js';

interface Context {
  cluster: Cluster;
}

const PORT = 8080;

/**
 * The main job, the same with every runtime: form a cluster, publish, scale, update without a failed
 * request.
 */
export function mainJob(test: TestFn<unknown>, runtime: LabRuntime): void {
  const it = test as TestFn<Context>;
  let lab: Lab | undefined;

  it.before(async (t) => {
    t.timeout(180_000);
    lab = await Lab.up({ name: `job-${runtime}`, managers: 3, workers: 2, clients: 1, runtime });
  });
  it.beforeEach((t) => {
    t.context.cluster = new Cluster(lab!);
  });
  it.after.always(async (t) => {
    t.timeout(60_000);
    await lab?.down();
  });

  it.serial(`${runtime}: three managers and two workers form a cluster`, async (t) => {
    const { cluster } = t.context;
    const nodes = await cluster.nodes();
    t.is(nodes.length, 5);
    t.deepEqual(nodes.map((node) => node.Description?.Hostname).sort(), [
      'm1',
      'm2',
      'm3',
      'w1',
      'w2',
    ]);
    t.is(nodes.filter((node) => node.ManagerStatus?.Reachability === 'reachable').length, 3);
    t.is(nodes.filter((node) => node.ManagerStatus?.Leader === true).length, 1);
    for (const host of cluster.lab.managers) {
      const listed = await host.must([
        'swarm',
        'node',
        'ls',
        '--format',
        '{{.Hostname}} {{.Status}} {{.ManagerStatus}}',
      ]);
      t.is(listed.trim().split('\n').length, 5, `${host.name} lists: ${listed}`);
    }
  });

  it.serial(
    `${runtime}: a published port answers on every node, from every task, and tasks see the client`,
    async (t) => {
      const { cluster } = t.context;
      const client = cluster.lab.host('c1');
      await cluster.createWeb('web', {
        replicas: 6,
        publish: `${PORT}:80`,
        extra: ['--update-delay', '0s'],
      });
      const tasks = await cluster.untilRunning('web', 6);
      await meshKnows(cluster, client, 6);
      const result = await cluster.request(client, { port: PORT, requests: 200 });
      t.is(result.failures, 0, failuresOf(result));
      t.deepEqual(Object.keys(result.hosts).sort(), cluster.addresses.sort());
      t.deepEqual(Object.keys(result.tasks).sort(), tasks.map((task) => task.ID).sort());
      t.deepEqual(result.clients, { [client.address]: 200 });
    },
  );

  it.serial(`${runtime}: a node reaches a published port on itself and on 127.0.0.1`, async (t) => {
    const { cluster } = t.context;
    for (const host of [cluster.lab.host('m1'), cluster.lab.host('w2')]) {
      const result = await cluster.request(host, {
        port: PORT,
        requests: 20,
        targets: [host.address, '127.0.0.1'],
      });
      t.is(result.failures, 0, `${host.name}: ${failuresOf(result)}`);
    }
  });

  it.serial(
    `${runtime}: scaling to 6, 20 and 3 shows true states and leaves nothing behind`,
    async (t) => {
      t.timeout(180_000);
      const { cluster } = t.context;
      const { manager } = cluster;
      await manager.must(['swarm', 'service', 'scale', '-d', 'web=20']);
      await cluster.untilRunning('web', 20, { deadlineMs: 90_000 });
      t.is(await replicas(manager), '20/20');
      await manager.must(['swarm', 'service', 'scale', '-d', 'web=3']);
      const left = await cluster.untilRunning('web', 3);
      await until(
        'removed tasks are gone from the store',
        async () => (await cluster.tasks('web')).length === 3,
      );
      t.is(await replicas(manager), '3/3');
      const shown = await manager.must([
        'swarm',
        'service',
        'ps',
        '--no-trunc',
        '--format',
        '{{.ID}} {{.Node}} {{.CurrentState}}',
        'web',
      ]);
      t.deepEqual(
        shown
          .trim()
          .split('\n')
          .map((line) => line.split(' ')[0])
          .sort(),
        left.map((task) => task.ID).sort(),
      );
      t.true(
        shown
          .split('\n')
          .filter((line) => line !== '')
          .every((line) => line.includes(' Running ')),
        shown,
      );
      await nothingLeft(cluster, new Set(left.map((task) => task.ID)));
      t.pass();
    },
  );

  it.serial(`${runtime}: a rolling update of 6 replicas under load fails no request`, async (t) => {
    t.timeout(240_000);
    const { cluster } = t.context;
    const client = cluster.lab.host('c1');
    await cluster.manager.must(['swarm', 'service', 'scale', '-d', 'web=6']);
    await cluster.untilRunning('web', 6);
    const load = cluster.load(client, { port: PORT, concurrency: 4, pauseMs: 5 });
    let stopped = false;
    try {
      await cluster.manager.must([
        'swarm',
        'service',
        'update',
        '-d',
        '--env-add',
        'VERSION=2',
        '--update-monitor',
        '500ms',
        '--update-delay',
        '500ms',
        'web',
      ]);
      await until(
        'the update is complete',
        async () => (await cluster.service('web')).UpdateStatus?.State === 'completed',
        {
          deadlineMs: 180_000,
          everyMs: 200,
        },
      );
      const beyond = await cluster.request(client, { port: PORT, requests: 100 });
      t.deepEqual(Object.keys(beyond.versions), ['2']);
      stopped = true;
    } finally {
      const seen = await load.stop();
      t.log(
        `${seen.requests} requests, p50 ${seen.p50Ms.toFixed(1)} ms, p99 ${seen.p99Ms.toFixed(1)} ms, max ${seen.maxMs.toFixed(0)} ms`,
      );
      if (stopped) {
        t.is(seen.failures, 0, failuresOf(seen));
        t.true(seen.requests >= 2000, `only ${seen.requests} requests`);
        t.truthy(seen.versions['1']);
        t.truthy(seen.versions['2']);
      }
    }
  });

  it.serial(`${runtime}: logs of all tasks come from any manager`, async (t) => {
    const { cluster } = t.context;
    await cluster.manager.must([
      'swarm',
      'service',
      'create',
      '-d',
      '--name',
      'talk',
      '--replicas',
      '2',
      '--restart-condition',
      'none',
      ...say(runtime),
    ]);
    for (const host of cluster.lab.managers) {
      const lines = await until(`logs on ${host.name}`, async () => {
        const out = await host.must(['swarm', 'service', 'logs', 'talk']);
        const found = out.split('\n').filter((line) => line.includes('hello from'));
        return found.length === 2 ? found : undefined;
      });
      t.true(
        lines.every((line) => /^talk\.[12]\.\w+@\w+ +\| hello from/.test(line)),
        lines.join('\n'),
      );
    }
    await cluster.manager.must(['swarm', 'service', 'rm', 'talk']);
  });

  it.serial(`${runtime}: a removed service leaves nothing behind`, async (t) => {
    const { cluster } = t.context;
    await cluster.manager.must(['swarm', 'service', 'rm', 'web']);
    await until(
      'the services are gone',
      async () => (await cluster.get<unknown[]>('/services')).length === 0,
    );
    await nothingLeft(cluster, new Set());
    const client = cluster.lab.host('c1');
    const result = await cluster.request(client, { port: PORT, requests: 5 });
    t.is(result.failures, 5);
    t.true(
      Object.keys(result.errors).every((error) => error.endsWith('ECONNREFUSED')),
      failuresOf(result),
    );
  });
}

function say(runtime: LabRuntime): string[] {
  return runtime === 'docker'
    ? ['swarm-test/web:1', 'sh', '-c', 'echo hello from $HOSTNAME; sleep 1000']
    : ['host', 'sh', '-c', 'echo hello from $HOSTNAME; sleep 1000'];
}

async function replicas(manager: Host): Promise<string> {
  return (await manager.must(['swarm', 'service', 'ls', '--format', '{{.Replicas}}'])).trim();
}

/** Waits until every node's mesh spreads over all tasks: the last endpoints take some milliseconds. */
async function meshKnows(cluster: Cluster, client: Host, tasks: number): Promise<void> {
  for (const target of cluster.addresses) {
    await until(`all tasks answer on ${target}`, async () => {
      const result = await cluster.request(client, { port: PORT, requests: 60, targets: [target] });
      return Object.keys(result.tasks).length === tasks && result.failures === 0;
    });
  }
}

/** Checks that only `tasks` have processes, containers, namespaces, interfaces and mesh elements. */
async function nothingLeft(cluster: Cluster, tasks: ReadonlySet<string>): Promise<void> {
  const own = (await cluster.tasks('web').catch(() => [])).filter((task) => tasks.has(task.ID));
  const nodes = await cluster.nodes();
  for (const host of cluster.lab.nodes) {
    const node = nodes.find((each) => each.Description?.Hostname === host.name);
    const here = own.filter((task) => task.NodeID === node?.ID).length;
    await until(`nothing of removed tasks is left on ${host.name}`, async () => {
      const links = JSON.parse(await host.must(['ip', '-j', 'link', 'show', 'type', 'veth'])) as {
        ifname: string;
      }[];
      const veths = links.filter((link) => link.ifname !== 'eth0').length;
      if (veths !== here) throw new Error(`${veths} task interfaces for ${here} tasks`);
      const named = (await host.must(['ls', '/run/netns']))
        .trim()
        .split('\n')
        .filter((name) => name !== '').length;
      if (cluster.lab.state.runtime === 'process' && named !== here)
        throw new Error(`${named} network namespaces for ${here} tasks`);
      if (host.state.engineSocket !== undefined) {
        const listed = await run([
          'docker',
          '-H',
          `unix://${host.state.engineSocket}`,
          'ps',
          '-aq',
          '--filter',
          'label=com.docker.swarm.task.id',
        ]);
        const containers = listed.stdout
          .trim()
          .split('\n')
          .filter((line) => line !== '').length;
        // A task has a container and a sandbox.
        if (containers > here * 2) throw new Error(`${containers} containers for ${here} tasks`);
      } else {
        const processes = (
          await host.must(['sh', '-c', "ps -eo args | grep -c '[w]eb-server.js' || true"])
        ).trim();
        // Without namespaces, a task's supervisor names its command as well.
        if (Number(processes) > here * 2)
          throw new Error(`${processes} processes for ${here} tasks`);
        const cgroups = await taskCgroups(host);
        if (cgroups > here) throw new Error(`${cgroups} cgroups for ${here} tasks`);
      }
      const rules = await host.must(['nft', 'list', 'ruleset']);
      const addresses = new Set<string>(
        own
          .flatMap((task) => task.NetworksAttachments ?? [])
          .flatMap(({ Addresses }) => Addresses.flatMap((text) => parseCidr(text)?.address ?? [])),
      );
      const stray = [...rules.matchAll(/(10\.2[4-5]\d\.\d+\.\d+) \. \d+/g)]
        .map((match) => match[1]!)
        .filter((address) => !addresses.has(address));
      if (stray.length > 0) throw new Error(`mesh elements of ${stray.join(', ')}`);
      return true;
    });
  }
}

async function taskCgroups(host: Host): Promise<number> {
  const root = '/sys/fs/cgroup';
  for (const hierarchy of ['', 'unified', 'pids']) {
    const folder = `${root}/${hierarchy}/${host.cgroupParent}`;
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
    const found = entries.filter((entry) => entry.isDirectory()).length;
    if (found > 0) return found;
  }
  return 0;
}
