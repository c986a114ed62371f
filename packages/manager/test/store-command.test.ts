import test from 'ava';
import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { applyCommand } from '../src/store/apply.js';
import {
  type Body,
  type Change,
  Codec,
  CommandFormatError,
  MalformedCommandError,
  UndecodableError,
} from '../src/store/command.js';
import { KINDS } from '../src/store/kinds.js';
import { MemoryState } from '../src/store/memory-state.js';
import { Tables } from '../src/store/tables.js';
import { silentLogger } from '@swarm/api';
import { fullDraft, spoil, spoils } from './support/hostile.js';

const codec = new Codec();
const packr = new Packr({ useRecords: false, moreTypes: true, structuredClone: true });
const TIME_MS = Date.UTC(2026, 0, 1);
const NODE = 2;

function create(kind: (typeof KINDS)[number], id: string): Change {
  return { action: 'create', kind, body: fullDraft(kind, id) as Body };
}

function fill(tables: Tables): void {
  const changes = KINDS.map((kind) => create(kind, `${kind}-1`));
  applyCommand(tables, 1, { timeMs: TIME_MS, changes });
  tables.setIndex(1);
}

/** Everything stored, in a comparable form. */
function content(tables: Tables): string {
  const objects = KINDS.flatMap((kind) => [...tables.allStored(kind)]);
  return Buffer.concat(objects.map((object) => Buffer.from(codec.encode(object)))).toString(
    'latin1',
  );
}

const CHANGES: readonly Change[] = [
  create('task', 'task-2'),
  { action: 'update', kind: 'node', body: fullDraft('node', 'node-1') as Body, expected: 1 },
  {
    action: 'update',
    kind: 'service',
    body: fullDraft('service', 'service-1') as Body,
    expected: 1,
  },
  { action: 'remove', kind: 'config', id: 'config-1', expected: 1 },
];

test('a command that no version can have written is rejected, on every member alike', (t) => {
  const body = { ID: 'n', Spec: {} };
  const bad: readonly unknown[] = [
    null,
    'text',
    {},
    [],
    [1],
    [1, TIME_MS],
    [0, TIME_MS, []],
    [1, TIME_MS, [], 4],
    [1, Number.NaN, []],
    [1, -1, []],
    [1, 1.5, []],
    [1, 8.64e15, []],
    [1, TIME_MS, {}],
    [1, TIME_MS, [null]],
    [1, TIME_MS, [[0]]],
    [1, TIME_MS, [[0, -1, body]]],
    [1, TIME_MS, [[0, 0, body]]],
    [1, TIME_MS, [['0', NODE, body]]],
    [1, TIME_MS, [[0, NODE, null]]],
    [1, TIME_MS, [[0, NODE, [body]]]],
    [1, TIME_MS, [[0, NODE, { ID: 5 }]]],
    [1, TIME_MS, [[0, NODE, { ID: 'a/b' }]]],
    [1, TIME_MS, [[0, NODE, { ID: '' }]]],
    [1, TIME_MS, [[0, NODE, { ID: '\ud800' }]]],
    [1, TIME_MS, [[0, NODE, { ID: 'x'.repeat(65) }]]],
    [1, TIME_MS, [[0, NODE, body, 1]]],
    [1, TIME_MS, [[1, NODE, body]]],
    [1, TIME_MS, [[1, NODE, body, 1.5]]],
    [1, TIME_MS, [[1, NODE, body, -1]]],
    [1, TIME_MS, [[2, NODE, 7, 1]]],
    [1, TIME_MS, [[2, NODE, 'n', '1']]],
    [
      1,
      TIME_MS,
      [
        [2, NODE, 'n', 1],
        [2, NODE, 'n', 1],
      ],
    ],
    [
      1,
      TIME_MS,
      [
        [2, NODE, 'n', 1],
        [0, NODE, body],
      ],
    ],
    [1, TIME_MS, [[0, NODE, { ...body, Set: new Set([1]) }]]],
    [1, TIME_MS, [[0, NODE, { ...body, Error: new Error('x') }]]],
    [
      1,
      TIME_MS,
      [
        [
          0,
          NODE,
          new Map<unknown, unknown>([
            ['ID', 'n'],
            [5, 5],
          ]),
        ],
      ],
    ],
  ];
  for (const value of bad) {
    const bytes = packr.pack(value);
    t.throws(
      () => codec.decodeCommand(bytes),
      { instanceOf: MalformedCommandError },
      String(value),
    );
  }
  const circle: Record<string, unknown> = { ID: 'n' };
  circle.Self = circle;
  for (const bytes of [
    new Uint8Array(0),
    Uint8Array.of(0xc1),
    Uint8Array.of(0x93, 1),
    packr.pack([1, TIME_MS, [[0, NODE, circle]]]),
    Buffer.concat([codec.encodeCommand({ timeMs: TIME_MS, changes: [] }), Buffer.of(0)]),
    nested(201),
    nested(5_000),
  ]) {
    t.throws(() => codec.decodeCommand(bytes), { instanceOf: MalformedCommandError });
  }
});

