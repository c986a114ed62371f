import test from 'ava';
import { History, type Operation } from '../src/history/history.js';
import { checkLinearizable, Verdict } from '../src/history/linearizability.js';
import { Prng } from '../src/prng.js';
import { execute, OpKind } from '../src/history/register.js';

/** Records histories by hand: `call` begins an operation, `done` ends it. */
class HistoryBook {
  readonly history = new History();

  call(kind: OpKind, value = 0, expected = 0, key = 0): Operation {
    return this.history.invoke({ client: 0, kind, key, value, expected });
  }

  done(operation: Operation, before: number, succeeded = operation.kind === OpKind.Write): void {
    this.history.done(operation, { before, succeeded, index: 0 });
  }

  write(value: number, before: number, key = 0): void {
    this.done(this.call(OpKind.Write, value, 0, key), before);
  }

  read(value: number, key = 0): void {
    this.done(this.call(OpKind.Read, 0, 0, key), value);
  }

  get verdict(): Verdict {
    return checkLinearizable(this.history.operations).verdict;
  }
}

test('an empty history is linearizable', (t) => {
  t.is(new HistoryBook().verdict, Verdict.Linearizable);
});

test('sequential operations are judged as on one register', (t) => {
  const good = new HistoryBook();
  good.write(1, 0);
  good.read(1);
  good.write(2, 1);
  good.read(2);
  t.is(good.verdict, Verdict.Linearizable);

  const stale = new HistoryBook();
  stale.write(1, 0);
  stale.write(2, 1);
  stale.read(1);
  t.is(stale.verdict, Verdict.Not);
});

test('a value that nobody wrote is not linearizable', (t) => {
  const book = new HistoryBook();
  book.write(1, 0);
  book.read(7);
  t.is(book.verdict, Verdict.Not);
});

test('concurrent operations may take effect in either order, but in one', (t) => {
  const book = new HistoryBook();
  const first = book.call(OpKind.Write, 1);
  const second = book.call(OpKind.Write, 2);
  book.done(second, 0);
  book.done(first, 2);
  book.read(1);
  t.is(book.verdict, Verdict.Linearizable);
  book.read(2);
  t.is(book.verdict, Verdict.Not);
});

test('two reads during one write do not see it come and go', (t) => {
  const book = new HistoryBook();
  const write = book.call(OpKind.Write, 1);
  book.read(1);
  book.read(0);
  book.done(write, 0);
  t.is(book.verdict, Verdict.Not);
});

test('a write of unknown outcome may have happened, may happen late, or never', (t) => {
  const never = new HistoryBook();
  never.call(OpKind.Write, 1);
  never.read(0);
  t.is(never.verdict, Verdict.Linearizable);

  const late = new HistoryBook();
  late.call(OpKind.Write, 1);
  late.read(0);
  late.read(1);
  late.read(1);
  t.is(late.verdict, Verdict.Linearizable);
  late.read(0);
  t.is(late.verdict, Verdict.Not);
});

test('a refused write that is seen is a fault', (t) => {
  const book = new HistoryBook();
  const write = book.call(OpKind.Write, 1);
  book.history.refused(write);
  book.read(1);
  t.is(book.verdict, Verdict.Not);
});

test('of two compare-and-sets from one value only one succeeds', (t) => {
  const good = new HistoryBook();
  const first = good.call(OpKind.Cas, 1, 0);
  const second = good.call(OpKind.Cas, 2, 0);
  good.done(first, 0, true);
  good.done(second, 1, false);
  t.is(good.verdict, Verdict.Linearizable);

  const bad = new HistoryBook();
  const one = bad.call(OpKind.Cas, 1, 0);
  const two = bad.call(OpKind.Cas, 2, 0);
  bad.done(one, 0, true);
  bad.done(two, 0, true);
  t.is(bad.verdict, Verdict.Not);
});

test('keys are judged separately', (t) => {
  const book = new HistoryBook();
  book.write(1, 0, 1);
  book.write(2, 0, 2);
  book.read(1, 1);
  book.read(2, 2);
  t.is(book.verdict, Verdict.Linearizable);
  book.read(1, 2);
  t.deepEqual(checkLinearizable(book.history.operations), { verdict: Verdict.Not, key: 2 });
});

test('a search beyond its limit is undecided, not passed', (t) => {
  const book = new HistoryBook();
  for (let value = 1; value <= 12; value++) book.call(OpKind.Write, value);
  for (let value = 1; value <= 12; value++) book.read(value);
  t.is(checkLinearizable(book.history.operations, 5).verdict, Verdict.Undecided);
});

test('random histories of a real register pass, and fail when one answer is changed', (t) => {
  for (let seed = 1; seed <= 40; seed++) {
    const prng = new Prng(seed, 'history');
    const history = concurrent(prng);
    t.is(checkLinearizable(history).verdict, Verdict.Linearizable, `seed ${seed}`);
    const reads = history.filter(({ kind }) => kind === OpKind.Read);
    const changed = prng.pick(reads);
    changed.before = 1_000_000;
    t.is(checkLinearizable(history).verdict, Verdict.Not, `seed ${seed}, changed`);
  }
});

/** Overlapping clients; each operation takes effect at some moment between its ends. */
function concurrent(prng: Prng): Operation[] {
  const history = new History();
  const values = new Map<number, number>();
  const open: { operation: Operation; answer?: { before: number; succeeded: boolean } }[] = [];
  for (let step = 0; step < 200; step++) {
    const slot = prng.below(5);
    const current = open[slot];
    if (current === undefined) {
      const kind = prng.pick([OpKind.Read, OpKind.Write, OpKind.Cas]);
      const fields = { client: slot, kind, key: 0, value: step + 1, expected: values.get(0) ?? 0 };
      open[slot] = { operation: history.invoke(fields) };
    } else if (current.answer === undefined) {
      const { kind, value, expected, id } = current.operation;
      const { before, done } = execute(values, { id, kind, key: 0, value, expected });
      current.answer = { before, succeeded: done };
    } else {
      history.done(current.operation, { ...current.answer, index: 0 });
      delete open[slot];
    }
  }
  return history.operations;
}
