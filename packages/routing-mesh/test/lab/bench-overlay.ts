/** Measures overlay networks in namespaces: `node packages/routing-mesh/dist/test/lab/bench-overlay.js`, as root. */
import { MeshCluster } from './cluster.js';

const ROUNDS = 30;
/** Services with a virtual address, and members of each. */
const SIZES = [
  [1, 5],
  [100, 5],
  [1000, 5],
  [5000, 5],
] as const;

const quantile = (times: readonly number[], q: number): string =>
  times.toSorted((a, b) => a - b)[Math.floor((times.length - 1) * q)]!.toFixed(2);
const report = (what: string, times: readonly number[]): void =>
  console.log(`  ${what}: p50 ${quantile(times, 0.5)} ms, p95 ${quantile(times, 0.95)} ms`);

const cluster = await MeshCluster.nftables('v');
try {
  const { agent } = cluster.nodes[0]!;
  const peers = cluster.nodes.map(({ peer }) => peer);
  const overlay = {
    networkId: 'bench',
    name: 'bench',
    subnets: ['10.16.0.0/12'],
    isInternal: false,
    isEncrypted: false,
  };
  for (const [services, members] of SIZES) {
    const result = await agent.measureVips({
      peers,
      task: {
        taskId: 'overlaytask0',
        netns: cluster.lab.emptyNamespace(`v${services}`),
        attachments: [{ networkId: 'bench', overlay, addresses: ['10.16.0.10/32'] }],
      },
      services,
      members,
      rounds: ROUNDS,
    });
    const megabytes = Math.round((await agent.rssBytes()) / 1e6);
    console.log(
      `${services} services of ${members} members on one network: first state ${Math.round(result.firstMs)} ms, ${megabytes} MB resident`,
    );
    report('a member begins or ceases to serve', result.serving);
    report('  of that, processor time of the mesh', result.servingCpu);
    report('a member has another address', result.moving);
    report('a task is attached again', result.attaching);
  }
} finally {
  await cluster.close();
}
