import test from 'ava';
import { Cluster } from './lab/cluster.js';
import { labProblem } from './lab/lab.js';

const problem = labProblem();
let cluster: Cluster;

if (problem === undefined) {
  test.before(async () => {
    cluster = await Cluster.create('a');
  });
  test.afterEach.always(async () => {
    await cluster.unpublishAll();
  });
  test.after.always(async () => {
    await cluster?.close();
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
  test(`SKIPPED, the nftables mesh is not tested: ${problem}`, (t) => {
    t.log(problem);
    t.pass();
  });
}
