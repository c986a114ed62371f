import { ApiError, type ManagerAddress } from '@swarm/api';
import { VirtualClock } from '@swarm/sim';
import test from 'ava';
import { OutsideWatch } from '../../src/assembly/outside-watch.js';
import { START_MS } from '../support/start-time.js';

const ID = (letter: string) => letter.repeat(25);
const MANAGERS: readonly ManagerAddress[] = ['a', 'b', 'c'].map((letter) => ({
  nodeId: ID(letter),
  address: `${letter}:2377`,
}));

/** A member `a` whose others answer as the test says; `undefined` is a host that is off. */
function world(answers: Record<string, unknown>) {
  const clock = new VirtualClock(START_MS);
  const state = { leaderlessMs: 0, asked: [] as string[], found: 0 };
  const watch = new OutsideWatch({
    clock,
    nodeId: ID('a'),
    leaderlessMs: () => state.leaderlessMs,
    managers: () => MANAGERS,
    found: () => {
      state.found += 1;
    },
    calls: {
      async call({ address }) {
        state.asked.push(address);
        const said = answers[address];
        if (said instanceof Error) throw said;
        if (said === undefined) throw new ApiError('TIMEOUT', 'off');
        return said;
      },
    },
  });
  return { clock, state, watch };
}

const LEADS = { nodeId: ID('c'), leads: true, reachable: [2, 3] };
const FOLLOWS = { nodeId: ID('b'), leads: false };

test('a member with a leader asks nobody', async (t) => {
  const { clock, state, watch } = world({ 'c:2377': LEADS });
  await clock.advance(300_000);
  t.deepEqual(state.asked, []);
  watch.close();
  t.is(clock.pending, 0);
});

test('a member that has none finds the leader of the others, and is told until it has one again', async (t) => {
  const { clock, state, watch } = world({ 'b:2377': FOLLOWS, 'c:2377': LEADS });
  state.leaderlessMs = 5_000;
  await clock.advance(5_000);
  t.deepEqual(state.asked, ['b:2377', 'c:2377']);
  t.deepEqual(watch.leader(), { nodeId: ID('c'), address: 'c:2377' });
  t.is(state.found, 1);
  await clock.advance(120_000);
  t.true(state.found >= 3 && state.found <= 6, `${state.found} times in two minutes`);
  state.leaderlessMs = 0;
  t.is(watch.leader(), undefined);
  const { found } = state;
  await clock.advance(300_000);
  t.is(state.found, found);
  watch.close();
});

test('a lost quorum is none of its business', async (t) => {
  const { clock, state, watch } = world({ 'b:2377': FOLLOWS });
  state.leaderlessMs = 60_000;
  await clock.advance(600_000);
  t.is(state.found, 0);
  t.is(watch.leader(), undefined);
  t.is(await watch.look(), undefined);
  watch.close();
});

test('a manager that refuses this node is a sign too: the node may have been demoted', async (t) => {
  const { clock, state, watch } = world({ 'b:2377': new ApiError('PERMISSION_DENIED', 'demoted') });
  state.leaderlessMs = 10_000;
  await clock.advance(5_000);
  t.is(state.found, 1);
  t.is(watch.leader(), undefined);
  watch.close();
});

test('a manager that cannot be asked because of a clock is no lost one', async (t) => {
  const cause = Object.assign(new Error('certificate has expired'), { code: 'CERT_HAS_EXPIRED' });
  const answers: Record<string, unknown> = {
    'b:2377': new ApiError('UNAUTHENTICATED', 'B cannot be talked to: 200 days apart.', { cause }),
  };
  const { clock, state, watch } = world(answers);
  state.leaderlessMs = 5_000;
  await clock.advance(5_000);
  t.is(watch.timeProblem(), 'B cannot be talked to: 200 days apart.');
  t.is(watch.leader(), undefined);
  t.is(state.found, 0);
  answers['b:2377'] = new ApiError('CERTIFICATE_EXPIRED', 'It expired.');
  await watch.look();
  t.is(watch.timeProblem(), 'The manager at b:2377 says: It expired.');
  answers['b:2377'] = FOLLOWS;
  t.is(await watch.look(), undefined);
  t.is(watch.timeProblem(), undefined);
  watch.close();
});
