import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Node, Task } from '@swarm/api';
import test, { type ExecutionContext } from 'ava';
import {
  Cluster,
  failuresOf,
  type Host,
  Lab,
  type LoadResult,
  must,
  type Seen,
  until,
  WireTap,
} from '../lab/index.js';

/**
 * An encrypted network of whole daemons: what tasks send each other is never on the wire in clear, whatever happens.
 * Where the kernel has neither WireGuard nor IPsec, as on many development machines, only that tasks wait is tested;
 * scripts/qemu has a kernel with both.
 */
const SECRET = 'a-secret-of-the-task';
const SUBNETS = ['10.0.9.0/24', 'fd00:9::/64'];
const SECRETS = { prefixes: ['10.0.9.', 'fd00:0009:'], texts: [SECRET] };
const PORT = 80;
/** A packet that is lost is sent again; that is no failure, but shows in the longest answer. */
const ANSWER_LIMIT_MS = 60_000;
/** Of each test; emulated, an hour is soon over. */
const TIMEOUT_MS = 20 * 60_000;

let lab: Lab;
let cluster: Cluster;
let canEncrypt = false;
/** Of the service that is asked, as its callers are given them. */
let vip: string;
let addresses: readonly string[];

test.before(async (t) => {
  t.timeout(TIMEOUT_MS);
  lab = await Lab.up({ name: 'encrypted', managers: 1, workers: 3, clients: 1, bare: true });
  cluster = new Cluster(lab);
  // What a host has no route for, it would send to the client: there a packet that escapes is seen.
  for (const host of lab.nodes) {
    await host.must(['ip', 'route', 'add', 'default', 'via', lab.host('c1').address]);
  }
  const [m1, w1, w3] = ['m1', 'w1', 'w3'].map((name) => lab.host(name)) as [Host, Host, Host];
  await m1.must(['swarm', 'init', '--advertise-addr', m1.address]);
  // A node that cannot keep up is not dead: all is slow where the machine is emulated.
  await m1.must(['swarm', 'update', '--dispatcher-heartbeat', '20s']);
  await w3.killDaemon();
  await w3.startDaemons({ extraArgs: ['--mesh', 'userspace'] });
  await joins(w1);
  await joins(w3);
  await untilReady(3);
  const nodes = await cluster.nodes();
  canEncrypt = nodes.some(({ Description }) => Description?.Encryption !== undefined);
  const subnets = SUBNETS.flatMap((subnet) => ['--subnet', subnet]);
  await m1.must(
    ['swarm', 'network', 'create', '-o', 'encrypted', '--ipv6'].concat(subnets, 'secret'),
  );
});

test.after.always(async (t) => {
  t.timeout(TIMEOUT_MS);
  await lab?.down();
});

async function joins(host: Host): Promise<void> {
  const m1 = lab.host('m1');
  const token = (await m1.must(['swarm', 'join-token', '-q', 'worker'])).trim();
  const remote = `${m1.address}:2377`;
  await host.must(['swarm', 'join', '--advertise-addr', host.address, '--token', token, remote]);
}

async function untilReady(count: number): Promise<void> {
  await until(`${count} nodes are ready`, async () => {
    const nodes = await cluster.nodes();
    return nodes.filter(({ Status }) => Status.State === 'ready').length === count;
  });
}

/** A service of one task on the network, on this host. */
async function serve(name: string, host: string, ...extra: string[]): Promise<void> {
  const place = ['--constraint', `node.hostname==${host}`, '--network', 'secret'];
  const restart = ['--restart-delay', '1s', '--env', 'HOST=::'];
  const options = { replicas: 1, version: SECRET, extra: [...place, ...restart, ...extra] };
  await cluster.createWeb(name, options);
}

/** On the network. */
async function addressesOf(service: string, network = 'secret'): Promise<string[]> {
  const [task] = await cluster.untilRunning(service, 1);
  const attached = task!.NetworksAttachments?.find((one) => one.Network.Spec.Name === network);
  return attached!.Addresses.map((text) => text.split('/')[0]!);
}

/** Commands within the namespace of a service's task. */
async function within(service: string, host: Host): Promise<Pick<Host, 'enter'>> {
  const [address] = await addressesOf(service);
  for (const line of (await host.must(['ip', 'netns', 'list'])).split('\n')) {
    const name = line.split(' ')[0]!;
    if (name === '') continue;
    const shown = await host.must(['ip', '-n', name, '-o', 'addr']);
    if (!shown.includes(` ${address}/`)) continue;
    return { enter: (command) => host.enter(['nsenter', `--net=/run/netns/${name}`, ...command]) };
  }
  throw new Error(`no namespace of ${host.name} has ${address}`);
}

