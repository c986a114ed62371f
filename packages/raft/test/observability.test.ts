import test from 'ava';
import { type Metric, Histogram, metricsText } from '../src/metrics.js';
import { RaftNode } from '../src/host/raft-node.js';
import { systemClock } from '../src/host/clock.js';
import { MemoryStorage } from '../src/storage/memory-storage.js';
import { MemoryNetwork } from '../src/transport/memory-transport.js';
import type { TraceEvent } from '../src/trace.js';
import { bytes, TestCluster, memberInfo } from './support/cluster.js';
import { ListStateMachine } from './support/list-state-machine.js';

function value(metrics: readonly Metric[], name: string, label?: string): number {
  const metric = metrics.find((each) => each.name === `swarm_raft_${name}`);
  if (metric === undefined) throw new Error(`no metric ${name}`);
  if (metric.kind === 'histogram') return metric.count;
  const found = metric.values.find(
    ({ labels }) => label === undefined || Object.values(labels ?? {})[0] === label,
  );
  return found!.value;
}

test('a leader counts proposals, writes, applied entries, messages and elections', async (t) => {
  const cluster = await TestCluster.bootstrap(3);
  for (let i = 0; i < 10; i++) await cluster.propose(`item ${i}`);
  const leader = await cluster.waitLeader();
  const metrics = leader.node!.metrics();
  const { commit, applied, term } = leader.node!.status();
  t.is(value(metrics, 'proposals_total'), 10);
  t.is(value(metrics, 'proposals_ended_total', 'applied'), 10);
  t.is(value(metrics, 'commit_index'), commit);
  t.is(value(metrics, 'applied_index'), applied);
  t.is(value(metrics, 'applied_entries_total'), applied);
  t.is(value(metrics, 'term'), term);
  t.is(value(metrics, 'is_leader'), 1);
  t.is(value(metrics, 'voters'), 3);
  t.is(value(metrics, 'elections_won_total'), 1);
  t.true(value(metrics, 'elections_total') >= 1);
  t.true(value(metrics, 'log_sync_seconds') >= 10);
  t.true(value(metrics, 'apply_seconds') >= 10);
  t.true(value(metrics, 'messages_sent_total', 'append') >= 20);
  t.true(value(metrics, 'messages_received_total', 'append_response') >= 20);
  t.is(value(metrics, 'queue_length', 'proposals'), 0);

  const follower = [...cluster.hosts.values()].find(({ id }) => id !== leader.id)!;
  await t.throwsAsync(follower.node!.propose(bytes('x')), { code: 'RAFT_NOT_LEADER' });
  const others = follower.node!.metrics();
  t.is(value(others, 'proposals_ended_total', 'refused'), 1);
  t.is(value(others, 'is_leader'), 0);
  t.is(value(others, 'has_leader'), 1);
  t.is(value(others, 'leader_changes_total'), 1);
  await cluster.stop();
});

test('snapshots sent and received, and compactions, are counted', async (t) => {
  const cluster = await TestCluster.bootstrap(3, 1, { snapshotInterval: 10, trailingEntries: 2 });
  const leader = await cluster.waitLeader();
  const slow = [1, 2, 3].find((id) => id !== leader.id)!;
  await cluster.kill(slow);
  for (let i = 0; i < 40; i++) await cluster.propose(`item ${i}`);
  const node = await cluster.start(slow);
  await cluster.clock.until(
    () => value(leader.node!.metrics(), 'snapshots_total', 'sent') === 1,
    'a snapshot is sent',
  );
  t.is(value(node.metrics(), 'snapshots_total', 'received'), 1);
  t.true(value(leader.node!.metrics(), 'compactions_total') >= 1);
  await cluster.stop();
});

test('the view for a backup has the membership of its index, and does not hold up writes', async (t) => {
  const cluster = await TestCluster.bootstrap(3);
  await cluster.propose('a');
  const leader = await cluster.waitLeader();
  const { meta, view } = await cluster.finish(leader.node!.view());
  await cluster.propose('b');
  const chunks: Uint8Array[] = [];
  for await (const chunk of view.chunks()) chunks.push(chunk);
  await view.release();
  t.deepEqual(JSON.parse(Buffer.concat(chunks).toString()), ['a']);
  t.is(meta.index, view.index);
  t.deepEqual(meta.conf.voters, [1, 2, 3]);
  t.deepEqual(meta.members, [1, 2, 3].map(memberInfo));
  t.is(leader.state.openViews, 0);
  const { node } = leader;
  await cluster.stop();
  await t.throwsAsync(node!.view(), { code: 'RAFT_STOPPED' });
});

