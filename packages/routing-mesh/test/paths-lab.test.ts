import type { MeshState } from '@swarm/api';
import { until } from '@swarm/sim';
import test, { type ExecutionContext } from 'ava';
import { MeshCluster, type Node } from './lab/cluster.js';
import { labProblem } from './lab/lab.js';

const problem = labProblem();
let cluster: MeshCluster;

/** As managers say it once nodes answer probes. */
const probed = (state: MeshState): MeshState => ({
  ...state,
  peers: state.peers.map((peer) => ({ ...peer, probed: true })),
});

const TOLD_LIMIT_MS = 10_000;

/** What a node finds of the others: `node2 blocked`. */
async function found({ agent }: Node): Promise<string[]> {
  const paths = await agent.paths();
  return (paths?.Problems ?? []).map(({ NodeID, Kind }) => `${NodeID} ${Kind}`).sort();
}

/** Waits until a node finds just this, and notes how long that took. */
async function untilFound(
  t: ExecutionContext,
  node: Node,
  expected: readonly string[],
  limitMs = TOLD_LIMIT_MS,
): Promise<void> {
  const fromMs = performance.now();
  await until(
    `${node.peer.nodeId} finds ${expected.join(', ') || 'nothing'}`,
    async () => String(await found(node)) === String(expected),
    { deadlineMs: limitMs },
  );
  t.log(`${node.peer.nodeId}: ${Math.round(performance.now() - fromMs)} ms`);
}

/** Waits until all paths have been looked at with every size: what follows counts as a loss at once. */
async function untilSettled(): Promise<void> {
  for (const { netns, agent } of cluster.nodes) {
    await until('a path is looked at', async () => (await agent.paths()) !== undefined);
    await until('packets of full size pass', async () => {
      const listed = cluster.lab.sh(netns, 'ip -s -j link show swarm-vxlan');
      const [device] = JSON.parse(listed) as { stats64: { rx: { bytes: number } } }[];
      return device!.stats64.rx.bytes > 8 * 1450;
    });
  }
}

