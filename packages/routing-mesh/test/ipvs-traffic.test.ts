import { fileURLToPath } from 'node:url';
import test from 'ava';
import { until } from '@swarm/sim';
import { type MeshCluster as Cluster, MeshCluster, type Node } from './lab/cluster.js';
import { ipvsProblem } from './lab/ipvs.js';
import { LAB_IPV6 } from './lab/lab.js';

const problem = await ipvsProblem();
const ORDER = fileURLToPath(new URL('./lab/ipvs-order.js', import.meta.url));
const CLIENT = '198.18.0.100';
const TCP = 0x40000;

if (problem === undefined) {
  let cluster: Cluster;
  test.before(async () => {
    cluster = await MeshCluster.ipvs('it');
  });
  test.afterEach.always(() => cluster?.reset());
  test.after.always(() => cluster?.close());

  const address = (node: number) => `198.18.0.${node}`;
  const ask = (host: string, port: number, localAddress?: string) =>
    cluster.client.agent.ask({
      ...{ host, port, timeoutMs: 20_000 },
      ...(localAddress === undefined ? {} : { localAddress }),
    });
  const order = ({ netns }: Pick<Node, 'netns'>, ...words: readonly (string | number)[]) =>
    JSON.parse(
      cluster.lab.sh(netns, [process.execPath, ORDER, ...words].join(' ')),
    ) as readonly string[];

  test.serial('a task sees the client’s address, by every node and both families', async (t) => {
    const task = await cluster.task(2);
    await cluster.publish(8300, [task]);
    for (const node of [1, 2, 3]) {
      t.like(await ask(address(node), 8300), { task: task.taskId, address: CLIENT }, `${node}`);
      t.like(await ask(`${LAB_IPV6}${node}`, 8300), {
        ...{ task: task.taskId, address: `${LAB_IPV6}100` },
      });
    }
    const same = { host: address(1), port: 8300, localPort: 45_678 };
    const ids = [
      await cluster.client.agent.open(same),
      await cluster.client.agent.open({ ...same, host: address(3) }),
    ];
    for (const id of ids) t.is((await cluster.client.agent.again(id)).address, CLIENT);
    for (const id of ids) await cluster.client.agent.end(id);
  });

  test.serial('nodes and tasks reach published ports, also a task itself', async (t) => {
    const [near, far] = [await cluster.task(1), await cluster.task(2)];
    await cluster.publish(8301, [near]);
    const here = cluster.nodes[0]!;
    for (const host of ['127.0.0.1', '::1', address(1), address(2)])
      t.is((await here.agent.ask({ host, port: 8301 })).task, near.taskId, host);
    for (const { agent } of [near, far])
      t.is((await agent.ask({ host: address(1), port: 8301 })).task, near.taskId);
  });

  test.serial('an endpoint that goes keeps its connection, then leaves nothing', async (t) => {
    const [old, next] = [await cluster.task(1), await cluster.task(2)];
    const [node] = cluster.nodes;
    await cluster.publish(8302, [old]);
    const { agent } = cluster.client;
    const id = await agent.open({ host: address(1), port: 8302 });
    await agent.again(id);
    await cluster.publish(8302, [next]);
    const ours = () => order(node!, 'list').filter((line) => line.startsWith(`4 ${TCP + 8302} `));
    t.deepEqual(ours(), [`4 ${TCP + 8302} ${old.address} 0`, `4 ${TCP + 8302} ${next.address} 1`]);
    for (let i = 0; i < 4; i += 1) t.is((await ask(address(1), 8302)).task, next.taskId);
    t.is((await agent.again(id)).task, old.taskId);
    await agent.end(id);
    const hex = Buffer.from(old.address.split('.').map(Number)).toString('hex').toUpperCase();
    const listed = () => cluster.lab.sh(node!.netns, 'cat /proc/net/ip_vs');
    // The kernel remembers a connection that has ended for up to two minutes.
    await until('it is removed', async () => !listed().includes(`${hex}:0050`), {
      ...{ deadlineMs: 240_000, everyMs: 1000 },
    });
    t.deepEqual(ours(), [`4 ${TCP + 8302} ${next.address} 1`]);
  });

  test.serial(
    'weights share connections in turns; a client with affinity keeps its task',
    async (t) => {
      const [one, other] = [await cluster.task(1), await cluster.task(2)];
      await cluster.publish(8303, [
        { ...one, weight: 3 },
        { ...other, weight: 1 },
      ]);
      const seen: string[] = [];
      for (let i = 0; i < 12; i += 1) seen.push((await ask(address(3), 8303)).task);
      t.is(seen.filter((name) => name === other.taskId).length, 3);
      await cluster.publish(8304, [one, other], 'tcp', { affinity: 'client' });
      const clients = Array.from({ length: 8 }, (_, i) => `198.18.0.${150 + i}`);
      for (const client of clients)
        cluster.lab.sh(cluster.client.netns, `ip addr add ${client}/24 dev eth0`);
      const led = new Set<string>();
      for (const client of clients) {
        const { task } = await ask(address(1), 8304, client);
        t.is((await ask(address(2), 8304, client)).task, task, client);
        led.add(task);
      }
      t.is(led.size, 2, 'both get clients');
    },
  );

  test.serial('a refused client is led elsewhere; when all refuse, it hears of it', async (t) => {
    const [good, bad] = [await cluster.task(1), await cluster.task(2)];
    await bad.agent.unserve();
    await cluster.publish(8305, [good, bad]);
    for (let i = 0; i < 4; i += 1) t.is((await ask(address(3), 8305)).task, good.taskId);
    const here = { host: address(3), port: 8305, timeoutMs: 20_000 };
    for (let i = 0; i < 2; i += 1)
      t.is((await cluster.nodes[2]!.agent.ask(here)).task, good.taskId, 'the node itself');
    await good.agent.unserve();
    await t.throwsAsync(ask(address(3), 8305), { code: 'ECONNREFUSED' });
  });

  test.serial(
    'rules of who may connect hold for a task on the node that a client reached',
    async (t) => {
      const task = await cluster.task(1);
      const allowing = (From: string) =>
        cluster.publish(8306, [task], 'tcp', {}, (state) => ({
          ...state,
          services: [{ serviceId: 'service8306', name: 'web', networks: [], allow: [{ From }] }],
        }));
      await allowing('198.18.0.0/24');
      t.is((await ask(address(1), 8306)).task, task.taskId);
      await allowing('203.0.113.0/24');
      for (const node of [1, 2])
        await t.throwsAsync(ask(address(node), 8306), { code: 'ECONNREFUSED' }, `by node ${node}`);
    },
  );

  test.serial(
    'what a stranger changes is restored, and a stranger’s own is left alone',
    async (t) => {
      const task = await cluster.task(1);
      const [node] = cluster.nodes;
      await cluster.publish(8307, [task]);
      order(node!, 'add', 7);
      order(node!, 'delete', TCP + 8307);
      await until('it is served again', () =>
        ask(address(1), 8307).then(
          () => true,
          () => false,
        ),
      );
      order(node!, 'weight', TCP + 8307, task.address, 0);
      await until('it is served again', () =>
        ask(address(1), 8307).then(
          () => true,
          () => false,
        ),
      );
      const found = cluster.lab.sh(node!.netns, 'cat /proc/net/ip_vs');
      t.regex(found, /FWM +00000007/);
    },
  );

  test.serial(
    'a successor takes over: connections go on, settings are put back at the end',
    async (t) => {
      const task = await cluster.task(2);
      const node = cluster.nodes[0]!;
      await cluster.publish(8308, [task]);
      const { agent } = cluster.client;
      const id = await agent.open({ host: address(1), port: 8308, timeoutMs: 60_000 });
      await agent.again(id);
      await node.agent.close({ keep: true });
      await agent.again(id);
      t.is((await ask(address(1), 8308)).task, task.taskId, 'without a daemon');
      const before = { ...node };
      Object.assign(node, { agent: await cluster.lab.agent(node.netns) });
      await cluster.startMesh(node);
      await agent.again(id);
      await cluster.publish(8309, [task]);
      await agent.again(id);
      t.is((await ask(address(1), 8309)).task, task.taskId);
      await agent.end(id);
      await node.agent.close({ keep: false });
      t.deepEqual(order(node, 'list'), []);
      t.deepEqual(order(node, 'settings'), [0, 0, 1, 900, 120] as unknown as string[]);
      await cluster.startMesh(node);
      await before.agent.stop();
    },
  );
} else {
  test(`SKIPPED, traffic by IPVS is not tested: ${problem}`, (t) => {
    t.is(process.env.SWARM_GUEST, undefined);
  });
}
