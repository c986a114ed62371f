import type { Network, Node, Task } from '@swarm/api';
import test from 'ava';
import { Cluster, failuresOf, type Host, Lab, until } from '../lab/index.js';
import { fileForTasks } from '../lab/task-files.js';

/**
 * The stock client takes the ingress network away and makes another, as Docker's manual has it. Meanwhile tasks on
 * an overlay network talk to each other without a pause.
 */
const PORT = 8080;
const FIRST = '10.240.';
const SECOND = '10.11.';
let lab: Lab;
let cluster: Cluster;

/** Asks a service once every 20 ms and prints each failure; prints how often it asked once a second. */
const PROBE = `
let asked = 0;
setInterval(() => console.log('asked ' + asked), 1000);
(async () => {
  for (;;) {
    try {
      await (await fetch('http://back/', { signal: AbortSignal.timeout(2000) })).text();
      asked += 1;
    } catch (error) { console.log('failed ' + (error.cause?.code ?? error.name) + ' after ' + asked); }
    await new Promise((done) => setTimeout(done, 20));
  }
})();`;

test.before(async (t) => {
  t.timeout(120_000);
  lab = await Lab.up({ name: 'ing-network', managers: 2, workers: 1, clients: 1 });
  cluster = new Cluster(lab);
});

test.after.always(async (t) => {
  t.timeout(60_000);
  await lab?.down();
});

const docker = (...args: string[]) => cluster.manager.exec(['docker', ...args]);
/** Says yes to the client's question. */
const removeIngress = (name: string) =>
  cluster.manager.exec(['sh', '-c', `echo y | docker network rm ${name}`]);

async function ways(host: Host): Promise<string> {
  const [routes, addresses] = await Promise.all([
    host.must(['ip', 'route', 'show', 'table', 'all']),
    host.must(['ip', 'addr', 'show', 'dev', 'swarm-vxlan']),
  ]);
  return routes + addresses;
}

/** Where the tasks of the web service are on the ingress network. */
async function places(): Promise<string[]> {
  const tasks = await cluster.running('web');
  return tasks.flatMap(({ NetworksAttachments = [] }: Task) =>
    NetworksAttachments.flatMap(({ Addresses }) => Addresses),
  );
}

/** What the probes say of the overlay network. */
async function probes(): Promise<{ asked: number; failed: string[] }> {
  const { stdout } = await cluster.manager.exec(['swarm', 'service', 'logs', '--raw', 'probe']);
  const lines = stdout.split('\n');
  const asked = lines.map((line) => Number(/^asked (\d+)$/.exec(line)?.[1] ?? 0));
  return { asked: Math.max(...asked), failed: lines.filter((line) => line.startsWith('failed')) };
}

async function untilMoved(to: string, from: string): Promise<void> {
  for (const host of lab.nodes) {
    await until(`${host.name} is in the new network`, async () => {
      const text = await ways(host);
      return text.includes(to) && !text.includes(from);
    });
  }
}

test.serial('a published port answers on every node, and keeps its network', async (t) => {
  t.timeout(120_000);
  await cluster.createWeb('web', { replicas: 3, publish: `${PORT}:80` });
  await cluster.untilRunning('web', 3);
  const refused = await removeIngress('ingress');
  t.not(refused.code, 0);
  t.regex(refused.stderr, /ingress network cannot be removed because service web depends on it/);
  await cluster.manager.must(['swarm', 'network', 'create', 'back']);
  await cluster.createWeb('back', { replicas: 3, extra: ['--network', 'back'] });
  await cluster.untilRunning('back', 3);
  const node = await fileForTasks(lab.state.name, process.execPath);
  const command = ['host', node, '-e', PROBE];
  const create = ['service', 'create', '-d', '--name', 'probe', '--network', 'back'];
  await cluster.manager.must(['swarm', ...create, '--mode', 'global', ...command]);
  await cluster.untilRunning('probe', 3);
});

test.serial(
  'the ingress network goes with its last service, and ports wait for the next',
  async (t) => {
    t.timeout(120_000);
    await cluster.manager.must(['swarm', 'service', 'rm', 'web']);
    const removed = await removeIngress('ingress');
    t.is(removed.code, 0, removed.stderr);
    const refused = await docker(
      'service',
      'create',
      '-d',
      '-p',
      '9090:80',
      '--name',
      'x',
      'nginx:1',
    );
    t.not(refused.code, 0);
    t.regex(refused.stderr, /service needs ingress network, but no ingress network is present/);
  },
);

