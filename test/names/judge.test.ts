import test from 'ava';
import { type Moment, type NameFault, NameJudge, type Sighting } from './judge.js';

const A1 = { address: '10.0.0.1', node: 'w1' };
const A2 = { address: '10.0.0.2', node: 'w2' };
const B1 = { address: '10.0.0.9', node: 'w1' };

function moments(...changes: [at: number, alpha: Moment['serving'][string]][]): Moment[] {
  const end = 60_000;
  return changes.flatMap(([at, alpha], index) => {
    const next = changes[index + 1]?.[0] ?? end;
    const list: Moment[] = [];
    for (let time = at; time < next; time += 200)
      list.push({ at: time, serving: { alpha, beta: [B1] } });
    return list;
  });
}

function faults(
  seen: Partial<Sighting>,
  history: Moment[],
  outage?: { from: number; back: number },
): string[] {
  const judge = new NameJudge({
    meanings: { 'tasks.alpha': { tasksOf: 'alpha' }, alpha: { virtual: '10.0.0.100' } },
    moments: history,
    outages: outage === undefined ? [] : [{ node: 'w1', led: false, ...outage, to: outage.back }],
  });
  const sighting: Sighting = {
    ...{ task: 't1', node: 'w1', service: 'beta', name: 'tasks.alpha' },
    ...{ answer: '10.0.0.1,10.0.0.2', from: 10_000, to: 12_000, ...seen },
  };
  return judge.judge([sighting]).map(({ why }: NameFault) => why);
}

const STEADY = moments([0, [A1, A2]]);
const LOSES_A1 = moments([0, [A1, A2]], [20_000, [A2]]);

test('what the store says is right, and nothing else', (t) => {
  t.deepEqual(faults({}, STEADY), []);
  t.deepEqual(faults({ answer: '10.0.0.1' }, STEADY), ['not what the store says']);
  t.deepEqual(faults({ answer: '10.0.0.9' }, STEADY), ['not of this service']);
  t.deepEqual(faults({ answer: 'error ESERVFAIL' }, STEADY), ['no answer']);
  t.deepEqual(faults({ name: 'alpha', answer: '10.0.0.100' }, STEADY), []);
  t.deepEqual(faults({ name: 'alpha', answer: '10.0.0.1' }, STEADY), ['not the virtual address']);
});

test('a service without a task that serves has a name without addresses', (t) => {
  const none = moments([0, []]);
  t.deepEqual(faults({ answer: 'error ENODATA' }, none), []);
  t.deepEqual(faults({ answer: 'error ENODATA' }, STEADY), ['not what the store says']);
  t.deepEqual(faults({ name: 'alpha', answer: 'error ENODATA' }, none), ['no answer']);
});

test('tasks of a node that is out may be missing before the store says so', (t) => {
  const seen = { node: 'w2', answer: '10.0.0.2' };
  t.deepEqual(faults(seen, STEADY, { from: 9_000, back: 20_000 }), []);
  t.deepEqual(faults(seen, STEADY, { from: 30_000, back: 40_000 }), ['not what the store says']);
});

test('a task that is gone may be seen for a second', (t) => {
  t.deepEqual(faults({ from: 15_000, to: 20_900 }, LOSES_A1), []);
  t.deepEqual(faults({ from: 15_000, to: 22_000 }, LOSES_A1), ['of a task that is gone']);
});

test('a node that is cut off serves what it knew, then what it reaches, and is right soon after', (t) => {
  const cut = { from: 18_000, back: 48_000 };
  t.deepEqual(faults({ from: 15_000, to: 25_000 }, LOSES_A1, cut), []);
  t.deepEqual(faults({ from: 30_000, to: 40_000 }, STEADY, cut), [
    'out of reach of a node that is cut off',
  ]);
  t.deepEqual(faults({ answer: '10.0.0.1', from: 30_000, to: 40_000 }, STEADY, cut), []);
  t.deepEqual(faults({ from: 15_000, to: 52_000 }, LOSES_A1, cut), ['of a task that is gone']);
});
