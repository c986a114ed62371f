import test from 'ava';
import { MessageType } from '../../src/core/message.js';
import { SnapshotRefusedError } from '../../src/host/errors.js';
import { TestCluster, memberInfo } from '../support/cluster.js';

const LIMITS = { snapshotInterval: 20, trailingEntries: 5 };

function texts(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `p${i}`);
}

async function fill(cluster: TestCluster, items: readonly string[]): Promise<void> {
  for (const text of items) await cluster.propose(text);
}

test('the log is compacted up to what is applied, less a tail', async (t) => {
  const cluster = await TestCluster.bootstrap(1, 1, LIMITS);
  await fill(cluster, texts(100));
  const { firstIndex, lastIndex } = cluster.node(1).status();
  t.true(firstIndex > 50);
  t.true(lastIndex - firstIndex < 2 * LIMITS.snapshotInterval + LIMITS.trailingEntries);
  t.is(cluster.host(1).disk.snapshot.index, firstIndex - 1);
  t.deepEqual(cluster.host(1).disk.snapshot.members, [memberInfo(1)]);
  await cluster.kill(1);
  await cluster.start(1);
  await cluster.waitItems(texts(100));
  await cluster.stop();
});

test('large entries trigger compaction by their bytes, and leave a short tail', async (t) => {
  const large = { snapshotInterval: 10_000, snapshotBytes: 100_000, trailingBytes: 25_000 };
  const cluster = await TestCluster.bootstrap(3, 1, large);
  const items = Array.from({ length: 100 }, (_, i) => `${i} ${'x'.repeat(10_000)}`);
  await fill(cluster, items);
  await cluster.waitItems(items);
  for (const id of [1, 2, 3]) {
    const { firstIndex, lastIndex } = cluster.node(id).status();
    t.true(firstIndex > 70, `member ${id} begins at ${firstIndex}`);
    t.true(lastIndex - firstIndex < 16, `member ${id} holds ${lastIndex - firstIndex}`);
  }
  // What is in the log after a restart counts too.
  await cluster.kill(1);
  await cluster.start(1);
  await cluster.waitItems(items);
  await fill(cluster, items.slice(0, 8));
  await cluster.waitItems([...items, ...items.slice(0, 8)]);
  const { firstIndex, lastIndex } = cluster.node(1).status();
  t.true(lastIndex - firstIndex < 16, `it holds ${lastIndex - firstIndex}`);
  await cluster.stop();
});

test('a member that lags behind the compacted log gets a snapshot and continues from it', async (t) => {
  const cluster = await TestCluster.bootstrap(3, 1, LIMITS);
  const leader = await cluster.waitLeader();
  const away = [1, 2, 3].find((id) => id !== leader.id)!;
  await cluster.kill(away);
  await fill(cluster, texts(60));
  await cluster.start(away);
  await cluster.waitItems(texts(60));
  t.is(cluster.host(away).state.restored, 1);
  await cluster.propose('after');
  await cluster.waitItems([...texts(60), 'after']);
  t.is(leader.state.openViews, 0);
  await cluster.stop();
});

test('a member that joins late gets the membership with the snapshot', async (t) => {
  const cluster = await TestCluster.bootstrap(1, 1, LIMITS);
  await fill(cluster, texts(60));
  await cluster.start(2);
  await cluster.finish(cluster.node(1).addMember(memberInfo(2)));
  await cluster.waitItems(texts(60));
  t.is(cluster.host(2).state.restored, 1);
  t.deepEqual(
    cluster
      .node(2)
      .status()
      .members.map(({ info }) => info),
    [memberInfo(1), memberInfo(2)],
  );
  await cluster.kill(2);
  await cluster.start(2);
  await cluster.propose('after');
  await cluster.waitItems([...texts(60), 'after']);
  await cluster.stop();
});

test('a crash between installing the state and recording it in the log loses nothing', async (t) => {
  const cluster = await TestCluster.bootstrap(3, 1, LIMITS);
  const leader = await cluster.waitLeader();
  const away = [1, 2, 3].find((id) => id !== leader.id)!;
  await cluster.kill(away);
  await fill(cluster, texts(60));
  await cluster.start(away);
  const { state, disk } = cluster.host(away);
  disk.stalled = true;
  await cluster.clock.until(() => state.restored === 1, 'the state is installed');
  await cluster.kill(away);
  t.is(disk.snapshot.index, 0);
  t.true(cluster.host(away).saved.index > 60);
  disk.stalled = false;
  await cluster.start(away);
  await cluster.propose('after');
  await cluster.waitItems([...texts(60), 'after']);
  await cluster.stop();
});

