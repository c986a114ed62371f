import test from 'ava';
import { bytes, TestCluster } from '../support/cluster.js';

test('a read on any member sees everything acknowledged before it', async (t) => {
  const cluster = await TestCluster.bootstrap(3);
  await cluster.propose('a');
  cluster.network.latencyMs = 20;
  for (let i = 0; i < 5; i++) {
    const { index } = await cluster.propose(`p${i}`);
    for (const id of [1, 2, 3]) {
      const read = await cluster.finish(cluster.node(id).readIndex());
      t.true(read >= index);
      t.true(cluster.host(id).state.items.includes(`p${i}`));
    }
  }
  await cluster.stop();
});

test('a member that was cut off gives no stale read, and reads again once it is back', async (t) => {
  const cluster = await TestCluster.bootstrap(3);
  const leader = await cluster.waitLeader();
  cluster.isolate(leader.id);
  const stale = leader.node!.readIndex();
  const outcome = stale.then(
    () => 'served',
    (error: { code: string }) => error.code,
  );
  t.regex(await cluster.finish(outcome), /RAFT_(TIMEOUT|QUORUM_LOST)/);
  cluster.network.heal();
  await cluster.clock.advance(3000);
  const read = leader.node!.readIndex();
  t.true((await cluster.finish(read)) > 0);
  await cluster.stop();
});

test('a lost read question is asked again', async (t) => {
  const cluster = await TestCluster.bootstrap(3);
  const leader = await cluster.waitLeader();
  const follower = [1, 2, 3].find((id) => id !== leader.id)!;
  await cluster.clock.advance(500);
  cluster.isolate(follower);
  const read = cluster.node(follower).readIndex();
  await cluster.clock.advance(150);
  cluster.network.heal();
  t.true((await cluster.finish(read, 1000)) > 0);
  await cluster.stop();
});

test('a barrier passes when everything before it is applied', async (t) => {
  const cluster = await TestCluster.bootstrap(3);
  const leader = await cluster.waitLeader();
  const proposals = ['a', 'b', 'c'].map((text) => leader.node!.propose(bytes(text)));
  await cluster.finish(leader.node!.barrier());
  t.deepEqual(leader.state.items, ['a', 'b', 'c']);
  await cluster.finish(Promise.all(proposals));
  await cluster.stop();
});