test('histograms count each duration once, even beyond the last bound', (t) => {
  const histogram = new Histogram();
  for (const ms of [0.05, 0.2, 0.2, 30, 60_000]) histogram.observeMs(ms);
  const metric = histogram.read('x_seconds', 'Test.');
  if (metric.kind !== 'histogram') return t.fail();
  t.is(metric.count, 5);
  t.deepEqual(metric.buckets[0], [0.0001, 1]);
  t.deepEqual(metric.buckets[1], [0.00025, 3]);
  t.deepEqual(metric.buckets.at(-1), [5, 4]);
});

test('Prometheus can read the text', (t) => {
  const text = metricsText(
    [
      {
        kind: 'counter',
        name: 'a_total',
        help: 'A.',
        values: [{ labels: { b: 'x"\\' }, value: 3 }],
      },
      { kind: 'histogram', name: 's', help: 'S.', buckets: [[0.1, 1]], sum: 0.5, count: 2 },
    ],
    { node: 'n' },
  );
  t.is(
    text,
    [
      '# HELP a_total A.',
      '# TYPE a_total counter',
      'a_total{node="n",b="x\\"\\\\"} 3',
      '# HELP s S.',
      '# TYPE s histogram',
      's_bucket{node="n",le="0.1"} 1',
      's_bucket{node="n",le="+Inf"} 2',
      's_sum{node="n"} 0.5',
      's_count{node="n"} 2',
      '',
    ].join('\n'),
  );
});

test('a trace reports elections, commits and messages, in a possible order', async (t) => {
  const events: TraceEvent[] = [];
  const network = new MemoryNetwork();
  const members = [1, 2, 3].map(memberInfo);
  const nodes = await Promise.all(
    members.map(({ id }) =>
      RaftNode.open({
        id,
        members,
        storage: new MemoryStorage(),
        transport: network.join(id),
        stateMachine: new ListStateMachine({ index: 0, items: [] }),
        clock: systemClock(),
        random: Math.random,
        tickMs: 10,
        trace: (event) => events.push(event),
      }),
    ),
  );
  const leader = await new Promise<RaftNode>((resolve) => {
    for (const node of nodes) node.onLeadership(({ isLeader }) => isLeader && resolve(node));
  });
  await leader.propose(bytes('a'));
  await leader.removeMember([1, 2, 3].find((id) => id !== leader.status().id)!);
  await Promise.all(nodes.map((node) => node.stop()));

  const names = new Set(events.map(({ name }) => name));
  for (const name of [
    'InitState',
    'BecomeCandidate',
    'SendRequestVoteRequest',
    'ReceiveRequestVoteRequest',
    'SendRequestVoteResponse',
    'ReceiveRequestVoteResponse',
    'BecomeLeader',
    'Replicate',
    'SendAppendEntriesRequest',
    'ReceiveAppendEntriesRequest',
    'SendAppendEntriesResponse',
    'ReceiveAppendEntriesResponse',
    'Commit',
    'ChangeConf',
    'ApplyConfChange',
    'Ready',
  ] as const)
    t.true(names.has(name), `no ${name}`);
  const leaders = new Map<number, string>();
  for (const nid of ['1', '2', '3']) {
    let term = 0;
    let commit = 0;
    const own = events.filter((event) => event.nid === nid);
    t.is(own[0]!.name, 'InitState');
    for (const { state, name } of own) {
      t.true(state.term >= term && state.commit >= commit, `${nid} went back at ${name}`);
      t.true(state.applied <= state.commit);
      term = state.term;
      commit = state.commit;
    }
  }
  for (const { name, nid, state } of events) {
    if (name !== 'BecomeLeader') continue;
    t.is(leaders.get(state.term) ?? nid, nid, 'two leaders in one term');
    leaders.set(state.term, nid);
  }
  // A received message was sent before.
  for (const [i, { name, msg }] of events.entries()) {
    if (!name.startsWith('Receive')) continue;
    const sent = events
      .slice(0, i)
      .some(
        (event) =>
          event.name.startsWith('Send') && JSON.stringify(event.msg) === JSON.stringify(msg),
      );
    t.true(sent, `${name} of a message that nobody sent: ${JSON.stringify(msg)}`);
  }
});
