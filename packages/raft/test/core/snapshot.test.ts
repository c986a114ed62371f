import test from 'ava';
import { type Message, MessageType } from '../../src/core/message.js';
import type { SnapshotMeta } from '../../src/core/types.js';
import { CoreGroup, conf, core, entriesOf } from '../support/core-group.js';
import { matchOf, message } from '../support/messages.js';

function meta(index: number, term: number, voters: readonly number[] = [1, 2, 3]): SnapshotMeta {
  return { index, term, conf: conf(voters), members: [], removed: [] };
}

function snapshot(to: number, term: number, what: SnapshotMeta): Message {
  return { ...message(MessageType.Snapshot, 1, to, { term }), snapshot: what };
}

/** Member 3 missed entries that the leader has compacted since. */
function lagging(): CoreGroup {
  const group = CoreGroup.of([1, 2, 3]);
  group.elect(1);
  group.isolate(3);
  for (let i = 0; i < 10; i++) group.propose(1);
  group.get(1).compact(9);
  group.heal();
  return group;
}

test('a member that needs compacted entries gets a snapshot, and nothing else meanwhile', (t) => {
  const group = lagging();
  group.sent.length = 0;
  group.tickAll(5);
  const orders = group.sent.filter(({ type }) => type === MessageType.Snapshot);
  t.is(orders.length, 1);
  t.like(orders[0], { to: 3, applied: 11 });
  t.is(group.get(1).memberProgress(3).state, 'snapshot');
  group.propose(1);
  t.is(group.get(3).lastIndex, 1);
});

test('the stream continues after the snapshot', (t) => {
  const group = lagging();
  group.tickAll(1);
  group.get(3).step(snapshot(3, 1, meta(11, 1)));
  group.settle();
  group.get(1).reportSnapshot(3, true);
  t.is(group.get(1).memberProgress(3).state, 'replicate');
  group.propose(1);
  t.is(group.get(3).commitIndex, 12);
  t.is(group.get(3).appliedIndex, 12);
  t.deepEqual(
    group.applied.get(3)!.map(({ index }) => index),
    [1, 12],
  );
});

test('a snapshot that failed is ordered again', (t) => {
  const group = lagging();
  group.tickAll(1);
  group.get(1).reportSnapshot(3, false);
  group.sent.length = 0;
  group.tickAll(2);
  t.is(group.sent.filter(({ type }) => type === MessageType.Snapshot).length, 1);
});

test('an installed snapshot counts even if its answer is lost', (t) => {
  const group = lagging();
  group.tickAll(1);
  group.lose = ({ from }) => from === 3;
  group.get(3).step(snapshot(3, 1, meta(11, 1)));
  group.settle();
  group.get(1).reportSnapshot(3, true);
  group.heal();
  group.tickAll(2);
  t.is(group.get(1).memberProgress(3).state, 'replicate');
});

test('no snapshot is ordered for a member that is away', (t) => {
  const group = lagging();
  group.isolate(3);
  group.tickAll(15);
  group.sent.length = 0;
  group.tickAll(30);
  t.is(group.sent.filter(({ type }) => type === MessageType.Snapshot).length, 0);
});

test('a snapshot replaces a log that conflicts with it, all of it', (t) => {
  const follower = core(2, { voters: [1, 2, 3], log: [1, 1, 2, 2, 2, 2, 2, 2] });
  follower.step(snapshot(2, 5, meta(5, 4, [1, 2, 4])));
  t.is(follower.lastIndex, 5);
  t.is(follower.termAt(5), 4);
  t.is(follower.termAt(6), undefined);
  t.deepEqual(follower.conf.voters, [1, 2, 4]);
  const work = follower.ready()!.append!;
  t.like(work, { mustSync: true, hardState: { term: 5, commit: 5 } });
  t.is(work.snapshot!.index, 5);
  t.like(work.responses[0], { type: MessageType.AppendResponse, match: 5 });
});

test('a snapshot that matches the log only commits, and keeps what follows', (t) => {
  const follower = core(2, { voters: [1, 2, 3], log: [1, 1, 1, 1] });
  follower.step(snapshot(2, 1, meta(2, 1, [1, 2, 9])));
  t.is(follower.lastIndex, 4);
  t.is(follower.commitIndex, 2);
  t.deepEqual(follower.conf.voters, [1, 2, 3], 'its changes are applied from the log');
  t.is(follower.ready()!.append!.snapshot, undefined);
});

test('a snapshot older than the commit is answered with the commit', (t) => {
  const follower = core(2, { voters: [1, 2], log: [1, 1, 1], hardState: { commit: 3 } });
  follower.step(snapshot(2, 1, meta(2, 1)));
  t.is(follower.lastIndex, 3);
  t.is(matchOf(follower.ready()!.append!.responses[0]), 3);
});

test('nobody campaigns on a snapshot that is not durable, or while one is being installed', (t) => {
  const follower = core(2, { voters: [1, 2, 3] });
  follower.step(snapshot(2, 1, meta(5, 1)));
  const work = follower.ready()!.append!;
  t.true(follower.installing);
  t.false(follower.campaign());
  follower.appended(work);
  t.false(follower.installing);
  follower.beginRestore();
  t.false(follower.campaign());
  follower.endRestore(5);
  t.true(follower.campaign());
});

test('compacted entries never match', (t) => {
  const follower = core(2, { voters: [1, 2], base: { index: 5, term: 2 }, log: [2, 2] });
  follower.step(
    message(MessageType.Append, 1, 2, {
      term: 3,
      previousIndex: 3,
      previousTerm: 0,
      entries: entriesOf([3], 3),
    }),
  );
  t.is(follower.lastIndex, 7);
  t.like(follower.ready()!.append!.responses[0], { rejected: false, match: 5 });
});
