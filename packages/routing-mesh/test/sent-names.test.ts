import test from 'ava';
import fc from 'fast-check';
import { changeBook } from '../src/names/book-changes.js';
import { type Asker, answerFrom, TYPE } from '../src/names/name-answer.js';
import { NameBook } from '../src/names/name-book.js';
import { resolverOrderShape } from '../src/names/resolver-orders.js';
import { parts, SentNames } from '../src/names/sent-names.js';
import type { TaskId } from '../src/layout.js';
import type { BookChange } from '../src/names/resolver-orders.js';
import type { NetworkView, ViewedMember } from '../src/overlay/network-view.js';
import { namesSlice, viewOf, type ViewPlan } from './support/name-views.js';

const NAMES = ['a', 'b', 'c', 'd'];
const label = fc.constantFrom(...NAMES);
const address = fc.integer({ min: 1, max: 250 }).map((last) => `10.0.1.${last}`);
const view: fc.Arbitrary<ViewPlan> = fc.record({
  networkId: fc.constantFrom('n1', 'n2', 'n3'),
  name: fc.constantFrom('one', 'two'),
  services: fc.uniqueArray(
    fc.record({
      serviceId: fc.constantFrom('s1', 's2', 's3'),
      names: fc.uniqueArray(label, { minLength: 1, maxLength: 3 }),
      vips: fc.array(address, { maxLength: 1 }),
    }),
    { selector: ({ serviceId }) => serviceId, maxLength: 3 },
  ),
  members: fc.uniqueArray(
    fc.record({
      taskId: fc.constantFrom('t1', 't2', 't3', 't4'),
      serviceId: fc.constantFrom('s1', 's2', 's3', ''),
      names: fc.uniqueArray(label, { maxLength: 2 }),
      addresses: fc.array(address, { minLength: 1, maxLength: 2 }),
      serves: fc.boolean(),
      node: fc.constantFrom('down', 'unknown', undefined) as fc.Arbitrary<'down'>,
    }),
    { selector: ({ taskId }) => taskId, maxLength: 4 },
  ),
});
const views = fc.uniqueArray(view, { selector: ({ networkId }) => networkId, maxLength: 3 });

/** Everything that tasks could be told, as text. */
function content(book: NameBook): string {
  const networks = ['n1', 'n2', 'n3'].map((networkId) => ({ networkId, addresses: [] }));
  const names = NAMES.flatMap((name) => [name, `tasks.${name}`, `${name}.one`, `${name}.two`]);
  const reverse = Array.from({ length: 20 }, (_, at) => `${at + 1}.1.0.10.in-addr.arpa`);
  return networks
    .flatMap((network) => {
      const asker: Asker = { taskId: 'x', networks: [network], names: [], isClosed: true };
      return [
        ...names.map((name) => answerFrom(book, asker, { name, type: TYPE.A }, () => 0.999)),
        ...reverse.map((name) => answerFrom(book, asker, { name, type: TYPE.PTR }, () => 0)),
      ].map((answer) => {
        if (answer.kind !== 'records') return answer.kind;
        return JSON.stringify(answer.records.map((record) => JSON.stringify(record)).sort());
      });
    })
    .join('\n');
}

function told(sent: SentNames, views: readonly NetworkView[]): readonly BookChange[] {
  return sent.changesTo(namesSlice(...views).networks, undefined);
}

test('changes lead to what all of it at once leads to', (t) => {
  fc.assert(
    fc.property(fc.array(views, { minLength: 1, maxLength: 6 }), (states) => {
      const sent = new SentNames();
      const book = new NameBook();
      for (const state of states) {
        const now = state.map(viewOf);
        for (const change of told(sent, now)) changeBook(book, change);
        const fresh = new NameBook();
        for (const change of told(new SentNames(), now)) changeBook(fresh, change);
        t.is(content(book), content(fresh));
      }
      return true;
    }),
  );
});

test('what stays is not told again, and what is forgotten is told whole', (t) => {
  const big = viewOf({
    networkId: 'n1',
    services: [{ serviceId: 's1', names: ['a'], vips: ['10.0.1.2'] }],
    members: Array.from({ length: 100 }, (_, at) => ({
      taskId: `t${at}`,
      names: [`a.${at}`],
      addresses: [`10.0.1.${at + 10}`],
    })),
  });
  const sent = new SentNames();
  t.is(told(sent, [big]).length, 103, 'all clear, network, service, tasks');
  t.deepEqual(told(sent, [big]), []);
  const { members, services } = big;
  const [[id, first], ...rest] = [...members] as [
    [TaskId, ViewedMember],
    ...[TaskId, ViewedMember][],
  ];
  const down: NetworkView = {
    ...big,
    // As a mesh makes it for each state: lists of its own with the same members.
    services: new Map(
      [...services].map(([key, service]) => [key, { ...service, names: [...service.names] }]),
    ),
    members: new Map([[id, { ...first, peer: undefined }], ...rest]),
  };
  t.like(told(sent, [down]), { length: 1, 0: { type: 'member' } });
  t.deepEqual(told(sent, [{ ...down, members: new Map(rest) }]), [
    { type: 'noMember', networkId: 'n1', taskId: 't0' },
  ]);
  t.deepEqual(told(sent, []), [{ type: 'noNetwork', networkId: 'n1' }]);
  sent.forget();
  t.is(told(sent, [big])[0]?.type, 'clear');
});

test('many changes go in orders that the resolver takes', (t) => {
  const members = Array.from({ length: 25_000 }, (_, at) => ({
    taskId: `t${at}`,
    names: [`service.${at}.${'x'.repeat(25)}`],
    addresses: [`10.${at >> 16}.${(at >> 8) & 255}.${at & 255}`],
  }));
  const changes = told(new SentNames(), [
    viewOf({ networkId: 'n1', subnets: ['10.0.0.0/8'], members }),
  ]);
  const orders = parts(changes).map((part) =>
    JSON.stringify({ type: 'change', changes: part, isLast: false }),
  );
  t.true(orders.length > 1);
  t.true(orders.every((order) => order.length < 1 << 20));
  const read = orders.flatMap((order) => {
    const found = resolverOrderShape.read(JSON.parse(order));
    return found.type === 'change' ? found.changes : [];
  });
  t.deepEqual(read, changes as typeof read);
  t.deepEqual(parts([]), [[]]);
});

test('an order that is none is refused', (t) => {
  for (const order of [
    undefined,
    {},
    { type: 'grow' },
    { type: 'attach', task: { taskId: 't1' } },
    { type: 'detach', taskIds: [7] },
    { type: 'change', changes: [{ type: 'network', network: {} }], isLast: true },
    {
      type: 'change',
      changes: [{ type: 'network', network: { networkId: 'n', name: 'n', subnets: ['x'] } }],
      isLast: true,
    },
  ])
    t.throws(() => resolverOrderShape.read(order), undefined, JSON.stringify(order));
});
