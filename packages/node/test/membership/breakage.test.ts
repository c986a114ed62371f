import { type Node, silentLogger } from '@swarm/api';
import test from 'ava';
import { Breakage } from '../../src/membership/breakage.js';

const nodeWith = (Role: 'manager' | 'worker', RaftID?: number) =>
  ({ Spec: { Role }, ...(RaftID !== undefined && { RaftID }) }) as Node;

/** A node with a damaged Raft member. Each attempt to drop it waits until the test ends it. */
function damagedNode() {
  const drops: { resolve(): void; reject(error: Error): void }[] = [];
  const mended: Node[] = [];
  const breakage = new Breakage({
    logger: silentLogger,
    dropMember: () =>
      new Promise<void>((resolve, reject) => {
        drops.push({ resolve, reject });
      }),
    isOver: () => false,
    mended: (node) => mended.push(node),
  });
  breakage.damaged(new Error('the log is gone.'));
  return { breakage, drops, mended };
}

const turns = () => new Promise(setImmediate);

test('a damaged member is dropped once the group has none of it, and what was heard last counts', async (t) => {
  const { breakage, drops, mended } = damagedNode();
  t.true(breakage.heard(nodeWith('worker', 7)), 'the group still has it');
  t.is(drops.length, 0);
  t.false(breakage.heard(nodeWith('worker')));
  t.regex(breakage.reason, /the log is gone/, 'it is broken until the member is dropped');
  const promoted = nodeWith('manager');
  breakage.heard(promoted);
  t.is(drops.length, 1, 'once');
  drops[0]!.resolve();
  await turns();
  t.is(breakage.reason, '');
  t.deepEqual(mended, [promoted]);
});

test('a drop that fails is tried again with the next news, and a removed node stays broken', async (t) => {
  const { breakage, drops, mended } = damagedNode();
  breakage.heard(nodeWith('worker'));
  drops[0]!.reject(new Error('disk'));
  await turns();
  t.not(breakage.reason, '');
  t.false(breakage.heard(nodeWith('worker')));
  t.true(breakage.removed('removed'));
  t.false(breakage.removed('removed'), 'said once');
  drops[1]!.resolve();
  await turns();
  t.regex(breakage.reason, /^removed; .*leave --force/);
  t.deepEqual(mended, []);
  breakage.forget();
  t.is(breakage.reason, '');
});
