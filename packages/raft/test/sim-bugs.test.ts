import test from 'ava';
import { BUGS } from '../src/sim/bug-bank.js';
import { findBug } from '../src/sim/bug-lab.js';

/** `scripts/simulate --bugs` looks for the rare ones, too. */
const common = BUGS.filter(({ rarity }) => rarity === 'common');
const SEEDS = 150;
const TIMEOUT_MS = 120_000;

test('the bank holds enough bugs that are soon found', (t) => {
  t.true(common.length >= 18, String(common.length));
  t.is(new Set(BUGS.map(({ name }) => name)).size, BUGS.length);
});

for (const bug of common) {
  test.serial(`the simulator finds that ${bug.name}`, async (t) => {
    t.timeout(TIMEOUT_MS);
    const found = await findBug(bug, { from: 1, count: SEEDS });
    t.not(found, undefined, `none of ${SEEDS} seeds (${bug.profile}) shows it`);
    t.log(`seed ${found?.seed}: ${found?.message.slice(0, 120)}`);
  });
}

test.serial('a plan that fails is shrunk to a smaller one that fails alike', async (t) => {
  t.timeout(TIMEOUT_MS);
  const bug = BUGS.find(({ name }) => name === 'a write is acknowledged before it is synced')!;
  const found = await findBug(bug, { from: 1, count: SEEDS, shrinks: true });
  const { plan, smaller } = found!;
  t.true(smaller!.actions.length < plan.actions.length);
  t.true(smaller!.actions.length <= 3, String(smaller!.actions.length));
});
