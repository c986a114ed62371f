import { History, type Operation, OpKind } from '@swarm/sim';
import test from 'ava';
import { Ledger } from './ledger.js';
import { TortureProblems } from './problems.js';

/** A ledger, and operations whose entries are at the index that is their id. */
class Book {
  readonly problems = new TortureProblems(() => {});
  readonly history = new History();
  readonly ledger = new Ledger(this.problems, (id) => this.history.operations[id - 1]);

  ask(kind: OpKind, value: number, key = 0): Operation {
    return this.history.invoke({ client: 1, kind, key, value, expected: 0 });
  }

  apply(by: string, index: number, operation: number, chain = `chain ${index}`): void {
    this.ledger.apply(by, [[index, 1, operation, chain]]);
  }

  answer(operation: Operation, before: number, index: number, floor = 0): void {
    const succeeded = operation.kind === OpKind.Write;
    this.history.done(operation, { before, succeeded, index });
    this.ledger.answered(operation, floor);
  }
}

test('a log on which all members agree, with answers of its own, has no problem', (t) => {
  const book = new Book();
  const write = book.ask(OpKind.Write, 7);
  book.apply('a', 1, write.id);
  book.apply('b', 1, write.id);
  book.answer(write, 0, 1);
  book.answer(book.ask(OpKind.Read, 0), 7, 1, 1);
  book.ledger.restored('c', { index: 1, chain: 'chain 1', values: [[0, 7]] });
  t.deepEqual(book.problems.all, []);
});

test('another log, a hole, an unknown and a repeated operation are problems', (t) => {
  const book = new Book();
  const write = book.ask(OpKind.Write, 7);
  book.apply('a', 1, write.id);
  book.apply('b', 1, write.id, 'another');
  t.regex(book.problems.all[0]!, /b applied another log up to 1 than a/);
  book.apply('a', 3, 0);
  t.regex(book.problems.all[1]!, /a applied 3; nobody reported 2/);
  book.apply('a', 2, 99);
  t.regex(book.problems.all[2]!, /operation 99 at 2, which nobody asked for/);
  book.apply('a', 3, write.id);
  t.regex(book.problems.all[3]!, /operation 1 again at 3/);
});

test('an acknowledged write must be in the log, with the answer that the log gives', (t) => {
  const book = new Book();
  const [first, second] = [book.ask(OpKind.Write, 7), book.ask(OpKind.Write, 8)];
  book.apply('a', 1, first.id);
  book.apply('a', 2, second.id);
  book.answer(first, 0, 2);
  t.regex(book.problems.all[0]!, /write 1 was acknowledged at 2, where the log has 2/);
  book.answer(second, 0, 2);
  t.regex(book.problems.all[1]!, /write 2 at 2 got an answer that the log does not give/);
});

test('a refused write must not be in the log, whichever is reported first', (t) => {
  const book = new Book();
  const [early, late] = [book.ask(OpKind.Write, 7), book.ask(OpKind.Write, 8)];
  book.apply('a', 1, early.id);
  book.history.refused(early);
  book.ledger.refused(early);
  t.regex(book.problems.all[0]!, /write 1 was refused and is in the log/);
  book.history.refused(late);
  book.ledger.refused(late);
  book.apply('a', 2, late.id);
  t.regex(book.problems.all[1]!, /operation 2 at 2, which was refused/);
});

test('an old answer, a wrong value and a wrong state are problems', (t) => {
  const book = new Book();
  const [first, second] = [book.ask(OpKind.Write, 7), book.ask(OpKind.Write, 8)];
  book.apply('a', 1, first.id);
  book.apply('a', 2, second.id);
  book.answer(book.ask(OpKind.Read, 0), 7, 1, 2);
  t.regex(book.problems.all[0]!, /saw the log up to 1; up to 2 had been seen/);
  book.answer(book.ask(OpKind.Read, 0), 7, 2);
  t.regex(book.problems.all[1]!, /gave 7 at 2, not 8/);
  book.ledger.restored('b', { index: 2, chain: 'chain 2', values: [] });
  t.regex(book.problems.all[2]!, /b has 0 under key 0 at 2, not 8/);
});

test('entries that nobody could report are taken from a later state', (t) => {
  const book = new Book();
  const [first, lost, next] = [1, 2, 3].map((value) => book.ask(OpKind.Write, value));
  book.apply('a', 1, first!.id);
  book.ledger.restored('b', { index: 2, chain: 'chain 2', values: [[0, 2]] });
  book.apply('c', 2, lost!.id);
  book.apply('b', 3, next!.id);
  book.answer(next!, 2, 3);
  t.deepEqual(book.problems.all, []);
  book.apply('c', 3, next!.id, 'another');
  t.is(book.problems.all.length, 1);
});
