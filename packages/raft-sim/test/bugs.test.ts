import { BUGS, SEEDS_TO_FIND_A_BUG } from '../src/bug-bank.js';
import { findBug } from '../src/bug-lab.js';
import test from 'ava';

const TIMEOUT_MS = 120_000;
/** What a simulator of Raft must find, whatever else it does (docs/simulation.md). */
const MANDATORY = [1, 4, 10, 15, 16, 19, 23, 25, 28, 31, 40, 41, 42, 51, 52, 59, 60, 63];

test('the bank holds each bug that must be found, under a name of its own', (t) => {
  const items = new Set(BUGS.map(({ item }) => item));
  t.deepEqual(
    MANDATORY.filter((item) => !items.has(item)),
    [],
  );
  t.is(new Set(BUGS.map(({ name }) => name)).size, BUGS.length);
});

for (const bug of BUGS.filter(({ item }) => MANDATORY.includes(item))) {
  test.serial(`the simulator finds that ${bug.name}`, async (t) => {
    t.timeout(TIMEOUT_MS);
    const found = await findBug(bug, { from: 1, count: SEEDS_TO_FIND_A_BUG });
    t.not(found, undefined, `none of ${SEEDS_TO_FIND_A_BUG} seeds of ${bug.profile} shows it`);
    t.log(`seed ${found?.seed}: ${found?.message.slice(0, 120)}`);
  });
}

test.serial('a failing plan is shrunk to a smaller one with the same failure', async (t) => {
  t.timeout(TIMEOUT_MS);
  const bug = BUGS.find(({ name }) => name === 'a write is acknowledged before it is synced')!;
  const found = await findBug(bug, { from: 1, count: SEEDS_TO_FIND_A_BUG, shrinks: true });
  const { plan, smaller } = found!;
  t.true(smaller!.actions.length < plan.actions.length);
  t.true(smaller!.actions.length <= 3, String(smaller!.actions.length));
});
