import test from 'ava';
import { meshContract } from './contract/mesh-contract.js';
import { Cluster } from './lab/cluster.js';
import { refusedAtOnce } from './lab/expect.js';

const opened = meshContract(() => Cluster.userspace('u'));

test.serial('the only endpoint refuses: the client is cut off at once', async (t) => {
  const cluster = opened();
  const task = await cluster.task(2);
  await task.agent.unserve();
  await cluster.publish(8060, [task]);
  const { address } = cluster.nodes[0]!.peer;
  const error = await t.throwsAsync(cluster.client.agent.ask({ host: address, port: 8060 }));
  t.is((error as NodeJS.ErrnoException).code, 'ECONNRESET');
});

test.serial('a port that a program has taken is reported, and taken once it is free', async (t) => {
  const cluster = opened();
  const task = await cluster.task(2);
  const node = cluster.nodes[0]!;
  const squatter = await cluster.lab.agent(node.netns);
  await squatter.serve({ name: 'squatter', port: 8061, host: node.peer.address });
  await cluster.publish(8061, [task]);
  const logged = await node.agent.logged();
  t.true(
    logged.some((line) => /port tcp\/8061 can not be published .*EADDRINUSE/.test(line)),
    logged.join(),
  );
  await squatter.stop();
  await cluster.publish(8061, [task]);
  const answer = await cluster.client.agent.ask({ host: node.peer.address, port: 8061 });
  t.is(answer.task, task.taskId);
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
});
