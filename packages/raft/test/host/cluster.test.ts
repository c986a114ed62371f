import test from 'ava';
import { bytes, TestCluster } from '../support/cluster.js';

test('three members elect a leader, commit what is proposed and apply it everywhere', async (t) => {
  const cluster = await TestCluster.bootstrap(3);
  const leader = await cluster.waitLeader();
  t.deepEqual(
    leader.node!.status().members.map(({ role }) => role),
    ['voter', 'voter', 'voter'],
  );
  const first = await cluster.propose('a');
  const second = await cluster.propose('b');
  t.is(first.result, 1);
  t.is(second.result, 2);
  t.true(second.index > first.index);
  await cluster.waitItems(['a', 'b']);
  await cluster.stop();
});

test('proposals made together are pipelined and share writes', async (t) => {
  const cluster = await TestCluster.bootstrap(3);
  const leader = await cluster.waitLeader();
  const before = leader.disk.writes;
  const texts = Array.from({ length: 200 }, (_, i) => `p${i}`);
  const results = await cluster.finish(
    Promise.all(texts.map((text) => leader.node!.propose(bytes(text)))),
  );
  t.deepEqual(
    results.map(({ result }) => result),
    texts.map((_, i) => i + 1),
  );
  await cluster.waitItems(texts);
  t.true(leader.disk.writes - before < 10);
  await cluster.stop();
});
