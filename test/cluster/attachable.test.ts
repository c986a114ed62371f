import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Task } from '@swarm/api';
import { until } from '@swarm/sim';
import test, { type ExecutionContext } from 'ava';
import { Cluster, type Host, Lab, TEST_IMAGE } from '../lab/index.js';

const NAME = 'attachable';
/** A program that a host starts after a crash needs a while on a busy machine. */
const SLOW = { deadlineMs: 30_000 };

let lab: Lab;
let cluster: Cluster;
let manager: Host;
let worker: Host;

test.before(async () => {
  lab = await Lab.up({ name: NAME, managers: 1, workers: 1, clients: 1, runtime: 'docker' });
  cluster = new Cluster(lab);
  manager = lab.host('m1');
  worker = lab.host('w1');
  await docker(manager, 'network create -d overlay --attachable --subnet 10.77.0.0/24 open');
  await docker(manager, 'network create -d overlay --attachable --subnet 10.78.0.0/24 more');
  await docker(manager, 'network create -d overlay shut');
});

test.after.always(async () => {
  await lab?.down();
});

/** A test that fails must not fail the next ones. */
test.afterEach.always(async () => {
  for (const host of [manager, worker]) {
    const names = (await docker(host, 'ps -aq --filter name=^/')).split('\n').filter(Boolean);
    for (const name of names) await host.exec(['docker', 'rm', '-f', name]);
  }
});

/** The stock client, talking to the host's daemon. */
function docker(host: Host, line: string, ...more: string[]): Promise<string> {
  return host.must(['docker', ...line.split(' '), ...more]);
}

/** Starts a container that runs until it is stopped. */
function runs(host: Host, name: string, ...flags: string[]): Promise<string> {
  return docker(
    host,
    `run -d --name ${name} --network open`,
    ...flags,
    TEST_IMAGE,
    'sleep',
    '1000',
  );
}

async function places(): Promise<Task[]> {
  const filters = encodeURIComponent(JSON.stringify({ runtime: ['attachment'] }));
  return cluster.get<Task[]>(`/tasks?filters=${filters}`);
}

async function placeOf(name: string): Promise<Task | undefined> {
  return (await places()).find((task) => task.Name === name);
}

function addressOf(task: Task | undefined, index = 0): string {
  return (task?.NetworksAttachments?.[index]?.Addresses[0] ?? '').split('/')[0]!;
}

/** Everything that a host has for containers on networks: sandboxes, links, and records. */
async function left(host: Host): Promise<string[]> {
  const sandboxes = await docker(
    host,
    'ps -a --filter label=swarm.network.node --format {{.Names}}',
  );
  const links = await host.must(['ip', '-o', 'link', 'show', 'type', 'veth']);
  const file = join(host.state.folder, 'data', 'worker', 'containers.json');
  const records = await readFile(file, 'utf8').catch(() => '');
  const ours = links.split('\n').filter((line) => line.includes('swt'));
  return [sandboxes.trim(), ours.join('\n'), records].filter((text) => text !== '');
}

/** Waits until neither the cluster nor the hosts have anything of any container. */
async function untilNothingIsLeft(t: ExecutionContext): Promise<void> {
  await until(
    'nothing is left of containers',
    async () =>
      (await places()).length === 0 &&
      (await left(manager)).length === 0 &&
      (await left(worker)).length === 0,
    SLOW,
  ).catch(async (error: unknown) => {
    t.log(await places(), await left(manager), await left(worker));
    throw error;
  });
  t.pass();
}

async function remove(host: Host, ...names: string[]): Promise<void> {
  await docker(host, 'rm -f', ...names);
}

test.serial(
  'containers of two nodes find and reach each other from their first instruction',
  async (t) => {
    await runs(worker, 'two', '--network-alias', 'deux');
    const seen = await docker(
      manager,
      'run --rm --name one --network open',
      TEST_IMAGE,
      'sh',
      '-c',
      'cat /etc/resolv.conf; hostname; for name in one two deux; do nslookup $name; done; wget -T 5 -qO- http://two:80/ 2>&1; true',
    );
    const two = addressOf(await placeOf('two'));
    t.regex(two, /^10\.77\.0\.\d+$/);
    t.regex(seen, /nameserver 127\.0\.0\.11/);
    t.is(seen.split(`Address: ${two}`).length - 1, 2, seen);
    await t.notThrowsAsync(docker(worker, `exec two busybox ping -c 1 -W 5 two`));
    await remove(worker, 'two');
    await untilNothingIsLeft(t);
  },
);

test.serial('services and containers reach each other by name', async (t) => {
  await docker(manager, `service create --detach --name web --network open ${TEST_IMAGE}`);
  await cluster.untilRunning('web', 1);
  await runs(worker, 'guest');
  await until('the service answers the container', async () => {
    const asked = await worker.exec([
      'docker',
      ...'exec guest wget -T 2 -qO- http://web/'.split(' '),
    ]);
    return (
      /404|<|\w/.test(asked.stdout + asked.stderr) && !/bad address|timed out/.test(asked.stderr)
    );
  });
  await docker(manager, 'service rm web');
  await remove(worker, 'guest');
  await untilNothingIsLeft(t);
});

