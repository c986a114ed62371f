import { silentLogger } from '@swarm/api';
import { BACKDATE_MS, tlsClientOptions } from '@swarm/identity';
import { identity, root } from '@swarm/manager/testing';
import test from 'ava';
import {
  FORMER_MANAGERS_LIMIT,
  ManagerPins,
  type ManagerPinsOptions,
} from '../../src/tasks/manager-pins.js';

const NOW = Date.UTC(2026, 10, 1);
const HOUR_MS = 60 * 60 * 1000;
const LAST_HEARD_MS = NOW + 30 * HOUR_MS;
const M1 = { nodeId: 'm1', address: '198.18.0.11:2377' };
const M2 = { nodeId: 'm2', address: '198.18.0.12:2377' };
const own = await identity(await root(NOW), NOW, { nodeId: 'w1', role: 'worker' });

function world({ former = [], managers = [] }: Partial<ManagerPinsOptions> = {}) {
  const state = { lost: false, nowMs: LAST_HEARD_MS, warnings: [] as string[] };
  const pins = new ManagerPins({
    clock: { now: () => state.nowMs },
    logger: {
      ...silentLogger,
      warn: (fields: object, message: string) =>
        state.warnings.push(`${message} ${JSON.stringify(fields)}`),
    } as never,
    heirsFromMs: () => LAST_HEARD_MS,
    isLost: () => state.lost,
    ...{ managers, former },
  });
  /** What the TLS handshake says about a manager that answers at the address of m1. */
  const check = (nodeId: string, issuedAtMs: number, OU = 'swarm-manager') =>
    tlsClientOptions(own, (found) => pins.judge(M1, found)).checkServerIdentity('198.18.0.11', {
      subject: { CN: nodeId, OU, O: 'cluster' },
      valid_from: new Date(issuedAtMs - BACKDATE_MS).toUTCString(),
    } as never)?.message;
  return { state, pins, check };
}

test('a manager that the root has certified since the node last heard takes any known address', (t) => {
  const { state, pins, check } = world();
  pins.learn([M1, M2]);
  t.is(check('m1', NOW), undefined);
  t.deepEqual(state.warnings, []);
  t.is(check('restored', LAST_HEARD_MS), undefined);
  t.is(state.warnings.length, 1);
  t.regex(state.warnings[0]!, /accepts it .*198\.18\.0\.11:2377.*"expected":"m1".*restored/);
  t.is(check('restored', LAST_HEARD_MS), undefined);
  t.is(state.warnings.length, 1, 'said once');
});

test('a worker is never taken for a manager', (t) => {
  const { state, check } = world();
  state.lost = true;
  t.regex(check('w2', LAST_HEARD_MS, 'swarm-worker') ?? '', /is not a manager/);
});

test('managers that exchanged their addresses are accepted', (t) => {
  const { pins, check } = world();
  pins.learn([M1, M2]);
  t.is(check('m2', NOW), undefined);
});

test('a manager of an older certificate is accepted once no known manager answers', (t) => {
  const { state, pins, check } = world();
  pins.learn([M1, M2]);
  t.regex(check('rehearsed', NOW) ?? '', /198\.18\.0\.11 is node rehearsed, not m1/);
  state.lost = true;
  t.is(check('rehearsed', NOW), undefined);
});

test('a manager known to be demoted is not, until it is certified again', (t) => {
  const { state, pins, check } = world();
  t.false(pins.learn([M1, M2]));
  t.true(pins.learn([M1]), 'm2 was demoted');
  state.lost = true;
  const refusal = /198\.18\.0\.11 is node m2, which is not a manager any more/;
  t.regex(check('m2', NOW) ?? '', refusal);
  t.regex(check('m2', state.nowMs) ?? '', refusal);

  // The list of managers that it remembers is older.
  const again = world({ former: pins.former, managers: [M1, M2] });
  again.state.lost = true;
  t.regex(again.check('m2', NOW) ?? '', refusal, 'after a restart too');
  t.is(again.check('m2', state.nowMs + 1000), undefined, 'certified since');
  t.true(again.pins.learn([M1, M2]), 'promoted again');
  t.is(again.check('m2', NOW), undefined);
});

test('the former managers remembered are the latest', (t) => {
  const { pins } = world();
  for (let i = 0; i < FORMER_MANAGERS_LIMIT + 10; i += 1)
    pins.learn([M1, { nodeId: `x${i}`, address: '198.18.0.99:2377' }]);
  t.is(pins.former.length, FORMER_MANAGERS_LIMIT);
  t.is(pins.former.at(-1)?.nodeId, `x${FORMER_MANAGERS_LIMIT + 8}`);
});
