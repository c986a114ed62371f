import { readdirSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { until } from '@swarm/sim';
import test from 'ava';
import { labProblem } from './lab/lab.js';
import { OverlayCluster, type OverlayNode } from './lab/overlay-cluster.js';

/** `services,networks`: cycles of each. `scripts/test all` asks for 1000,200. */
const [SERVICES, NETWORKS] = (process.env.SWARM_LEAK_CYCLES ?? '20,6').split(',').map(Number) as [
  number,
  number,
];
/** At once: the state's own size must not be what is measured. */
const PORTS_PER_CYCLE = 5;

const problem = labProblem();
if (problem === undefined) {
  let cluster: OverlayCluster;
  test.before(async () => {
    cluster = await OverlayCluster.open('lk', 2);
  });
  test.after.always(() => cluster.close());

  test.serial(
    `${SERVICES} services and ${NETWORKS} networks that come and go leave nothing`,
    async (t) => {
      t.timeout(30_000 + (SERVICES + NETWORKS) * 3000);
      await serviceCycle(0);
      await networkCycle(0);
      const before = await Promise.all(cluster.nodes.map(leftovers));
      for (let i = 1; i <= SERVICES; i++) await serviceCycle(i);
      for (let i = 1; i <= NETWORKS; i++) await networkCycle(i);
      for (const [i, node] of cluster.nodes.entries()) {
        let after: Leftovers = {};
        // Connections that ended wait in the kernel for a while.
        await until(
          'ended connections are forgotten',
          async () => {
            after = await leftovers(node);
            return isNothingMore(after, before[i]!);
          },
          { deadlineMs: 20_000, everyMs: 500 },
        ).catch(() => {});
        // Files that were open for a moment at the beginning may be closed by now.
        t.true(isNothingMore(after, before[i]!), node.peer.nodeId);
        t.deepEqual({ ...after, files: 0 }, { ...before[i], files: 0 }, node.peer.nodeId);
      }
    },
  );

  function isNothingMore(after: Leftovers, before: Leftovers): boolean {
    const { files, ...rest } = after;
    const { files: filesBefore, ...restBefore } = before;
    return isDeepStrictEqual(rest, restBefore) && files! <= filesBefore!;
  }

  /** Ports with tasks that are used, then gone. */
  async function serviceCycle(round: number): Promise<void> {
    const task = await cluster.task({ node: 1 + (round % 2), networks: ['ingress'] });
    const first = 20_000 + ((round * PORTS_PER_CYCLE) % 5000);
    for (let i = 0; i < PORTS_PER_CYCLE; i++) {
      cluster.publish(first + i, [task], i === 0 ? 'tcp' : 'udp');
    }
    await cluster.apply();
    await cluster.client.agent.ask({ host: '198.18.0.1', port: first });
    await cluster.client.agent.askUdp({ host: '198.18.0.2', port: first + 1 });
    await cluster.reset();
    await cluster.lab.release(task);
  }

  /** A network with a service and two tasks, which meet by its virtual address. */
  async function networkCycle(round: number): Promise<void> {
    const number = 1 + (round % 200);
    cluster.network(`net${round}`, `10.0.${number}.0/24`, `fd00:${number.toString(16)}::/64`);
    cluster.service(`web${round}`, 2, `net${round}`);
    const tasks = [1, 2].map((node) =>
      cluster.task({ node, networks: [`net${round}`], service: `web${round}` }),
    );
    const [client, other] = await Promise.all(tasks);
    await cluster.apply();
    await client!.agent.ask({ host: `10.0.${number}.2`, port: 80 });
    await cluster.reset();
    for (const task of [client!, other!]) await cluster.lab.release(task);
  }

  /** Counts of whatever a mesh makes on its host, by kind. */
  type Leftovers = Readonly<Record<string, number>>;

  async function leftovers({ netns, agent }: OverlayNode): Promise<Leftovers> {
    const lines = (command: string): number =>
      cluster.lab
        .sh(netns, command)
        .split('\n')
        .filter((line) => line.trim() !== '').length;
    const pid = await agent.pid();
    return {
      links: lines('ip -o link show'),
      addresses: lines('ip -o addr show'),
      routes: lines('ip -4 route show table all; ip -6 route show table all'),
      rules: lines('ip rule show; ip -6 rule show'),
      neighbours: lines('ip neigh show nud permanent'),
      forwarding: lines('bridge fdb show'),
      // Our own tables, in a namespace of this test; what packets left in sets with timeouts does not count.
      elements: cluster.lab
        .sh(netns, 'for f in ip ip6; do nft -s list table $f swarm_mesh 2>/dev/null || true; done')
        .split('\n')
        .filter((line) => !/expires|timeout/.test(line))
        .join('\n').length,
      sockets: lines('ss -Hlntu'),
      flows: lines(
        'conntrack -L 2>/dev/null | grep -c 10.0. || true; conntrack -L 2>/dev/null | grep dnat || true',
      ),
      files: readdirSync(`/proc/${pid}/fd`).length,
    };
  }
} else {
  test(`SKIPPED, leaks are looked for in a lab: ${problem}`, (t) => t.pass());
}
