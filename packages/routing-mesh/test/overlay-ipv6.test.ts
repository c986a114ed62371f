import test from 'ava';
import { labProblem } from './lab/lab.js';
import { OverlayCluster, TASK_PORT } from './lab/overlay-cluster.js';

const problem = labProblem();
let cluster: OverlayCluster;

const VIP = 'fd00:1::2';
const WORLD_V6 = '2001:2::100';

if (problem === undefined) {
  test.before(async () => {
    cluster = await OverlayCluster.open('o6');
    await cluster.client.agent.serve({ name: 'world', port: TASK_PORT, host: '::' });
    for (const { netns, index } of [
      ...cluster.nodes.map(({ netns, peer }) => ({ netns, index: peer.index })),
      { netns: cluster.client.netns, index: 0x100 },
    ]) {
      cluster.lab.sh(netns, `ip addr replace 2001:2::${index.toString(16)}/64 dev eth0 nodad`);
    }
  });
  test.afterEach.always(() => cluster.reset());
  test.after.always(() => cluster.close());

  test.serial('tasks reach each other by IPv6, directly and by virtual addresses', async (t) => {
    cluster.network('both', '10.0.1.0/24', 'fd00:1::/64');
    cluster.network('alone', 'fd00:2::/64');
    cluster.service('web', 2, 'both');
    cluster.service('db', 2, 'alone');
    for (const [network, service, vip] of [
      ['both', 'web', VIP],
      ['alone', 'db', 'fd00:2::2'],
    ] as const) {
      const tasks = [];
      for (const node of [1, 1, 2, 3]) {
        tasks.push(await cluster.task({ node, networks: [network], service }));
      }
      await cluster.apply();
      for (const from of tasks) {
        for (const to of tasks) {
          const host = to.addresses.get(network)!.at(-1)!;
          const seen = { task: to.taskId, address: from.addresses.get(network)!.at(-1)! };
          t.deepEqual(await cluster.ask(from, host), seen);
          t.deepEqual(await cluster.askUdp(from, host), seen);
        }
        const seen = new Set<string>();
        for (let i = 0; i < 24; i++) seen.add((await cluster.ask(from, vip)).task);
        t.true(seen.size > 1);
        t.truthy((await cluster.askUdp(from, vip)).task);
      }
    }
  });

  test.serial('the walls stand for IPv6', async (t) => {
    cluster.network('both', '10.0.1.0/24', 'fd00:1::/64');
    cluster.network('other', '10.0.2.0/24', 'fd00:2::/64');
    cluster.network('four', '10.0.3.0/24');
    const target = await cluster.task({ node: 1, networks: ['both'] });
    const far = await cluster.task({ node: 2, networks: ['both'] });
    await cluster.apply();
    const host = target.addresses.get('both')![1]!;
    const strangers = [
      await cluster.task({ node: 1, networks: ['other'] }),
      await cluster.task({ node: 2, networks: ['other'] }),
      await cluster.task({ node: 1, networks: ['four'] }),
    ];
    await cluster.apply();
    for (const stranger of strangers) {
      t.notRegex(await cluster.failure(stranger, host), /answered/);
    }
    cluster.lab.sh(cluster.client.netns, 'ip -6 route add fd00:1::/64 via 2001:2::1');
    t.is(await cluster.failure(cluster.client, host), 'TIMEOUT after 800 ms');
    // IPv6 has no reverse path filter: only rules keep a task from an address of another.
    const forger = await cluster.task({ node: 1, networks: ['both'] });
    await cluster.apply();
    t.is((await cluster.ask(forger, host)).task, target.taskId);
    cluster.lab.sh(
      forger.netns,
      `ip addr add ${far.addresses.get('both')![1]}/128 dev eth0 nodad
       ip -6 route replace ${host} via fe80::1 dev eth0 src ${far.addresses.get('both')![1]}`,
    );
    t.is(await cluster.failure(forger, host), 'TIMEOUT after 800 ms');
    t.is((await cluster.ask(far, host)).task, target.taskId);
    t.regex(await cluster.failure(far, 'fd00:1::dead', TASK_PORT, 5000), /UNREACH/);
  });

  test.serial('members by IPv6: refusing, silent, gone, and oneself', async (t) => {
    cluster.network('both', '10.0.1.0/24', 'fd00:1::/64');
    cluster.service('web', 2, 'both');
    const members = [];
    for (const node of [2, 1, 3]) {
      members.push(await cluster.task({ node, networks: ['both'], service: 'web' }));
    }
    const client = await cluster.task({ node: 1, networks: ['both'] });
    await cluster.apply();
    const [good, refusing, silent] = members;
    const askSome = () =>
      Promise.all(Array.from({ length: 6 }, () => cluster.ask(client, VIP, TASK_PORT, 30_000)));
    // One after the other: of three draws, all would meet one of two bad members of three too often.
    await refusing!.agent.unserve();
    for (const { task } of await askSome()) t.not(task, refusing!.taskId);
    refusing!.serves = false;
    await cluster.apply();
    cluster.lab.sh(silent!.netns, 'ip link del eth0');
    for (const { task } of await askSome()) t.is(task, good!.taskId);
    silent!.serves = false;
    await cluster.apply();
    t.is((await cluster.ask(good!, VIP)).task, good!.taskId, 'itself');
    t.is((await cluster.askUdp(client, VIP, TASK_PORT, 5000)).task, good!.taskId);
    const next = await cluster.task({ node: 3, networks: ['both'], service: 'web' });
    good!.serves = false;
    await cluster.apply();
    t.is((await cluster.askUdp(client, VIP, TASK_PORT, 5000)).task, next.taskId);
    next.serves = false;
    await cluster.apply();
    t.is(await cluster.failure(client, VIP), 'ECONNREFUSED');
  });

  test.serial('tasks reach the world by IPv6 with the address of their node', async (t) => {
    cluster.network('both', '10.0.1.0/24', 'fd00:1::/64');
    const inner = cluster.network('inner', '10.0.3.0/24', 'fd00:3::/64');
    cluster.defineNetwork({ ...inner, isInternal: true });
    const task = await cluster.task({ node: 2, networks: ['both'] });
    const closed = await cluster.task({ node: 2, networks: ['inner'] });
    await cluster.apply();
    t.deepEqual(await cluster.ask(task, WORLD_V6), { task: 'world', address: '2001:2::2' });
    t.regex(await cluster.failure(closed, WORLD_V6), /UNREACH/);
    t.is(await task.agent.upload({ host: WORLD_V6, port: TASK_PORT, bytes: 64 * 1024 }), 64 * 1024);
  });

  test.serial('a table of IPv6 is there while a network needs it, and is restored', async (t) => {
    const [node] = cluster.nodes;
    const tables = () => cluster.lab.sh(node!.netns, 'nft list tables');
    t.notRegex(tables(), /ip6 swarm_mesh/);
    cluster.network('both', '10.0.1.0/24', 'fd00:1::/64');
    const [task, far] = [
      await cluster.task({ node: 1, networks: ['both'] }),
      await cluster.task({ node: 2, networks: ['both'] }),
    ];
    await cluster.apply();
    t.regex(tables(), /ip6 swarm_mesh/);
    cluster.lab.sh(node!.netns, 'nft delete table ip6 swarm_mesh');
    const host = task!.addresses.get('both')![1]!;
    const deadline = performance.now() + 10_000;
    while (!/ip6 swarm_mesh/.test(tables())) {
      if (performance.now() > deadline) return t.fail('nobody restored it');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    t.is((await cluster.ask(far!, host)).task, task!.taskId);
    await cluster.stop(task!);
    t.notRegex(tables(), /ip6 swarm_mesh/);
  });
} else {
  test(`tests of overlay networks with IPv6 are skipped: ${problem}`, (t) => t.pass());
}
