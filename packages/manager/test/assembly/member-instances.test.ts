import { ApiError, silentLogger } from '@swarm/api';
import { VirtualClock } from '@swarm/sim';
import test from 'ava';
import { MemberInstances } from '../../src/assembly/member-instances.js';
import { MovedManagers } from '../../src/assembly/moved-managers.js';
import { START_MS } from '../support/start-time.js';

const HOME = '198.18.0.12:2377';
const MEMBER = { id: 2, nodeId: 'm2', address: HOME };
const COPY = { code: 'FAILED_PRECONDITION', message: /already runs as manager m2.*leave --force/ };

/** What answers at addresses as m2: the run of its daemon, or `''` for one that names none. */
function open(answers: Record<string, string>) {
  const moved = new MovedManagers();
  const clock = new VirtualClock(START_MS);
  const logged: string[] = [];
  let asked = 0;
  const instances = new MemberInstances({
    members: () => [MEMBER],
    moved,
    calls: {
      call: async ({ address }) => {
        asked += 1;
        const instance = answers[address];
        if (instance === undefined) throw new ApiError('TIMEOUT', 'nobody is there');
        return instance === '' ? { nodeId: 'm2' } : { nodeId: 'm2', instance };
      },
    },
    clock,
    logger: { ...silentLogger, warn: (_fields: object, message: string) => logged.push(message) },
  });
  return { instances, moved, clock, logged, asked: () => asked };
}

test('a member that answers where the group knows it is believed, and asked once', async (t) => {
  const { instances, asked } = open({ [HOME]: 'first' });
  await Promise.all([instances.check('m2', 'first'), instances.check('m2', 'first')]);
  await instances.check('m2', 'first');
  t.is(asked(), 1);
});

test('a copy is refused while the member answers, whatever address it claims', async (t) => {
  const { instances } = open({ [HOME]: 'first', '198.18.0.19:2377': 'second' });
  await t.throwsAsync(instances.check('m2', 'second'), COPY);
  await instances.check('m2', 'first');
  await t.throwsAsync(instances.check('m2', 'second'), COPY);
});

test('a copy that tries on is logged once a minute', async (t) => {
  const { instances, clock, logged } = open({ [HOME]: 'first' });
  for (let second = 0; second < 90; second += 1) {
    await t.throwsAsync(instances.check('m2', 'second'), COPY);
    await clock.advance(1_000);
  }
  t.is(logged.length, 2);
});

test('a copy is refused while the member, which moved, answers at its new address', async (t) => {
  const { instances, moved } = open({ '198.18.0.13:2377': 'first' });
  moved.note('m2', '198.18.0.13:2377');
  await t.throwsAsync(instances.check('m2', 'second'), COPY);
});

test('a member that moved, or that restarted, is believed', async (t) => {
  const answers: Record<string, string> = {};
  const { instances } = open(answers);
  await t.notThrowsAsync(instances.check('m2', 'first'), 'nobody is at its old address');
  answers[HOME] = 'second';
  await t.notThrowsAsync(instances.check('m2', 'second'), 'it answers itself');
});

test('a member that is too busy to answer is not taken for gone while its connection is open', async (t) => {
  const answers: Record<string, string> = { [HOME]: 'first' };
  const { instances } = open(answers);
  await instances.check('m2', 'first');
  const closed = [instances.opened('m2', 'first'), instances.opened('m2', 'first')];
  delete answers[HOME];
  await t.throwsAsync(instances.check('m2', 'second'), COPY);
  closed[0]!();
  await t.throwsAsync(instances.check('m2', 'second'), COPY);
  closed[1]!();
  await t.notThrowsAsync(instances.check('m2', 'second'));
});

test('programs that name no run of their daemon are believed', async (t) => {
  const { instances, asked } = open({ [HOME]: '' });
  await instances.check('m2', undefined);
  t.is(asked(), 0);
  await t.notThrowsAsync(instances.check('m2', 'second'));
});