async function asks(target: string, options: { path?: string } = {}): Promise<string> {
  const host = lab.host('m1');
  const place = await within('client', host);
  const url = `http://${target.includes(':') ? `[${target}]` : target}:${PORT}/${options.path ?? ''}`;
  return must(place.enter(['curl', '-sS', '-g', '-m', '60', url]), {
    timeoutMs: ANSWER_LIMIT_MS * 2,
  });
}

interface Watched extends Seen {
  readonly load: LoadResult;
}

/** What passes the wire, and what callers of the service see, while something happens. */
async function watched(
  what: () => Promise<void>,
  targets: readonly string[] = [vip, addresses[0]!],
): Promise<Watched> {
  const tap = await WireTap.start(lab);
  const place = await within('client', lab.host('m1'));
  const load = cluster.load(place, {
    port: PORT,
    targets,
    concurrency: 2,
    pauseMs: 50,
    timeoutMs: ANSWER_LIMIT_MS,
  });
  const [happened] = await Promise.allSettled([what()]);
  const seen = await load.stop();
  const passed = await tap.stop(SECRETS);
  if (happened.status === 'rejected') throw happened.reason;
  return { ...passed, load: seen };
}

/** Nothing was seen in clear; and there was something to see. */
function unseen(t: ExecutionContext, { clear, sealed, packets, load }: Watched): void {
  t.deepEqual(clear, []);
  t.true(sealed > 20, `${sealed} encrypted packets among ${packets}`);
  const { requests, failures, p50Ms, p99Ms, maxMs } = load;
  t.log(
    `${packets} packets, ${sealed} encrypted; ${requests} requests, ${failures} failed, p50 ${p50Ms.toFixed(0)} ms, p99 ${p99Ms.toFixed(0)} ms, longest ${maxMs.toFixed(0)} ms`,
  );
}

function noneFailed(t: ExecutionContext, watch: Watched): void {
  unseen(t, watch);
  t.true(watch.load.requests > 3);
  t.is(watch.load.failures, 0, failuresOf(watch.load));
}

async function nodeOf(name: string): Promise<Node> {
  const nodes = await cluster.nodes();
  return nodes.find(({ Description }) => Description?.Hostname === name)!;
}

async function restart(host: Host, change: () => Promise<void> = async () => {}): Promise<void> {
  await host.killDaemon();
  await change();
  await host.startDaemons();
  await until(
    `${host.name} has a session`,
    async () => (await nodeOf(host.name)).Status.State === 'ready',
  );
}

/** A while in which callers go on. */
async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

/** Runs only where the kernel can encrypt. */
function encrypted(title: string, run: (t: ExecutionContext) => Promise<void>): void {
  test.serial(title, async (t) => {
    t.timeout(TIMEOUT_MS);
    if (!canEncrypt) {
      t.log('SKIPPED: this kernel has no means; scripts/qemu runs it with one that has');
      t.pass();
      return;
    }
    await run(t);
  });
}

test.serial('a task for a node that cannot encrypt waits, and says why', async (t) => {
  t.timeout(TIMEOUT_MS);
  await serve('waits', 'w3');
  const task = await until('the task says why it waits', async () => {
    const [found] = await cluster.tasks('waits');
    return found?.Status.Err?.startsWith('no suitable node') === true ? found : undefined;
  });
  t.is(task.Status.State, 'pending');
  t.regex(task.Status.Err!, /cannot encrypt the traffic of a network|cannot attach tasks/);
  await pause(3000);
  t.is((await cluster.tasks('waits'))[0]!.Status.State, 'pending');
  await cluster.manager.must(['swarm', 'service', 'rm', 'waits']);
});