if (problem === undefined) {
  test.before(async () => {
    cluster = await MeshCluster.nftables('p');
    await cluster.apply(probed);
    await untilSettled();
  });

  test.after.always(() => cluster?.close());

  test.serial(
    'a node that nothing reaches is named within 10 s, and its tasks avoided',
    async (t) => {
      const tasks = [await cluster.task(2), await cluster.task(3)];
      await cluster.publish(8080, tasks, 'tcp', {}, probed);
      const [first, second, third] = cluster.nodes;
      cluster.lab.sh(
        second!.netns,
        `nft add table ip blocker
       nft add chain ip blocker in '{ type filter hook input priority 0; }'
       nft add rule ip blocker in ip saddr 198.18.0.1 udp dport 4789 drop`,
      );
      await Promise.all([
        untilFound(t, first!, ['node2 blocked']),
        untilFound(t, second!, ['node1 blocked']),
      ]);
      t.deepEqual(await found(third!), [], 'other paths are well');
      const served = new Set<string>();
      for (let i = 0; i < 20; i++) {
        const answer = await cluster.client.agent.ask({
          host: '198.18.0.1',
          port: 8080,
          timeoutMs: 900,
        });
        served.add(answer.task);
      }
      t.deepEqual([...served], [tasks[1]!.taskId]);
      await cluster.publish(8080, [tasks[0]!], 'tcp', {}, probed);
      t.like(
        await cluster.client.agent.ask({ host: '198.18.0.3', port: 8080 }),
        { task: tasks[0]!.taskId },
        'nodes that reach it serve it',
      );
      cluster.lab.sh(second!.netns, 'nft delete table ip blocker');
      await Promise.all([untilFound(t, first!, []), untilFound(t, second!, [])]);
      t.like(await cluster.client.agent.ask({ host: '198.18.0.1', port: 8080 }), {
        task: tasks[0]!.taskId,
      });
      await cluster.reset();
      await cluster.apply(probed);
    },
  );

  test.serial(
    'a link that drops large packets without a word is told from a blocked one',
    async (t) => {
      const [first, second, third] = cluster.nodes;
      cluster.lab.setCableMtu(second!.netns, 1400);
      await Promise.all([
        untilFound(t, first!, ['node2 mtu']),
        untilFound(t, third!, ['node2 mtu']),
      ]);
      cluster.lab.setCableMtu(second!.netns, 1500);
      await Promise.all(cluster.nodes.map((node) => untilFound(t, node, [])));
      t.pass();
    },
  );

  test.serial(
    'a firewall that drops what it does not know, but lets the tunnel in, blocks nothing',
    async (t) => {
      const [first, second] = cluster.nodes;
      cluster.lab.sh(
        second!.netns,
        `nft add table ip blocker
       nft add chain ip blocker in '{ type filter hook input priority 0; policy drop; }'
       nft add rule ip blocker in ct state established,related accept
       nft add rule ip blocker in iifname lo accept
       nft add rule ip blocker in udp dport 4789 accept`,
      );
      const flush = 'conntrack -D -p udp --dport 2377 2>/dev/null || true';
      for (const { netns } of cluster.nodes) cluster.lab.sh(netns, flush);
      // Longer than it takes to find a path blocked.
      const quietMs = performance.now() + TOLD_LIMIT_MS;
      await until(
        'nothing is found for 10 s',
        async () => {
          t.deepEqual([await found(first!), await found(second!)], [[], []]);
          return performance.now() > quietMs;
        },
        { deadlineMs: 2 * TOLD_LIMIT_MS },
      );
      cluster.lab.sh(second!.netns, 'nft delete table ip blocker');
    },
  );

  test.serial('what comes from outside of the tunnel gets no answer', async (t) => {
    const { netns } = cluster.nodes[0]!;
    // A neighbour that sends straight to the mesh address, and gives itself one.
    cluster.lab.sh(
      cluster.client.netns,
      'ip addr add 10.240.2.1/32 dev lo; ip route add 10.240.1.0/24 via 198.18.0.1 src 10.240.2.1',
    );
    const received = () => {
      const [names, values] = cluster.lab.sh(netns, 'grep ^Udp: /proc/net/snmp').split('\n');
      return Number(values!.split(' ')[names!.split(' ').indexOf('InDatagrams')]);
    };
    const before = received();
    cluster.lab.sh(
      cluster.client.netns,
      `${process.execPath} -e '
        const socket = require("dgram").createSocket("udp4");
        const probe = Buffer.alloc(24);
        probe.write("SWPR"); probe[4] = 1; probe[9] = 2; probe[11] = 1;
        socket.bind(2377, "10.240.2.1", async () => {
          for (let i = 0; i < 1000; i++)
            await new Promise((sent) => socket.send(probe, 2377, "10.240.1.1", sent));
          socket.close();
        });'`,
    );
    t.true(received() - before < 500, 'the table drops them');
  });

  test.serial('the node is left alone when it does not answer, or is down', async (t) => {
    const [first, second] = cluster.nodes;
    await second!.agent.close({ keep: true });
    const without = (change: object) => (state: MeshState) => ({
      ...probed(state),
      peers: probed(state).peers.map((peer) =>
        peer.nodeId === 'node2' ? { ...peer, ...change } : peer,
      ),
    });
    const state = without({ down: true })(cluster.state());
    await first!.agent.apply(state);
    await cluster.nodes[2]!.agent.apply(state);
    await cluster.startMesh(second!);
    await cluster.apply(without({ probed: false }));
    t.deepEqual(await found(first!), []);
    await cluster.apply(probed);
    await until('node2 looks again', async () => (await second!.agent.paths()) !== undefined);
    t.deepEqual(await found(first!), []);
  });
} else {
  test(`lab tests are skipped: ${problem}`, (t) => t.pass());
}
