import test from 'ava';
import { meshContract } from './contract/mesh-contract.js';
import { MeshCluster } from './lab/cluster.js';
import { refusedAtOnce } from './lab/expect.js';

const opened = meshContract(() => MeshCluster.userspace('u'));

test.serial('the only endpoint refuses: the client is cut off at once', async (t) => {
  const cluster = opened();
  const task = await cluster.task(2);
  await task.agent.unserve();
  await cluster.publish(8060, [task]);
  const { address } = cluster.nodes[0]!.peer;
  const error = await t.throwsAsync(cluster.client.agent.ask({ host: address, port: 8060 }));
  t.is((error as NodeJS.ErrnoException).code, 'ECONNRESET');
});

test.serial('a port that a program uses is reported, and bound once it is free', async (t) => {
  const cluster = opened();
  const task = await cluster.task(2);
  const node = cluster.nodes[0]!;
  const squatter = await cluster.lab.agent(node.netns);
  await squatter.serve({ name: 'squatter', port: 8061, host: node.peer.address });
  await cluster.publish(8061, [task]);
  const logged = await node.agent.logged();
  t.true(
    logged.some((line) => /port tcp\/8061 cannot be published .*EADDRINUSE/.test(line)),
    logged.join(),
  );
  await squatter.stop();
  await cluster.publish(8061, [task]);
  const answer = await cluster.client.agent.ask({ host: node.peer.address, port: 8061 });
  t.is(answer.task, task.taskId);
});

test.serial(
  'what a state says of another place than the node’s own is never dialled',
  async (t) => {
    const cluster = opened();
    const task = await cluster.task(2);
    const node = cluster.nodes[0]!;
    const victim = await cluster.lab.agent(node.netns);
    await victim.serve({ name: 'victim', port: 2022, host: '127.0.0.1' });
    await victim.serve({ name: 'victim', port: 20_022, host: '127.0.0.1' });
    await cluster.publish(8065, [task]);
    await cluster.apply((state) => ({
      ...state,
      ports: state.ports.map((port) => ({
        ...port,
        endpoints: [
          ...port.endpoints,
          { taskId: 'lie1', nodeId: 'node2', address: '127.0.0.1', port: 20_022 },
          { taskId: 'lie2', nodeId: 'node2', address: task.node.peer.address, port: 2022 },
          { taskId: 'lie3', nodeId: 'node2', address: 'localhost', port: 20_022 },
        ],
      })),
    }));
    for (let i = 0; i < 20; i++) {
      const answer = await cluster.client.agent.ask({ host: node.peer.address, port: 8065 });
      t.is(answer.task, task.taskId);
    }
    await victim.stop();
  },
);

test.serial('a task of the node itself is dialled where its runtime put it', async (t) => {
  const cluster = opened();
  const node = cluster.nodes[0]!;
  const agent = await cluster.lab.agent(node.netns);
  await agent.serve({ name: 'adopted', port: 20_900, host: '127.0.0.1' });
  await node.agent.attach({
    taskId: 'adopted',
    attachments: [{ networkId: 'net', addresses: ['127.0.0.1/32'] }],
    netns: '',
  });
  await cluster.apply((state) => ({
    ...state,
    ports: [
      {
        protocol: 'tcp',
        publishedPort: 8064,
        serviceId: 's',
        endpoints: [
          { taskId: 'adopted', nodeId: 'node1', address: node.peer.address, port: 20_900 },
        ],
      },
    ],
  }));
  const answer = await cluster.client.agent.ask({ host: node.peer.address, port: 8064 });
  t.is(answer.task, 'adopted');
  await node.agent.detach('adopted');
  await agent.stop();
});

test.serial('a slow reader holds its sender back, not the memory of the mesh', async (t) => {
  const cluster = opened();
  const task = await cluster.task(2);
  await cluster.publish(8062, [task]);
  const { agent, peer } = cluster.nodes[0]!;
  const before = await agent.rssBytes();
  await cluster.client.agent.flood({ host: peer.address, port: 8062, bytes: 200_000_000 });
  const grown = (await agent.rssBytes()) - before;
  t.true(grown < 60_000_000, `grew by ${grown} bytes`);
});

test.serial('after close nothing listens any more', async (t) => {
  const cluster = opened();
  const task = await cluster.task(1);
  await cluster.publish(8063, [task]);
  const [node] = cluster.nodes;
  await node!.agent.close({ keep: false });
  await refusedAtOnce(t, cluster, node!.peer.address, 8063);
  // The node takes part in what comes next.
  await node!.agent.createMesh({ backend: 'userspace' });
  await node!.agent.start(node!.peer);
});