test.serial('stock tools see the network, the address and the names', async (t) => {
  await runs(manager, 'shown', '--network-alias', 'other', '-p', '9090:80', '--hostname', 'hoard');
  const address = addressOf(await placeOf('shown'));
  const [details] = JSON.parse(await docker(manager, 'inspect shown')) as [
    {
      Config: { Hostname: string };
      HostConfig: { NetworkMode: string; PortBindings: object };
      NetworkSettings: { Ports: object; Networks: Record<string, Record<string, unknown>> };
    },
  ];
  t.is(details.HostConfig.NetworkMode, 'open');
  t.is(details.Config.Hostname, 'hoard');
  t.like(details.NetworkSettings.Networks.open, { IPAddress: address, IPPrefixLen: 24 });
  t.true((details.NetworkSettings.Networks.open!.Aliases as string[]).includes('other'));
  t.deepEqual(details.NetworkSettings.Ports, { '80/tcp': [{ HostIp: '', HostPort: '9090' }] });
  t.regex(
    await docker(manager, 'ps --format {{.Names}}:{{.Ports}}:{{.Networks}}'),
    /shown:.*9090->80\/tcp:open/,
  );
  const network = await docker(manager, 'network inspect open');
  t.regex(network, new RegExp(`"Name": "shown"[^}]*"IPv4Address": "${address}/24"`));
  t.is((await docker(manager, 'exec shown hostname')).trim(), 'hoard');
  t.false((await docker(manager, 'ps -a --format {{.Names}}')).includes('swarm-network'));
  await remove(manager, 'shown');
  await untilNothingIsLeft(t);
});

test.serial('a published port leads to the container on its own node', async (t) => {
  await docker(
    worker,
    'run -d --name ports --network open -p 9191:80',
    TEST_IMAGE,
    'httpd',
    '-f',
    '-p',
    '80',
  );
  const url = `http://${worker.address}:9191/`;
  await until('the port answers', async () => {
    const asked = await lab
      .host('c1')
      .exec(['curl', '-sS', '-m', '3', '-o', '/dev/null', '-w', '%{http_code}', url]);
    return asked.stdout === '404';
  });
  const taken = await worker.exec([
    'docker',
    ...`run -d --name second --network open -p 9191:80 ${TEST_IMAGE} sleep 9`.split(' '),
  ]);
  t.not(taken.code, 0);
  t.regex(taken.stderr, /9191/);
  await remove(worker, 'ports', 'second');
  await untilNothingIsLeft(t);
});

test.serial(
  'a network that is not attachable, and what such a network cannot give, is refused',
  async (t) => {
    const refused = async (flags: string): Promise<string> => {
      const { code, stderr } = await worker.exec([
        'docker',
        ...`create ${flags} ${TEST_IMAGE} true`.split(' '),
      ]);
      t.not(code, 0, flags);
      return stderr;
    };
    t.regex(
      await refused('--network shut'),
      /Could not attach to network shut: .*not manually attachable/,
    );
    t.regex(await refused('--network open --ip 10.77.0.99'), /IPAMConfig\.IPv4Address/);
    t.regex(await refused('--network open -p 127.0.0.1:99:80'), /HostIp/);
    t.regex(await refused('--network open -P'), /PublishAllPorts/);
    await untilNothingIsLeft(t);
  },
);

test.serial('a container that ends, however, gives everything back', async (t) => {
  await docker(worker, 'run --rm --network open', TEST_IMAGE, 'true');
  await docker(worker, 'run --name ends --network open', TEST_IMAGE, 'true');
  await docker(worker, 'create --name never --network open', TEST_IMAGE, 'true');
  await until('ended containers have no place', async () => (await places()).length === 0);
  const broken = await worker.exec([
    'docker',
    ...`run --name broken --network open ${TEST_IMAGE} /none`.split(' '),
  ]);
  t.not(broken.code, 0);
  await runs(worker, 'stops');
  await docker(worker, 'stop -t 0 stops');
  await until('a stopped container has no place', async () => (await places()).length === 0);
  await docker(worker, 'start stops');
  t.truthy(await placeOf('stops'));
  await remove(worker, 'ends', 'never', 'broken', 'stops');
  await untilNothingIsLeft(t);
});

test.serial(
  'a container is restarted by its policy in its network, with its address, also without the daemon',
  async (t) => {
    await docker(
      worker,
      'run -d --name flaps --restart always --network open',
      TEST_IMAGE,
      'sh',
      '-c',
      'sleep 2',
    );
    const before = await placeOf('flaps');
    await worker.killDaemon();
    const engine = `unix://${worker.state.engineSocket!}`;
    await until('the engine restarts it twice', async () => {
      const count = await worker.must([
        'docker',
        '-H',
        engine,
        'inspect',
        '-f',
        '{{.RestartCount}}',
        'flaps',
      ]);
      return Number(count) >= 2;
    });
    await worker.startDaemons();
    await until(
      'the node is ready again',
      async () => (await cluster.nodes()).every(({ Status }) => Status.State === 'ready'),
      SLOW,
    );
    t.is(addressOf(await placeOf('flaps')), addressOf(before));
    await runs(manager, 'asks');
    await until('it answers at its address', async () => {
      const asked = await manager.exec([
        'docker',
        ...`exec asks busybox ping -c 1 -W 2 ${addressOf(before)}`.split(' '),
      ]);
      return asked.code === 0;
    });
    await docker(worker, 'restart -t 0 flaps');
    t.is(addressOf(await placeOf('flaps')), addressOf(before));
    await remove(worker, 'flaps');
    await remove(manager, 'asks');
    await untilNothingIsLeft(t);
  },
);