test.serial(
  'the next has the subnet, gateway and MTU that it is given, on every node',
  async (t) => {
    t.timeout(120_000);
    const made = await docker(
      ...['network', 'create', '--driver', 'overlay', '--ingress', '--subnet=10.11.0.0/16'],
      ...['--gateway=10.11.0.2', '--opt', 'com.docker.network.driver.mtu=1200', 'my-ingress'],
    );
    t.is(made.code, 0, made.stderr);
    const second = await docker('network', 'create', '--driver', 'overlay', '--ingress', 'third');
    t.regex(second.stderr, /ingress network \(\w+\) is already present/);
    const shown = await docker('network', 'inspect', 'my-ingress');
    const [network] = JSON.parse(shown.stdout) as [
      { Ingress: boolean; IPAM: object; Options: object },
    ];
    t.like(network, {
      Ingress: true,
      IPAM: { Config: [{ Subnet: '10.11.0.0/16', Gateway: '10.11.0.2' }] },
      Options: { 'com.docker.network.driver.mtu': '1200' },
    });
    t.regex((await docker('network', 'ls')).stdout, /my-ingress +overlay +swarm/);
    await untilMoved(SECOND, FIRST);
    await until('nodes show their blocks', async () =>
      (await cluster.nodes()).every(({ Mesh }: Node) => Mesh?.Subnet.startsWith(SECOND)),
    );

    await cluster.createWeb('web', { replicas: 3, publish: `${PORT}:80` });
    await cluster.untilRunning('web', 3);
    for (const place of await places()) t.true(place.startsWith(SECOND), place);
    const seen = await cluster.request(lab.host('c1'), { port: PORT, requests: 60 });
    t.is(seen.failures, 0, failuresOf(seen));
    const links = await lab.host('w1').must(['ip', '-o', 'link', 'show', 'type', 'veth']);
    t.regex(links, /swt\w+@\w+: .* mtu 1200 /, 'the web task’s');
    t.regex(links, /swt\w+@\w+: .* mtu 1450 /, 'other networks keep theirs');
    t.regex(
      await ways(lab.host('w1')),
      /10\.11\.\d+\.0\/24 via 10\.11\.\d+\.1 dev swarm-vxlan .*mtu 1200/,
    );
    const { asked, failed } = await probes();
    t.true(asked > 50, `${asked}`);
    t.deepEqual(failed, [], 'tasks of overlay networks felt nothing of it');
  },
);

test.serial('a node that comes back is in the new network', async (t) => {
  t.timeout(120_000);
  await lab.kill('w1');
  await until('it is down', async () =>
    (await cluster.nodes()).some(({ Status }) => Status.State === 'down'),
  );
  await lab.start('w1');
  await until('it is back', async () =>
    (await cluster.nodes()).every(({ Status }) => Status.State === 'ready'),
  );
  await untilMoved(SECOND, FIRST);
  await cluster.untilRunning('web', 3);
  await until('it serves', async () => {
    const seen = await cluster.request(lab.host('c1'), {
      ...{ port: PORT, requests: 20, timeoutMs: 2000 },
      targets: [lab.host('w1').address],
    });
    return seen.failures === 0;
  });
  t.pass();
});

test.serial(
  'back to the first network, and tasks of overlay networks felt nothing of it',
  async (t) => {
    t.timeout(120_000);
    // A host that died broke connections: from here on, nothing may fail.
    const before = await probes();
    await cluster.manager.must(['swarm', 'service', 'rm', 'web']);
    const removed = await removeIngress('my-ingress');
    t.is(removed.code, 0, removed.stderr);
    await cluster.manager.must(['swarm', 'network', 'create', '--ingress', 'ingress']);
    const { IPAM } = await cluster.get<{ IPAM: { Config: Network['Subnets'] } }>(
      '/networks/ingress',
    );
    t.is(IPAM.Config[0]?.Subnet, '10.240.0.0/12');
    await untilMoved(FIRST, SECOND);
    await cluster.createWeb('web', { replicas: 3, publish: `${PORT}:80` });
    await cluster.untilRunning('web', 3);
    const seen = await cluster.request(lab.host('c1'), { port: PORT, requests: 60 });
    t.is(seen.failures, 0, failuresOf(seen));
    const { asked, failed } = await probes();
    t.true(asked > before.asked);
    t.deepEqual(failed.slice(before.failed.length), []);
  },
);
