import test from 'ava';
import { Reads } from '../src/host/reads.js';
import { Cluster, memberInfo } from './support/cluster.js';

// What the simulator found, each as small as it gets.

test('the answer to a question for a read counts although it was asked again meanwhile', (t) => {
  const reads = new Reads(() => 0);
  const asked: number[] = [];
  const served: number[] = [];
  reads.add(10_000, (error, index) => {
    t.is(error, undefined);
    served.push(index);
  });
  reads.ask(0, (context) => asked.push(context) > 0);
  // Each answer takes longer than the patience of three ticks.
  for (let tick = 3; tick <= 9; tick += 3) {
    reads.retry(tick, 3, (context) => asked.push(context) > 0);
  }
  t.is(asked.length, 4);
  reads.answered(asked[0]!, 5);
  reads.appliedTo(5);
  t.deepEqual(served, [5]);
  reads.answered(asked[3]!, 6);
  reads.appliedTo(6);
  t.deepEqual(served, [5]);
});

test('a joining member does not forget a seed that past memberships lack', async (t) => {
  const cluster = await Cluster.found(3);
  const leader = await cluster.waitLeader();
  // Member 4 leads by the time 5 goes through the entries from before 4 joined.
  const seeds = [1, 2, 3, 4].map(memberInfo);
  await cluster.start(5, { seeds });
  await cluster.finish(leader.node!.addMember(memberInfo(5)));
  await cluster.clock.advance(5_000);
  const peers = cluster.host(5).transport.members.map(({ id }) => id);
  t.deepEqual(peers.sort(), [1, 2, 3, 4]);
  await cluster.stop();
});
