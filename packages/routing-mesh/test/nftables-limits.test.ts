import { until } from '@swarm/sim';
import test from 'ava';
import { MeshCluster } from './lab/cluster.js';
import { refusedAtOnce } from './lab/expect.js';
import { LAB_IPV6, labProblem } from './lab/lab.js';

const problem = labProblem();

if (problem === undefined) {
  let cluster: MeshCluster;
  test.before(async () => {
    cluster = await MeshCluster.nftables('lim');
  });
  test.afterEach.always(() => cluster?.reset());
  test.after.always(() => cluster?.close());

  const table = (): string =>
    cluster.lab.sh(cluster.nodes[0]!.netns, 'nft list table inet swarm_mesh');

  test.serial('each client has limits of its own, a /64 of IPv6 being one client', async (t) => {
    const { agent, netns } = cluster.client;
    cluster.lab.sh(netns, `ip addr add 198.18.0.150/24 dev eth0`);
    for (const one of [`${LAB_IPV6}150/64`, 'fd00:5157:1::1/64'])
      cluster.lab.sh(netns, `ip -6 addr add ${one} dev eth0 nodad`);
    cluster.lab.sh(cluster.nodes[0]!.netns, 'ip -6 route add fd00:5157:1::/64 dev eth0');
    for (const ipv6 of [true, false]) {
      const task = await cluster.task(2, undefined, { ipv6 });
      await cluster.publish(8300, [task], 'tcp', { limits: { connections: 1 } });
      const open = (host: string, localAddress: string) =>
        agent.open({ host, port: 8300, localAddress });
      await agent.again(await open('198.18.0.1', '198.18.0.100'));
      await refusedAtOnce(t, cluster, '198.18.0.1', 8300);
      await agent.again(await open('198.18.0.1', '198.18.0.150'));
      await agent.again(await open(`${LAB_IPV6}1`, `${LAB_IPV6}100`));
      const when = ipv6 ? 'in the kernel' : 'by the listener';
      await refusedAtOnce(t, cluster, `${LAB_IPV6}1`, 8300, when);
      await t.throwsAsync(open(`${LAB_IPV6}1`, `${LAB_IPV6}150`), { code: 'ECONNREFUSED' }, when);
      await agent.again(await open(`${LAB_IPV6}1`, 'fd00:5157:1::1'));
      await cluster.unpublish();
    }
  });

  test.serial(
    'ports with the same limits share rules, which go with the last of them',
    async (t) => {
      const task = await cluster.task(1);
      const limits = { connections: 7, rate: 100, burst: 20 };
      const before = table();
      await cluster.publish(8301, [task], 'tcp', { limits });
      await cluster.publish(8302, [task], 'udp', { limits });
      t.is(table().match(/chain limitc7r100secondb20 /g)?.length, 1);
      await cluster.publish(8301, [task], 'tcp', { limits: { connections: 8 } });
      t.regex(table(), /udp . 8302 : jump limitc7r100secondb20/);
      t.regex(table(), /tcp . 8301 : jump limitc8/);
      const names = (text: string) =>
        [...text.matchAll(/(?:set|chain|map) (\S+)/g)].map(([, x]) => x);
      await cluster.unpublish();
      t.deepEqual(names(table()), names(before));
    },
  );

  test.serial('a table that is written anew keeps limits', async (t) => {
    const task = await cluster.task(1);
    await cluster.publish(8303, [task], 'tcp', { limits: { connections: 1 } });
    cluster.lab.sh(cluster.nodes[0]!.netns, 'nft flush table inet swarm_mesh');
    await until('the table is repaired', async () => /ct count over 1 /.test(table()) || undefined);
    const { agent } = cluster.client;
    const id = await agent.open({ host: '198.18.0.1', port: 8303 });
    await agent.again(id);
    await refusedAtOnce(t, cluster, '198.18.0.1', 8303);
    await agent.end(id);
  });

  test.serial('a flow of UDP is one connection, however long it lasts', async (t) => {
    const task = await cluster.task(2);
    await cluster.publish(8304, [task], 'udp', {
      limits: { connections: 1, rate: 1, per: 'hour' },
    });
    const to = { host: '198.18.0.1', port: 8304, localPort: 5009 };
    for (let i = 0; i < 5; i += 1) t.is((await cluster.client.agent.askUdp(to)).task, task.taskId);
    const error = await t.throwsAsync(cluster.client.agent.askUdp({ ...to, localPort: 5010 }));
    t.is((error as NodeJS.ErrnoException).code, 'ECONNREFUSED');
  });

  test.serial('refused clients are counted and told', async (t) => {
    const task = await cluster.task(1);
    await cluster.publish(8305, [task], 'tcp', { limits: { rate: 1, per: 'hour' } });
    await cluster.client.agent.ask({ host: '198.18.0.1', port: 8305 });
    for (let i = 0; i < 3; i += 1) await refusedAtOnce(t, cluster, '198.18.0.1', 8305);
    const told = await until(
      'the refusals are told',
      async () =>
        (await cluster.nodes[0]!.agent.refusals()).find(({ taskId }) => taskId === task.taskId),
      { deadlineMs: 20_000 },
    );
    t.deepEqual(told, {
      taskId: task.taskId,
      by: 'limits',
      count: 3,
      last: { from: '198.18.0.100', protocol: 'tcp', port: 8305 },
    });
  });
} else {
  test(`tests of limits in the kernel are skipped: ${problem}`, (t) => t.pass());
}