encrypted('tasks of two nodes reach each other, and the wire shows none of it', async (t) => {
  const m1 = lab.host('m1');
  await m1.must(['swarm', 'network', 'create', '-d', 'overlay', '--subnet', '10.0.8.0/24', 'open']);
  await serve('server', 'w1', '--network', 'open');
  await serve('client', 'm1', '--network', 'open');
  addresses = await addressesOf('server');
  await addressesOf('client');
  const { Endpoint } = await cluster.service('server');
  const vips = Endpoint?.VirtualIPs ?? [];
  vip = vips.map(({ Addr }) => Addr.split('/')[0]!).find((one) => one.startsWith('10.0.9.'))!;
  t.is(addresses.length, 2);
  await until('the service answers', async () => (await asks(vip)).includes(SECRET));
  const seen = await watched(async () => {
    for (const address of [vip, ...addresses]) t.regex(await asks(address), /a-secret/, address);
    await pause(3000);
  });
  noneFailed(t, seen);
  // The other network is in clear, and the capture shows it.
  const [open] = await addressesOf('server', 'open');
  const tap = await WireTap.start(lab);
  t.regex(await asks(open!), /a-secret/);
  const clear = await tap.stop({ prefixes: ['10.0.8.'], texts: [SECRET] });
  t.true(clear.clear.some((packet) => packet.startsWith(`"${SECRET}"`)));
  t.true(clear.clear.some((packet) => !packet.startsWith('"')));
});

encrypted('large packets pass, at the size that they say fits', async (t) => {
  const path = 'x'.repeat(12_000);
  const seen = await watched(async () => {
    for (const address of addresses) {
      const answer = JSON.parse(await asks(address, { path })) as { path: string };
      t.is(answer.path.length, path.length + 1);
    }
    await pause(3000);
  });
  noneFailed(t, seen);
  t.true(seen.largestBytes <= 1514, `${seen.largestBytes}`);
  t.true(seen.largestBytes > 1400, `${seen.largestBytes}`);
});

encrypted(
  'a node that joins is reached, and nothing of its first moments is in clear',
  async (t) => {
    const w2 = lab.host('w2');
    const seen = await watched(async () => {
      await joins(w2);
      await untilReady(4);
      await serve('late', 'w2');
      const [late] = await addressesOf('late');
      await until('the new node answers', async () => (await asks(late!)).includes(SECRET));
    });
    noneFailed(t, seen);
  },
);

encrypted('a node changes its key under load', async (t) => {
  const w1 = lab.host('w1');
  const before = (await nodeOf('w1')).Description!.Encryption!.PublicKey;
  const seen = await watched(async () => {
    await restart(w1, () => rm(join(w1.state.folder, 'data', 'worker', 'tunnel-key.json')));
    await until('others know the new key', async () => {
      const { Description } = await nodeOf('w1');
      return Description!.Encryption !== undefined && Description!.Encryption.PublicKey !== before;
    });
    await pause(5000);
  });
  noneFailed(t, seen);
});

encrypted('daemons restart, the manager too, and callers notice nothing', async (t) => {
  const seen = await watched(async () => {
    await restart(lab.host('w1'));
    await restart(lab.host('m1'));
    await pause(3000);
  });
  noneFailed(t, seen);
});

encrypted('what a stranger removes comes back, and opens nothing', async (t) => {
  const w1 = lab.host('w1');
  const removals = [
    'ip link del swarm-wg 2>/dev/null || ip link del swarm-ipsec',
    'ip xfrm state flush 2>/dev/null; ip xfrm policy flush 2>/dev/null; true',
    '/usr/sbin/nft flush ruleset',
  ];
  for (const removal of removals) {
    const seen = await watched(async () => {
      await w1.must(['sh', '-c', removal]);
      await until('it is repaired', async () => {
        const tables = await w1.must(['/usr/sbin/nft', 'list', 'tables']);
        const answer = await asks(addresses[0]!);
        return tables.includes('swarm_encryption') && answer.includes(SECRET);
      });
    });
    // Callers may be refused until then.
    unseen(t, seen);
  }
});

encrypted('a path that is cut and healed carries on', async (t) => {
  const seen = await watched(async () => {
    await lab.cut('w1');
    await pause(8000);
    await lab.heal('w1');
    await until('the service answers', async () => (await asks(vip)).includes(SECRET));
    await pause(5000);
  });
  noneFailed(t, seen);
});

encrypted('a task that goes takes nothing into the open', async (t) => {
  const gone = async (service: string): Promise<boolean> => {
    const tasks = await cluster.tasks(service).catch((): Task[] => []);
    return tasks.every(({ Status }) => !['running', 'starting'].includes(Status.State));
  };
  const seen = await watched(async () => {
    await cluster.manager.must(['swarm', 'service', 'rm', 'late']);
    await cluster.manager.must(['swarm', 'service', 'rm', 'client']);
    await pause(5000);
    await until('both are gone', async () => (await gone('client')) && (await gone('late')));
  });
  t.deepEqual(seen.clear, []);
  await until('the manager’s host guards nothing any more', async () => {
    const tables = await lab.host('m1').must(['/usr/sbin/nft', 'list', 'tables']);
    return !tables.includes('swarm_encryption');
  });
});