test('a snapshot whose stream breaks is sent again, and every view is released', async (t) => {
  const cluster = await TestCluster.bootstrap(3, 1, LIMITS);
  const leader = await cluster.waitLeader();
  const away = [1, 2, 3].find((id) => id !== leader.id)!;
  await cluster.kill(away);
  await fill(cluster, texts(60));
  const view = leader.state.view.bind(leader.state);
  let breaks = 2;
  leader.state.view = async () => {
    const whole = await view();
    if (breaks-- <= 0) return whole;
    return {
      ...whole,
      chunks: async function* () {
        yield new Uint8Array([91]);
        throw new Error('connection lost');
      },
    };
  };
  await cluster.start(away);
  await cluster.waitItems(texts(60));
  t.is(cluster.host(away).fatal, undefined);
  t.is(leader.state.openViews, 0);
  await cluster.stop();
});

/** A cluster whose third member, currently down, needs a snapshot. */
async function lagging(): Promise<{ cluster: TestCluster; away: number }> {
  const cluster = await TestCluster.bootstrap(3, 1, LIMITS);
  const leader = await cluster.waitLeader();
  const away = [1, 2, 3].find((id) => id !== leader.id)!;
  await cluster.kill(away);
  await fill(cluster, texts(60));
  return { cluster, away };
}

test('a snapshot that the state machine refuses is sent again, and the member keeps running', async (t) => {
  const { cluster, away } = await lagging();
  const opened = cluster.start(away);
  const { state } = cluster.host(away);
  const restore = state.restore.bind(state);
  let refusals = 2;
  state.restore = async (meta, chunks) => {
    if (refusals-- <= 0) return restore(meta, chunks);
    throw new SnapshotRefusedError('it has a kind that this version does not know');
  };
  await opened;
  await cluster.waitItems(texts(60));
  t.is(refusals, -1);
  t.is(cluster.host(away).fatal, undefined);
  await cluster.stop();
});

test('any other error of a state machine during a restore stops the member', async (t) => {
  const { cluster, away } = await lagging();
  const opened = cluster.start(away);
  cluster.host(away).state.restore = async () => {
    throw new Error('half of it is written');
  };
  await opened;
  await cluster.clock.until(() => cluster.host(away).fatal !== undefined, 'it stops');
  t.like(cluster.host(away).fatal, { message: 'half of it is written' });
  await cluster.stop();
});

test('a crash with an older state replays the log from there', async (t) => {
  const cluster = await TestCluster.bootstrap(3, 1, { snapshotInterval: 1000 });
  await fill(cluster, texts(10));
  await cluster.waitItems(texts(10));
  const { state } = cluster.host(2);
  await state.flush();
  await cluster.propose('p10');
  await cluster.waitItems(texts(11));
  await cluster.kill(2);
  t.is(cluster.host(2).saved.items.length, 10);
  await cluster.start(2);
  await cluster.waitItems(texts(11));
  await cluster.stop();
});

test('a member whose confirmation of a snapshot was lost confirms it when it is sent again', async (t) => {
  const cluster = await TestCluster.bootstrap(3, 1, { snapshotInterval: 20, trailingEntries: 0 });
  const { network } = cluster;
  const leader = await cluster.waitLeader();
  const [away, third] = [1, 2, 3].filter((id) => id !== leader.id);
  await cluster.kill(away!);
  await fill(cluster, texts(60));
  network.losesConfirmations = true;
  network.lose = (message) =>
    message.type === MessageType.AppendResponse && message.from === away && !message.rejected;
  await cluster.start(away!);
  await cluster.clock.until(
    () => cluster.node(away!).status().commit === leader.node!.status().commit,
    'the snapshot is installed',
  );
  // The leader has nothing newer to send, and can commit nothing without that member.
  await cluster.kill(third!);
  network.losesConfirmations = false;
  network.lose = () => false;
  await cluster.propose('after');
  await cluster.waitItems([...texts(60), 'after']);
  t.is(cluster.host(away!).state.restored, 1);
  await cluster.stop();
});
