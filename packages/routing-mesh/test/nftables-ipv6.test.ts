import test from 'ava';
import { until } from '@swarm/sim';
import { MeshCluster } from './lab/cluster.js';
import { type Agent, LAB_IPV6, labProblem } from './lab/lab.js';

const problem = labProblem();
const CLIENT = `${LAB_IPV6}100`;
const at = (node: number): string => `${LAB_IPV6}${node}`;

if (problem === undefined) {
  let cluster: MeshCluster;
  test.before(async () => {
    cluster = await MeshCluster.nftables('v');
  });
  test.afterEach.always(() => cluster?.reset());
  test.after.always(() => cluster?.close());

  test.serial(
    'every node leads to every task, which sees the IPv6 address of the client',
    async (t) => {
      const tasks = [await cluster.task(1), await cluster.task(2), await cluster.task(3)];
      for (const task of tasks) {
        await cluster.publish(8080, [task]);
        for (const node of [1, 2, 3]) {
          const answer = await cluster.client.agent.ask({ host: at(node), port: 8080 });
          t.like(answer, { task: task.taskId, address: CLIENT }, `by node ${node}`);
        }
      }
    },
  );

  test.serial('one source port of IPv6 towards three nodes ends at the same task', async (t) => {
    const task = await cluster.task(3);
    await cluster.publish(8081, [task]);
    const { agent } = cluster.client;
    const ids = [];
    for (const node of [1, 2, 3])
      ids.push(await agent.open({ host: at(node), port: 8081, localPort: 45678 }));
    const answers = [];
    for (const id of ids) answers.push(await agent.again(id));
    t.deepEqual(
      answers.map(({ address }) => address),
      [CLIENT, CLIENT, CLIENT],
    );
    t.is(new Set(answers.map(({ port }) => port)).size, 3, 'the task tells them apart');
    for (const id of ids) await agent.end(id);
  });

  test.serial(
    'nodes and tasks reach ports by IPv6, also when the endpoint is their own',
    async (t) => {
      const tasks = [await cluster.task(1), await cluster.task(2)];
      for (const endpoint of tasks) {
        await cluster.publish(8082, [endpoint]);
        for (const node of cluster.nodes) {
          for (const host of ['::1', at(1), at(2), at(3)]) {
            const { task } = await node.agent.ask({ host, port: 8082 });
            t.is(task, endpoint.taskId, `${node.peer.nodeId} to ${host}`);
          }
        }
        for (const task of tasks) {
          for (const host of [at(1), at(2), at(3)]) {
            const answer = await task.agent.ask({ host, port: 8082 });
            t.is(answer.task, endpoint.taskId, `${task.address} to ${host}`);
          }
        }
      }
    },
  );

  test.serial(
    'an endpoint that refuses costs an IPv6 client a second, not the connection',
    async (t) => {
      const [good, bad] = [await cluster.task(1), await cluster.task(2)];
      await bad.agent.unserve();
      await cluster.publish(8083, [good, bad]);
      const results = await Promise.all(
        Array.from({ length: 12 }, () =>
          cluster.client.agent.ask({ host: at(3), port: 8083, timeoutMs: 20_000 }),
        ),
      );
      for (const { task } of results) t.is(task, good.taskId);
    },
  );

  test.serial(
    'without endpoints, and when the only one refuses, IPv6 clients hear it at once',
    async (t) => {
      const task = await cluster.task(2);
      await task.agent.unserve();
      for (const endpoints of [[task], []]) {
        await cluster.publish(8084, endpoints);
        for (const node of [1, 2, 3]) {
          const begin = performance.now();
          await t.throwsAsync(cluster.client.agent.ask({ host: at(node), port: 8084 }), {
            code: 'ECONNREFUSED',
          });
          t.true(performance.now() - begin < 900, `by node ${node}`);
        }
      }
      await cluster.publish(8084, [], 'udp');
      await t.throwsAsync(cluster.client.agent.askUdp({ host: at(1), port: 8084 }), {
        code: 'ECONNREFUSED',
      });
    },
  );

  test.serial(
    'UDP over IPv6 keeps the address, follows its endpoint, and older sockets are answered',
    async (t) => {
      const [old, next] = [await cluster.task(2), await cluster.task(3)];
      const { agent } = cluster.client;
      await t.throwsAsync(agent.askUdp({ host: at(1), port: 8085, localPort: 5003 }));
      for (const task of [old, next]) {
        await cluster.publish(8085, [task], 'udp');
        for (const node of [1, 2, 3]) {
          const answer = await agent.askUdp({ host: at(node), port: 8085, localPort: 5002 + node });
          t.like(answer, { task: task.taskId, address: CLIENT }, `by node ${node}`);
        }
      }
    },
  );

  test.serial(
    'tasks that listen on IPv4 alone are served to IPv6 clients by a listener',
    async (t) => {
      const [ipv4, both] = [
        await cluster.task(1, undefined, { ipv6: false }),
        await cluster.task(2),
      ];
      t.false(await ipv4.node.agent.servesIpv6(await cluster.sockets(ipv4)));
      t.true(await both.node.agent.servesIpv6(await cluster.sockets(both)));
      await cluster.publish(8086, [ipv4]);
      const ask = (node: number) => cluster.client.agent.ask({ host: at(node), port: 8086 });
      for (const node of [1, 2, 3]) {
        const { task, address } = await ask(node);
        t.is(task, ipv4.taskId, `by node ${node}`);
        t.not(address, CLIENT, 'the listener is its client');
      }
      await cluster.publish(8086, [ipv4, both]);
      for (const node of [1, 2, 3]) {
        for (let i = 0; i < 4; i++)
          t.like(
            await ask(node),
            { task: both.taskId, address: CLIENT },
            'the kernel leads to the other',
          );
      }
      await cluster.publish(8086, [ipv4]);
      t.is((await ask(1)).task, ipv4.taskId);
    },
  );

  test.serial('a host port is led to a task over IPv6 once it listens there', async (t) => {
    const task = await cluster.task(2, (targetPort) => [
      { protocol: 'tcp', publishedPort: 9000, targetPort },
      { protocol: 'udp', publishedPort: 9000, targetPort },
    ]);
    const ask = () => cluster.client.agent.ask({ host: at(2), port: 9000 });
    t.is((await ask()).task, task.taskId, 'by a listener until then');
    t.true(await task.node.agent.servesIpv6(await cluster.sockets(task)));
    const expected = { task: task.taskId, address: CLIENT };
    t.like(await ask(), expected);
    t.like(await cluster.client.agent.askUdp({ host: at(2), port: 9000 }), expected);
    t.is((await task.agent.ask({ host: at(2), port: 9000 })).task, task.taskId, 'by itself');
    t.is((await task.node.agent.ask({ host: '::1', port: 9000 })).task, task.taskId);
  });

  test.serial(
    'long and half-closed connections of IPv6 outlive a restart; the drain counts them',
    async (t) => {
      const task = await cluster.task(2, (targetPort) => [
        { protocol: 'tcp', publishedPort: 9001, targetPort },
      ]);
      const near = await cluster.task(1);
      await task.node.agent.servesIpv6(await cluster.sockets(task));
      await cluster.publish(8087, [task]);
      await cluster.publish(8088, [near]);
      const [node] = cluster.nodes;
      const timeoutMs = 60_000;
      const { agent } = cluster.client;
      const places = [
        { agent, host: at(1), port: 8087 },
        { agent, host: at(1), port: 8088 },
        { agent, host: at(2), port: 9001 },
        { agent: near.agent, host: at(1), port: 8087 },
      ];
      const open: { agent: Agent; silent: number; half: number; what: string }[] = [];
      for (const { agent: client, host, port } of places) {
        const [silent, half] = [
          await client.open({ host, port, timeoutMs }),
          await client.open({ host, port, timeoutMs }),
        ];
        await client.again(silent);
        await client.again(half);
        await client.halfClose(half);
        open.push({ agent: client, silent, half, what: `${port} at ${host}` });
      }
      t.is(await node!.agent.connections(await cluster.sockets(near)), 2);
      await node!.agent.close({ keep: true });
      const successor = await cluster.lab.agent(node!.netns);
      const before = { ...node! };
      Object.assign(node!, { agent: successor });
      await cluster.startMesh(node!);
      await successor.retain([near.taskId]);
      await cluster.publish(8089, [near]);
      for (const netns of [node!.netns, task.node.netns]) {
        for (const state of ['established', 'close_wait', 'fin_wait', 'last_ack'])
          cluster.lab.sh(netns, `sysctl -qw net.netfilter.nf_conntrack_tcp_timeout_${state}=1`);
      }
      for (const { agent: client, silent, what } of open)
        t.truthy((await client.again(silent)).task, what);
      // Longer than the limits of the host, which count for everyone else's connections.
      await new Promise((resolve) => setTimeout(resolve, 2500));
      for (const server of [task, near]) await server.agent.tell('after the limits');
      for (const { agent: client, silent, half, what } of open) {
        t.is(await client.line(half), 'after the limits', what);
        t.truthy((await client.again(silent)).task, what);
        await client.end(silent);
        await client.end(half);
      }
      await before.agent.stop();
    },
  );

  test.serial('clients of a node that is off get a reset over IPv6', async (t) => {
    const task = await cluster.task(3);
    await cluster.publish(8090, [task]);
    const { agent } = cluster.client;
    const id = await agent.open({ host: at(1), port: 8090, timeoutMs: 20_000 });
    await agent.again(id);
    const { netns } = cluster.nodes[2]!;
    cluster.lab.sh(netns, 'ip link set eth0 down');
    try {
      await cluster.apply((state) => ({ ...state, peers: state.peers.slice(0, 2) }));
      await t.throwsAsync(agent.again(id), { code: 'ECONNRESET' });
    } finally {
      cluster.lab.sh(
        netns,
        `ip link set eth0 up; ip -6 addr add ${at(3)}/64 dev eth0 nodad || true`,
      );
      await cluster.apply();
    }
    await until('the task answers', () =>
      agent.ask({ host: at(1), port: 8090, timeoutMs: 1000 }).then(
        () => true,
        () => false,
      ),
    );
  });

  test.serial(
    'a task cannot send with an IPv6 address of another, nor be reached past its ports',
    async (t) => {
      const [task, other] = [await cluster.task(1), await cluster.task(1)];
      const { lab } = cluster;
      const address = lab
        .sh(task.netns, 'ip -6 -o addr show dev eth0 scope global')
        .split(/\s+/)[3]!;
      const bare = address.split('/')[0]!;
      t.regex(bare, /^fd73:7761:726d::/);
      lab.sh(cluster.client.netns, `ip -6 route replace fd73:7761:726d::/96 via ${at(1)}`);
      const timeoutMs = 700;
      for (const { agent } of [cluster.client, other]) {
        await t.throwsAsync(agent.ask({ host: bare, port: 80, timeoutMs }), { message: /TIMEOUT/ });
      }
      t.is((await task.node.agent.ask({ host: bare, port: 80 })).task, task.taskId, 'its node may');
      lab.sh(other.netns, 'ip -6 addr add fd73:7761:726d::af0:1fa/128 dev eth0 nodad');
      const before = lab.sh(task.node.netns, 'nft list chain inet swarm_mesh origin');
      t.regex(before, /fib saddr \. iif oif missing drop|fib saddr \. iif oif 0 drop/);
      await cluster.publish(8091, [task]);
      await t.throwsAsync(
        other.agent.ask({
          host: at(1),
          port: 8091,
          timeoutMs,
          localAddress: 'fd73:7761:726d::af0:1fa',
        }),
        { message: /TIMEOUT/ },
      );
    },
  );

  test.serial(
    'router advertisements stay taken, and large uploads fit through the tunnel',
    async (t) => {
      const task = await cluster.task(2);
      await cluster.publish(8092, [task]);
      const { netns } = cluster.nodes[0]!;
      t.is(cluster.lab.sh(netns, 'cat /proc/sys/net/ipv6/conf/eth0/accept_ra').trim(), '2');
      t.is(cluster.lab.sh(netns, 'cat /proc/sys/net/ipv6/conf/all/forwarding').trim(), '1');
      const bytes = 3_000_000;
      t.is(await cluster.client.agent.upload({ host: at(1), port: 8092, bytes }), bytes);
    },
  );
} else {
  test(`SKIPPED, IPv6 of the nftables mesh is not tested: ${problem}`, (t) => {
    t.log(problem);
    t.pass();
  });
}
