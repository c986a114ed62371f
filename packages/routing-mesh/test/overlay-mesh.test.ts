import test from 'ava';
import { labProblem } from './lab/lab.js';
import { OverlayCluster, TASK_PORT } from './lab/overlay-cluster.js';

const problem = labProblem();
let cluster: OverlayCluster;

if (problem === undefined) {
  test.before(async () => {
    cluster = await OverlayCluster.open('o');
  });
  test.afterEach.always(() => cluster.reset());
  test.after.always(() => cluster.close());

  test.serial(
    'tasks of a network reach each other, on every node, by their own addresses',
    async (t) => {
      cluster.network('net1', '10.0.1.0/24');
      const tasks = [];
      for (const node of [1, 1, 2, 3]) tasks.push(await cluster.task({ node, networks: ['net1'] }));
      await cluster.apply();
      for (const from of tasks) {
        for (const to of tasks) {
          const host = cluster.addressOf(to, 'net1');
          const answer = await from.agent.ask({ host, port: TASK_PORT });
          t.is(answer.task, to.taskId);
          t.is(answer.address.replace('::ffff:', ''), cluster.addressOf(from, 'net1'));
        }
      }
    },
  );

  test.serial(
    'a virtual address leads to the members, which see the address of the caller',
    async (t) => {
      cluster.network('net1', '10.0.1.0/24');
      cluster.service('web', 2, 'net1');
      const members = [];
      for (const node of [1, 2, 3]) {
        members.push(await cluster.task({ node, networks: ['net1'], service: 'web' }));
      }
      const client = await cluster.task({ node: 1, networks: ['net1'] });
      await cluster.apply();
      const seen = new Set<string>();
      for (let i = 0; i < 60; i++) {
        const answer = await client.agent.ask({ host: '10.0.1.2', port: TASK_PORT });
        t.is(answer.address.replace('::ffff:', ''), cluster.addressOf(client, 'net1'));
        seen.add(answer.task);
      }
      t.is(seen.size, 3);
    },
  );
} else {
  test(`tests of overlay networks are skipped: ${problem}`, (t) => t.pass());
}
