import { until } from '@swarm/sim';
import test from 'ava';
import { labProblem } from './lab/lab.js';
import { OverlayCluster, type OverlayTask, TASK_PORT, WORLD } from './lab/overlay-cluster.js';

const problem = labProblem();
const PORT = { Protocol: 'tcp', Port: TASK_PORT } as const;
let cluster: OverlayCluster;

/** Whether the host is answered by a task. The kernel limits refusals of one client to about one a second. */
async function reaches(from: Pick<OverlayTask, 'agent'>, host: string, port = TASK_PORT) {
  return from.agent.ask({ host, port, timeoutMs: 10_000 }).then(
    () => 'answered',
    (error: Error) => (/ECONNREFUSED/.test(error.message) ? 'refused' : error.message),
  );
}

if (problem === undefined) {
  test.before(async () => {
    cluster = await OverlayCluster.open('g');
  });
  test.afterEach.always(() => cluster.reset());
  test.after.always(() => cluster.close());

  test.serial(
    'rules admit services, by port, from every node, and refuse others at once',
    async (t) => {
      for (const subnet of ['10.0.1.0/24', 'fd00:1::/64']) {
        cluster.network('net1', subnet);
        cluster.service('db', 2, 'net1');
        cluster.service('web', 3, 'net1');
        const db = await cluster.task({ node: 1, networks: ['net1'], service: 'db' });
        await cluster.task({ node: 2, networks: ['net1'], service: 'db' });
        cluster.service('other', 4, 'net1');
        const clients: OverlayTask[] = [];
        for (const node of [1, 2]) {
          for (const service of ['web', 'other'])
            clients.push(await cluster.task({ node, networks: ['net1'], service }));
        }
        const vip = subnet.includes(':') ? 'fd00:1::2' : '10.0.1.2';
        const all = async () => {
          await cluster.apply();
          const seen: string[] = [];
          for (const client of clients) {
            const own = await reaches(client, cluster.addressOf(db, 'net1'));
            seen.push(own === (await reaches(client, vip)) ? own : 'by one way only');
          }
          return seen;
        };
        t.deepEqual(await all(), Array(4).fill('answered'), 'open without rules');
        cluster.allow('db', [{ From: 'web', Ports: [PORT] }]);
        t.deepEqual(await all(), ['answered', 'refused', 'answered', 'refused']);
        cluster.allow('db', [{ From: 'other' }]);
        t.deepEqual(await all(), ['refused', 'answered', 'refused', 'answered']);
        cluster.allow('db', [{ From: 'any', Ports: [PORT] }]);
        t.deepEqual(await all(), Array(4).fill('answered'));
        cluster.allow('db', undefined);
        t.deepEqual(await all(), Array(4).fill('answered'));
        await cluster.reset();
      }
    },
  );

  test.serial('rules for another port, and none at all, admit nobody', async (t) => {
    cluster.network('net1', '10.0.1.0/24');
    cluster.service('db', 2, 'net1');
    cluster.service('web', 3, 'net1');
    const db = await cluster.task({ node: 1, networks: ['net1'], service: 'db' });
    for (const allow of [[{ From: 'web', Ports: [{ ...PORT, Port: TASK_PORT + 1 }] }], []]) {
      cluster.allow('db', allow);
      const web = await cluster.task({ node: 2, networks: ['net1'], service: 'web' });
      await cluster.apply();
      t.is(await reaches(web, cluster.addressOf(db, 'net1')), 'refused');
    }
  });

  test.serial('rules admit outside networks to published ports, on every node', async (t) => {
    const task = await cluster.task({ node: 1, networks: ['ingress'], service: 'web' });
    cluster.publish(8080, [task], 'tcp', 'web');
    const all = async () => {
      await cluster.apply();
      return Promise.all(
        cluster.nodes.map(({ peer }) => reaches(cluster.client, peer.address, 8080)),
      );
    };
    t.deepEqual(await all(), Array(3).fill('answered'));
    cluster.allow('web', [{ From: '203.0.113.0/24' }]);
    t.deepEqual(await all(), Array(3).fill('refused'), 'told at once, through every node');
    cluster.allow('web', [
      { From: '198.18.0.0/24', Ports: [PORT] },
      { From: '198.18.0.0/16', Ports: [PORT] },
      { From: '198.18.0.100', Ports: [PORT] },
    ]);
    t.deepEqual(await all(), Array(3).fill('answered'), 'networks within each other');
    cluster.allow('web', [{ From: '0.0.0.0/0' }]);
    t.deepEqual(await all(), Array(3).fill('answered'));
    cluster.allow('web', [{ From: `${WORLD}/32` }]);
    t.deepEqual(await all(), Array(3).fill('refused'));
  });

  test.serial('a rule that goes ends the connections that it admitted', async (t) => {
    cluster.network('net1', '10.0.1.0/24');
    cluster.service('db', 2, 'net1');
    cluster.service('web', 3, 'net1');
    cluster.allow('db', [{ From: 'web' }]);
    const db = await cluster.task({ node: 1, networks: ['net1'], service: 'db' });
    const web = await cluster.task({ node: 2, networks: ['net1'], service: 'web' });
    await cluster.apply();
    const id = await web.agent.open({ host: cluster.addressOf(db, 'net1'), port: TASK_PORT });
    await web.agent.again(id);
    cluster.allow('db', []);
    await cluster.apply();
    await t.throwsAsync(web.agent.again(id));
  });

  test.serial('refused clients are counted and told', async (t) => {
    cluster.network('net1', '10.0.1.0/24');
    cluster.service('db', 2, 'net1');
    cluster.allow('db', []);
    const db = await cluster.task({ node: 1, networks: ['net1'], service: 'db' });
    const web = await cluster.task({ node: 2, networks: ['net1'], service: 'web' });
    await cluster.apply();
    await cluster.task({ node: 2, networks: ['net1'], service: 'db' });
    await cluster.apply();
    const startMs = performance.now();
    t.is(await reaches(web, '10.0.1.2'), 'refused');
    // The kernel of the caller's node would try another member a second later.
    t.true(performance.now() - startMs < 950, 'at once');
    for (let i = 0; i < 3; i++) await reaches(web, cluster.addressOf(db, 'net1'));
    const told = await until(
      'the refusals are told',
      async () => {
        const told = await cluster.nodes[0]!.agent.refusals();
        const own = told.filter(({ taskId }) => taskId === db.taskId);
        return own.length > 0 ? own : undefined;
      },
      { deadlineMs: 20_000 },
    );
    t.like(told[0], {
      taskId: db.taskId,
      last: { from: cluster.addressOf(web, 'net1'), protocol: 'tcp', port: TASK_PORT },
    });
    t.true(told[0]!.count >= 3, `${told[0]!.count}`);
  });
} else {
  test(`tests of who may connect are skipped: ${problem}`, (t) => t.pass());
}
