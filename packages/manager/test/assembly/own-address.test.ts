import { ApiError, silentLogger } from '@swarm/api';
import { VirtualClock } from '@swarm/sim';
import test from 'ava';
import { MovedManagers } from '../../src/assembly/moved-managers.js';
import { OwnAddress, type OwnAddressOptions } from '../../src/assembly/own-address.js';

const OLD = { id: 1, nodeId: 'n1', address: '198.18.0.11:2377' };
const SELF = { ...OLD, address: '198.18.0.111:2377' };
const SECOND = { id: 2, nodeId: 'n2', address: '198.18.0.12:2377' };
const THIRD = { id: 3, nodeId: 'n3', address: '198.18.0.13:2377' };

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly address: string;
}

/** A group of three as this member knows it, and what other managers answer at their addresses. */
function world(
  answers: Readonly<Record<string, (asked: Asked) => unknown>>,
  self = SELF,
  isLeader = false,
) {
  const clock = new VirtualClock(0);
  const moved = new MovedManagers();
  const members = new Map([OLD, SECOND, THIRD].map((info) => [info.id, info]));
  const told: unknown[] = [];
  const calls: string[] = [];
  const update = async (info: typeof OLD) => {
    members.set(info.id, info);
  };
  const options: OwnAddressOptions = {
    ...{ self, moved, clock, isLeader: () => isLeader },
    raft: {
      status: () =>
        ({ members: [...members.values()].map((info) => ({ info, role: 'voter' })) }) as never,
      updateMember: update,
    },
    calls: {
      async call({ address, method, path, body }, expected) {
        calls.push(`${method} ${path} ${address}`);
        const answer = answers[address];
        if (answer === undefined) throw new ApiError('TIMEOUT', `nobody is at ${address}`);
        const result = answer({ address, method, path });
        const { nodeId } = (result ?? {}) as { nodeId?: string };
        if (expected !== undefined && nodeId !== undefined && nodeId !== expected)
          throw new ApiError('UNAUTHENTICATED', `${address} is ${nodeId}`);
        if (method === 'POST') {
          told.push(body);
          await update(self);
        }
        return result;
      },
    },
    logger: silentLogger,
  };
  return { clock, moved, told, calls, members, own: new OwnAddress(options) };
}

const managerAt =
  (nodeId: string, list: readonly object[]) =>
  ({ path, method }: Asked) =>
    path === '/raft/probe' ? { nodeId, leads: false } : method === 'GET' ? list : {};

test('a manager whose address the group has says nothing', async (t) => {
  for (const address of [OLD.address, '198.18.0.11:02377']) {
    const { own, clock, calls } = world({}, { ...SELF, address });
    own.check();
    await clock.advance(60_000);
    t.deepEqual(calls, []);
    t.is(clock.pending, 0);
  }
});

test('a manager that moved tells another one, once', async (t) => {
  const list = [OLD, SECOND, THIRD];
  const { own, clock, told } = world({ [THIRD.address]: managerAt('n3', list) });
  own.check();
  await clock.advance(60_000);
  t.is(told.length, 1);
  t.like(told[0], { raftId: 1, address: SELF.address });
  t.is(clock.pending, 0);
});

test('a leader that moved writes its address itself', async (t) => {
  const { own, clock, members, calls } = world({}, SELF, true);
  own.check();
  await clock.advance(1_000);
  t.is(members.get(1)?.address, SELF.address);
  t.deepEqual(calls, []);
});

test('it tries again until somebody answers, also where the others are now', async (t) => {
  const answers: Record<string, (asked: Asked) => unknown> = {};
  const { own, clock, told, moved } = world(answers);
  own.check();
  await clock.advance(10_000);
  t.is(told.length, 0);
  moved.note('n2', '198.18.0.112:2377');
  answers['198.18.0.112:2377'] = managerAt('n2', [
    { ...SECOND, address: '198.18.0.112:2377' },
    { ...THIRD, address: '198.18.0.113:2377' },
  ]);
  await clock.advance(5_000);
  t.is(told.length, 1);
  t.deepEqual(
    moved.addressesOf(THIRD),
    ['198.18.0.113:2377', THIRD.address],
    'the other one knew where the third is',
  );
  own.close();
});

test('only a member of the group that answers counts as met', async (t) => {
  const list = [SECOND];
  const { own, moved } = world({
    '198.18.0.112:2377': managerAt('n2', list),
    '198.18.0.66:2377': managerAt('stranger', list),
    '198.18.0.111:2377': managerAt('n1', list),
  });
  for (const address of ['198.18.0.66:2377', '198.18.0.111:2377'])
    await t.throwsAsync(own.meet(address), { message: /no other manager .* give the address/ });
  await t.throwsAsync(own.meet('198.18.0.99:2377'), { message: /nobody is at/ });
  t.deepEqual(moved.addressesOf(SECOND), [SECOND.address]);
  await own.meet('198.18.0.112:2377');
  t.is(moved.addressesOf(SECOND)[0], '198.18.0.112:2377');
  own.close();
});

test('a claim is tried in turn with the address of the group, and ends with it', (t) => {
  const moved = new MovedManagers();
  const claim = '198.18.0.112:2377';
  t.deepEqual(moved.addressesOf(SECOND), [SECOND.address]);
  moved.note('n2', claim);
  t.deepEqual(moved.addressesOf(SECOND), [claim, SECOND.address]);
  moved.failed('n2', claim);
  t.deepEqual(moved.addressesOf(SECOND), [SECOND.address, claim]);
  moved.failed('n2', SECOND.address);
  t.deepEqual(moved.addressesOf(SECOND), [claim, SECOND.address]);
  moved.hear('n2', '198.18.0.99:2377');
  t.is(moved.addressesOf(SECOND)[0], claim, 'what it says itself counts more');
  t.deepEqual(moved.addressesOf({ ...SECOND, address: claim }), [claim]);
  for (let i = 0; i < 100; i += 1) moved.note(`x${i}`, claim);
  const kept = Array.from({ length: 100 }, (_, i) =>
    moved.addressesOf({ ...OLD, nodeId: `x${i}` }),
  );
  t.is(kept.filter((each) => each.length === 2).length, 64, 'a limit');
});

test('of many managers that came and went, the latest addresses are remembered', (t) => {
  const moved = new MovedManagers();
  for (let i = 0; i < 64; i += 1) moved.note(`gone-${i}`, `198.18.1.${i}:2377`);
  moved.note('n1', '198.18.0.111:2377');
  t.deepEqual(moved.addressesOf(OLD), ['198.18.0.111:2377', OLD.address]);
});