test.serial('what ends while the daemon is down is given back when it is up', async (t) => {
  await runs(worker, 'dies');
  await runs(worker, 'lives');
  const before = addressOf(await placeOf('lives'));
  await worker.killDaemon();
  const engine = `unix://${worker.state.engineSocket!}`;
  await worker.must(['docker', '-H', engine, 'rm', '-f', 'dies']);
  await worker.startDaemons();
  await until('the dead one has no place', async () => (await placeOf('dies')) === undefined, SLOW);
  t.is(addressOf(await placeOf('lives')), before);
  await remove(worker, 'lives');
  await untilNothingIsLeft(t);
});

test.serial(
  'after a restart of the engine, what it would start is back in its network',
  async (t) => {
    await runs(worker, 'always', '--restart', 'always');
    await runs(worker, 'once');
    const before = addressOf(await placeOf('always'));
    await worker.killEngine();
    await worker.startEngine();
    await until(
      'only the one with a policy runs',
      async () => {
        const names = await docker(worker, 'ps --format {{.Names}}');
        return names.trim() === 'always' && (await placeOf('once')) === undefined;
      },
      SLOW,
    );
    t.is(addressOf(await placeOf('always')), before);
    t.regex(await docker(worker, 'exec always ip addr'), new RegExp(before.replaceAll('.', '\\.')));
    await remove(worker, 'always', 'once');
    await untilNothingIsLeft(t);
  },
);

test.serial('after a power cut, nothing is left of what does not come back', async (t) => {
  await runs(worker, 'back', '--restart', 'unless-stopped');
  await runs(worker, 'gone');
  await lab.kill('w1');
  await lab.start('w1');
  await until(
    'the one with a policy runs in its network',
    async () => {
      const seen = await worker.exec(['docker', ...'exec back ip addr'.split(' ')]);
      return (
        seen.stdout.includes(addressOf(await placeOf('back'))) &&
        (await placeOf('gone')) === undefined
      );
    },
    SLOW,
  );
  await remove(worker, 'back', 'gone');
  await untilNothingIsLeft(t);
});

test.serial('a running container joins and leaves a further network', async (t) => {
  await runs(worker, 'joins');
  await docker(manager, 'run -d --name far --network more', TEST_IMAGE, 'sleep', '1000');
  await docker(worker, 'network connect --alias wide more joins');
  t.regex(addressOf(await placeOf('joins'), 1), /^10\.78\./);
  await t.notThrowsAsync(docker(worker, 'exec joins busybox ping -c 1 -W 5 far'));
  await t.notThrowsAsync(docker(manager, 'exec far busybox ping -c 1 -W 5 wide'));
  await docker(worker, 'network disconnect more joins');
  t.is((await placeOf('joins'))?.NetworksAttachments?.length, 1);
  t.not(
    (await worker.exec(['docker', ...'exec joins busybox ping -c 1 -W 1 far'.split(' ')])).code,
    0,
  );
  await remove(worker, 'joins');
  await remove(manager, 'far');
  await untilNothingIsLeft(t);
});

test.serial(
  'an operator connects a running task of a service to a network, until it ends',
  async (t) => {
    await docker(manager, `service create --detach --name held --network open ${TEST_IMAGE}`);
    await cluster.untilRunning('held', 1);
    const [task] = await cluster.running('held');
    await docker(manager, 'run -d --name far --network more', TEST_IMAGE, 'sleep', '1000');
    const reaches = (address: string) =>
      manager.exec(['docker', ...`exec far busybox ping -c 1 -W 2 ${address}`.split(' ')]);
    await manager.must(['swarm', 'network', 'connect', 'more', task!.Name]);
    const connected = (await cluster.running('held'))[0];
    t.is(connected?.ID, task!.ID);
    const address = addressOf(connected, 1);
    t.regex(address, /^10\.78\./);
    await until(
      'the task is reached on the network',
      async () => (await reaches(address)).code === 0,
    );
    t.not((await manager.exec(['swarm', 'network', 'connect', 'shut', task!.Name])).code, 0);
    await manager.must(['swarm', 'network', 'disconnect', 'more', task!.Name]);
    await until('it is not any more', async () => (await reaches(address)).code !== 0);
    t.is((await cluster.running('held'))[0]?.ID, task!.ID);
    await docker(manager, 'service rm held');
    await remove(manager, 'far');
    await untilNothingIsLeft(t);
  },
);
