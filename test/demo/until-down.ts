import type { Cluster, ClusterLab } from '../lab/cluster.js';
import { type Host, until } from '../lab/index.js';

/** Waits until the cluster knows that a host is dead. */
export async function untilDown<L extends ClusterLab>(
  cluster: Cluster<L>,
  dead: Host,
): Promise<void> {
  await until(`${dead.name} is seen to be down`, async () => {
    const nodes = await cluster.nodes();
    return nodes.some((node) => node.Status.State === 'down' && cluster.hostOf(node) === dead);
  });
}
