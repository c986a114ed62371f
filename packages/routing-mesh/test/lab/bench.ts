/** Measures the kernel mesh in namespaces: `node packages/routing-mesh/dist/test/lab/bench.js`, as root. */
import { MeshCluster } from './cluster.js';

const ROUNDS = 100;
/** Ports, and endpoints of each. */
const UPDATES = [
  [1, 5],
  [100, 5],
  [1, 500],
  [1000, 5],
] as const;
const TASKS = 100;
const PARALLEL = 2;

const quantile = (times: readonly number[], q: number): string =>
  times.toSorted((a, b) => a - b)[Math.floor((times.length - 1) * q)]!.toFixed(2);
const report = (what: string, times: readonly number[]): void =>
  console.log(`${what}: p50 ${quantile(times, 0.5)} ms, p95 ${quantile(times, 0.95)} ms`);

const cluster = await MeshCluster.nftables('b');
try {
  const { agent } = cluster.nodes[0]!;
  const peers = cluster.nodes.map(({ peer }) => peer);
  for (const [ports, endpoints] of UPDATES) {
    const times = await agent.measureUpdates({ peers, ports, endpoints, rounds: ROUNDS });
    const megabytes = Math.round((await agent.rssBytes()) / 1e6);
    report(
      `endpoint update, ${ports} ports of ${endpoints} endpoints (${megabytes} MB resident)`,
      times,
    );
  }
  const namespaces = Array.from({ length: TASKS }, (_, i) => cluster.lab.emptyNamespace(`e${i}`));
  const times: number[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let i = next++; i < TASKS; i = next++) {
      const before = performance.now();
      const taskId = String(i).padStart(12, '0');
      const attachments = [{ networkId: 'bench', addresses: [`10.240.1.${100 + i}/32`] }];
      await agent.attach({ taskId, attachments, netns: namespaces[i]! });
      times.push(performance.now() - before);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
  report(`attach, ${TASKS} in a row, ${PARALLEL} at a time`, times);
} finally {
  await cluster.close();
}