/** A node whose description is nested this deep. */
function nested(depth: number): Buffer {
  const [head, tail] = [
    packr.pack([1, TIME_MS, [[0, NODE, { ID: 'n', Description: 7 }]]]),
    depth - 4,
  ];
  return Buffer.concat([head.subarray(0, -1), Buffer.alloc(tail, 0x91), Buffer.of(7)]);
}

test('an object nested to the limit is applied, written and read again', (t) => {
  const tables = new Tables();
  const { writes } = applyCommand(tables, 1, codec.decodeCommand(nested(200)));
  const { stored } = writes[0]!;
  t.notThrows(() => codec.decodeObject(codec.encode(stored), 'n'));
});

test('a command of a newer version stops the member: skipping it would fork the state', (t) => {
  for (const value of [
    [2, TIME_MS, [], 'more'],
    [2],
    [2, new Set([1])],
    [1, TIME_MS, [[3, NODE, { ID: 'n' }]]],
    [1, TIME_MS, [[0, 99, { ID: 'n' }]]],
  ]) {
    const bytes = packr.pack(value);
    t.throws(() => codec.decodeCommand(bytes), { instanceOf: CommandFormatError });
  }
});

test('a rejected entry tells its proposer, changes nothing, and the log goes on', (t) => {
  const state = new MemoryState({ logger: silentLogger, codec });
  fill(state.tables);
  const before = content(state.tables);
  const { result, writes } = state.apply(2, packr.pack([1, TIME_MS, [[0, NODE, { ID: 5 }]]]));
  t.like(result, { accepted: false, rejection: { reason: 'malformed' } });
  t.deepEqual(writes, []);
  t.is(content(state.tables), before);
  t.is(state.view.index, 2);
  const { result: next } = state.apply(
    3,
    codec.encodeCommand({ timeMs: TIME_MS, changes: CHANGES }),
  );
  t.true(next?.accepted);
});

test('any bytes are applied or rejected, and every member reaches the same state', (t) => {
  const original = codec.encodeCommand({ timeMs: TIME_MS, changes: CHANGES });
  const edit = fc.record({
    at: fc.nat(original.length - 1),
    byte: fc.oneof(
      fc.nat(255),
      fc.constantFrom(0, 1, 0x80, 0x90, 0xc0, 0xcb, 0xcf, 0xd7, 0xdd, 0xff),
    ),
    kind: fc.constantFrom('set', 'insert', 'remove', 'cut'),
  });
  const bytes = fc.array(edit, { minLength: 1, maxLength: 4 }).map((edits) => {
    let all = [...original];
    for (const { at, byte, kind } of edits) {
      if (kind === 'set') all[at] = byte;
      else if (kind === 'insert') all.splice(at, 0, byte);
      else if (kind === 'remove') all.splice(at, 1);
      else all = all.slice(0, at);
    }
    return Uint8Array.from(all);
  });
  const commands = spoils.map((all) => {
    const spoilt = CHANGES.map((change) =>
      change.action === 'remove' ? change : { ...change, body: spoil(change.body, all) as Body },
    );
    return codec.encodeCommand({ timeMs: TIME_MS, changes: spoilt });
  });
  let accepted = 0;
  fc.assert(
    fc.property(fc.oneof(bytes, commands), (data) => {
      const states = [1, 2].map(
        () => new MemoryState({ logger: silentLogger, codec: new Codec() }),
      );
      const results = states.map((state) => {
        fill(state.tables);
        try {
          const { result, events = [] } = state.apply(2, data);
          for (const { object } of events) JSON.stringify(object);
          if (result?.accepted === true) accepted += 1;
          return result;
        } catch (error) {
          if (error instanceof CommandFormatError) return undefined;
          throw error;
        }
      });
      t.deepEqual(results[0], results[1]);
      t.is(content(states[0]!.tables), content(states[1]!.tables));
      // What is stored can be written to the database, and read from it at the next start.
      for (const kind of KINDS) {
        for (const object of states[0]!.tables.allStored(kind)) {
          const again = codec.decodeObject(codec.encode(object), object.ID);
          t.true(Buffer.from(codec.encode(again)).equals(codec.encode(object)));
        }
      }
    }),
    { numRuns: 1_000 },
  );
  t.true(accepted > 100, `${accepted} accepted`);
});

test('a record without id or version is damaged; other bad fields are left to readers', (t) => {
  const whole = { ...fullDraft('node', 'n'), Version: { Index: 1 } };
  t.notThrows(() => codec.decodeObject(codec.encode(whole), 'n'));
  t.notThrows(() =>
    codec.decodeObject(codec.encode({ ID: 'n', Version: { Index: 1 }, Spec: 5n }), 'n'),
  );
  for (const bad of [
    null,
    5,
    [],
    {},
    { ...whole, ID: 'm' },
    { ...whole, Version: { Index: -1 } },
  ]) {
    t.throws(() => codec.decodeObject(codec.encode(bad), 'n'), { instanceOf: UndecodableError });
  }
  t.throws(() => codec.decodeObject(Uint8Array.of(0xd4, 1, 1)), { instanceOf: UndecodableError });
});
