import test from 'ava';
import {
  type Answer,
  type Asked,
  command,
  GARBLED,
  LOST,
  type Outcome,
} from './support/fake-daemon.js';

const PATH = '/services/create';
const MADE = { ID: 'made1', Warnings: null };
const CREATE = ['service', 'create', '--detach', '--name', 'web', 'host', 'true'];
const MAY_BE = { status: 503, message: 'it may have been done', code: 'TIMEOUT' };

/** What a daemon answers to one attempt after the other. */
function oneByOne(...answers: readonly Answer[]): (asked: Asked) => Answer {
  let next = 0;
  return () => answers[Math.min(next++, answers.length - 1)]!;
}

function attempts({ asked }: Outcome): readonly Asked[] {
  return asked.filter(({ path }) => path === PATH);
}

test('a creation whose answer is lost is sent again with the same key', async (t) => {
  const outcome = await command(t, { [`POST ${PATH}`]: oneByOne(LOST, MAY_BE, MADE) }, ...CREATE);
  t.is(outcome.code, 0, outcome.err);
  t.is(outcome.out, 'made1\n');
  const keys = attempts(outcome).map(({ headers }) => headers['idempotency-key']);
  t.is(keys.length, 3);
  t.regex(keys[0] as string, /^"[0-9a-f-]{36}"$/);
  t.is(new Set(keys).size, 1);
  t.deepEqual(attempts(outcome)[2]!.body, attempts(outcome)[0]!.body);
});

test('each creation has a key of its own', async (t) => {
  const keys = new Set<unknown>();
  for (let times = 0; times < 2; times += 1) {
    const outcome = await command(t, { [`POST ${PATH}`]: MADE }, ...CREATE);
    keys.add(attempts(outcome)[0]!.headers['idempotency-key']);
  }
  t.is(keys.size, 2);
});

test('what the daemon refuses is not sent again', async (t) => {
  for (const refusal of [
    { status: 409, message: 'name conflicts with an existing object', code: 'CONFLICT' },
    { status: 503, message: 'The swarm does not have a leader.', code: 'NO_QUORUM' },
  ]) {
    const outcome = await command(t, { [`POST ${PATH}`]: refusal }, ...CREATE);
    t.is(outcome.code, 1);
    t.is(outcome.err, `Error response from daemon: ${refusal.message}\n`);
    t.is(attempts(outcome).length, 1);
  }
});

test('after a lost answer, a leader that is missing is waited for', async (t) => {
  const none = { status: 503, message: 'no leader', code: 'NO_QUORUM' };
  const outcome = await command(t, { [`POST ${PATH}`]: oneByOne(MAY_BE, none, MADE) }, ...CREATE);
  t.is(outcome.code, 0, outcome.err);
});

test('a name that is taken after a lost answer may be of the first attempt', async (t) => {
  const taken = { status: 409, message: 'service web already exists', code: 'CONFLICT' };
  const outcome = await command(t, { [`POST ${PATH}`]: oneByOne(LOST, taken) }, ...CREATE);
  t.is(outcome.code, 1);
  t.is(
    outcome.err,
    'Error response from daemon: service web already exists; the first attempt, whose answer was lost, may have made it: look before you try again\n',
  );
});

test('where keys are not stored, a service without a name is not sent again', async (t) => {
  const line = ['service', 'create', '--detach', 'host', 'true'];
  for (const [FeatureLevel, sent] of [
    [undefined, 1],
    [{ Current: 4 }, 2],
  ] as const) {
    const answers = {
      [`POST ${PATH}`]: oneByOne(LOST, MADE),
      'GET /info': { Swarm: { FeatureLevel } },
    };
    const outcome = await command(t, answers, ...line);
    t.is(attempts(outcome).length, sent);
    t.is(outcome.code, sent === 2 ? 0 : 1);
    if (sent === 1) t.regex(outcome.err, /it may have done what you asked; look before you try/);
  }
});

test('whatever ends the second attempt, the error says that the first may have made it', async (t) => {
  const unnamed = ['service', 'create', '--detach', 'host', 'true'];
  const silent = await command(t, { [`POST ${PATH}`]: LOST, 'GET /info': LOST }, ...unnamed);
  t.is(silent.code, 1);
  t.regex(silent.err, /it may have done what you asked; look before you try again/);
  const garbled = { [`POST ${PATH}`]: oneByOne(LOST, GARBLED) };
  const outcome = await command(t, garbled, ...CREATE);
  t.is(outcome.code, 1);
  t.regex(outcome.err, /the first attempt, whose answer was lost, may have made it: look before/);
});

test('another change whose answer is lost is not sent again, and may have been done', async (t) => {
  const outcome = await command(t, { 'DELETE /services/web': LOST }, 'service', 'rm', 'web');
  t.is(outcome.code, 1);
  t.is(outcome.asked.length, 1);
  t.regex(outcome.err, /before it answered: it may have done what you asked; look before you/);
});
