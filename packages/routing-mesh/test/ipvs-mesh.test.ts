import test from 'ava';
import { meshContract } from './contract/mesh-contract.js';
import { MeshCluster } from './lab/cluster.js';
import { ipvsProblem } from './lab/ipvs.js';

const problem = await ipvsProblem();

if (problem === undefined) {
  const opened = meshContract(() => MeshCluster.ipvs('im'));
  let cluster: MeshCluster;
  test.beforeEach(() => {
    cluster = opened();
  });

  test.serial(
    'every node leads to every task, and the task sees the address of the client',
    async (t) => {
      const tasks = [await cluster.task(1), await cluster.task(2), await cluster.task(3)];
      for (const task of tasks) {
        await cluster.publish(8080, [task]);
        for (const { peer } of cluster.nodes) {
          const answer = await cluster.client.agent.ask({ host: peer.address, port: 8080 });
          t.like(answer, { task: task.taskId, address: '198.18.0.100' }, `${peer.nodeId}`);
        }
      }
    },
  );
} else {
  test(`SKIPPED, the ipvs mesh is not tested: ${problem}`, (t) => {
    t.is(process.env.SWARM_GUEST, undefined);
  });
}
