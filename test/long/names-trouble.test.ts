import test from 'ava';
import { names } from '../names/names.js';

/** The short form of `scripts/names`: each kind of trouble once. */
test('20 tasks see no wrong, dead or missing answer through updates, kills, a cut and a change of leader', async (t) => {
  t.timeout(360_000);
  const { tasks, sightings, faults } = await names({
    name: 'names',
    runtime: 'process',
    seed: 1,
    rounds: 1,
    signal: new AbortController().signal,
    say: (text) => t.log(text),
  });
  t.true(tasks >= 20, `only ${tasks} tasks`);
  t.true(sightings >= 200, `only ${sightings} answers`);
  t.deepEqual(faults.slice(0, 10), []);
});
