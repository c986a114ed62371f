import { cpSync } from 'node:fs';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '@swarm/api';
import { type Entry, EntryKind, type SnapshotMeta } from '@swarm/raft';
import test, { type ExecutionContext } from 'ava';
import { type Change, Codec } from '../src/store/command.js';
import { openDatabase } from '../src/store/database.js';
import { KINDS } from '../src/store/kinds.js';
import { ReplicatedStore } from '../src/store/replicated-store.js';
import { type EncodedObject, writeSnapshot } from '../src/store/snapshot-stream.js';
import { StoreStateMachine } from '../src/store/state-machine.js';
import type { StoreChange, Transaction, View } from '../src/store/store.js';
import { BufferedTransaction } from '../src/store/transaction.js';
import { nodeDraft, serviceDraft, taskDraft } from './support/objects.js';
import { VirtualClock } from '@swarm/sim';
import { START_MS } from './support/start-time.js';

const codec = new Codec();

async function folderFor(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'swarm-state-'));
  t.teardown(() => rm(folder, { recursive: true }));
  return folder;
}

/** A member with a clock that never moves: only flush, view and close write. */
async function openIn(t: ExecutionContext, folder: string): Promise<Member> {
  const clock = new VirtualClock(START_MS);
  const machine = await StoreStateMachine.open({
    folder,
    clock,
    logger: silentLogger,
    freeze: true,
  });
  const member = new Member(machine, clock);
  t.teardown(() => machine.close());
  return member;
}

class Member {
  readonly machine: StoreStateMachine;
  readonly clock: VirtualClock;

  constructor(machine: StoreStateMachine, clock: VirtualClock) {
    this.machine = machine;
    this.clock = clock;
  }

  get view(): View {
    return this.machine.memory.view;
  }

  /** Applies one entry made by `build`; the next index unless told otherwise. */
  apply(build: (transaction: Transaction) => void): unknown {
    const transaction = new BufferedTransaction(this.view, 1_767_225_600_000);
    build(transaction);
    const data = codec.encodeCommand({ timeMs: 1_767_225_600_000, changes: transaction.changes() });
    return this.machine.apply([entry(this.view.index + 1, data)])[0];
  }

  addTasks(from: number, to: number): void {
    for (let i = from; i < to; i++) {
      this.apply((transaction) => transaction.create('task', bigTask(i)));
    }
  }
}

function entry(index: number, data: Uint8Array, kind: EntryKind = EntryKind.Normal): Entry {
  return { index, term: 1, kind, data };
}

function bigTask(i: number) {
  return taskDraft(`t${String(i).padStart(4, '0')}`, { Labels: { pad: String(i).repeat(1000) } });
}

function dump(view: View): object {
  return {
    index: view.index,
    ...Object.fromEntries(KINDS.map((kind) => [kind, [...view.list(kind)]])),
  };
}

function metaOf(index: number): SnapshotMeta {
  const conf = {
    voters: [1],
    votersOutgoing: [],
    learners: [],
    learnersNext: [],
    autoLeave: false,
  };
  return { index, term: 1, conf, members: [], removed: [] };
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return all;
}

async function* stream(chunks: readonly Uint8Array[], error?: Error) {
  yield* chunks;
  if (error !== undefined) throw error;
}

async function snapshotOf(member: Member): Promise<{ index: number; chunks: Uint8Array[] }> {
  const view = await member.machine.view();
  const chunks = await collect(view.chunks());
  await view.release();
  return { index: view.index, chunks };
}

test('a reopened state machine has all that was flushed, and its index', async (t) => {
  const folder = await folderFor(t);
  const first = await openIn(t, folder);
  t.is(first.machine.appliedIndex, 0);
  first.apply((transaction) => transaction.create('service', serviceDraft('service')));
  first.apply((transaction) => transaction.create('task', taskDraft('t1')));
  first.apply((transaction) => transaction.create('node', nodeDraft('n1')));
  first.apply((transaction) => transaction.remove('node', 'n1'));
  first.machine.apply([
    entry(5, new Uint8Array()),
    entry(6, Buffer.from('x'), EntryKind.ConfChange),
  ]);
  await first.machine.flush();
  const before = dump(first.view);
  await first.machine.close();
  const second = await openIn(t, folder);
  t.is(second.machine.appliedIndex, 6);
  t.deepEqual(dump(second.view), before);
  t.is(
    second.view.get('task', 't1')?.Spec,
    second.view.get('service', 'service')?.Spec.TaskTemplate,
  );
});

test('what was not written is replayed from the log with the same results', async (t) => {
  const folder = await folderFor(t);
  const first = await openIn(t, folder);
  const log: Entry[] = [];
  const results: unknown[] = [];
  const apply = (build: (transaction: Transaction) => void) => {
    const transaction = new BufferedTransaction(first.view, 0);
    build(transaction);
    const data = codec.encodeCommand({ timeMs: 0, changes: transaction.changes() });
    log.push(entry(log.length + 1, data));
    results.push(...first.machine.apply(log.slice(-1)));
  };
  apply((transaction) => transaction.create('node', nodeDraft('n1')));
  await first.machine.flush();
  apply((transaction) => transaction.create('node', nodeDraft('n2')));
  log.push({ ...log[1]!, index: 3 });
  results.push(...first.machine.apply(log.slice(-1)));
  t.deepEqual(results[2], {
    accepted: false,
    rejection: { reason: 'id-taken', kind: 'node', id: 'n2' },
  });
  const before = dump(first.view);
  // The folder as a crash leaves it: nothing since the flush has been written.
  const copy = await folderFor(t);
  await cp(folder, copy, { recursive: true });
  const second = await openIn(t, copy);
  t.is(second.machine.appliedIndex, 1);
  t.deepEqual(second.machine.apply(log.slice(1)), results.slice(1));
  t.deepEqual(dump(second.view), before);
});

test('changes reach the database after a moment without a flush, newest version only', async (t) => {
  const folder = await folderFor(t);
  const member = await openIn(t, folder);
  member.apply((transaction) => transaction.create('node', nodeDraft('n1')));
  member.apply((transaction) =>
    transaction.update('node', { ...transaction.get('node', 'n1')!, Role: 'manager' }),
  );
  t.is(member.clock.pending, 1);
  await member.clock.advance(50);
  t.is(member.clock.pending, 0);
  await member.machine.close();
  const again = await openIn(t, folder);
  t.is(again.view.get('node', 'n1')?.Role, 'manager');
});

test('a view shows one index while writes go on, in chunks of at most 256 KiB', async (t) => {
  const member = await openIn(t, await folderFor(t));
  member.addTasks(0, 400);
  const view = await member.machine.view();
  t.is(view.index, 400);
  const expected = dump(member.view);
  const chunks: Uint8Array[] = [];
  let next = 400;
  for await (const chunk of view.chunks()) {
    chunks.push(chunk);
    member.addTasks(next, next + 20);
    member.apply((transaction) => transaction.remove('task', bigTask(next - 400).ID));
    next += 20;
    await member.machine.flush();
  }
  await view.release();
  t.true(chunks.length > 3);
  t.true(chunks.every(({ length }) => length <= 256 * 1024));
  const other = await openIn(t, await folderFor(t));
  await other.machine.restore(metaOf(400), stream(chunks));
  t.deepEqual(dump(other.view), expected);
});

test('a restore replaces everything, tells watchers once, and survives a restart', async (t) => {
  const leader = await openIn(t, await folderFor(t));
  leader.addTasks(0, 300);
  leader.apply((transaction) =>
    transaction.create('config', {
      ID: 'c',
      Spec: { Name: 'large', Labels: {}, Data: 'x'.repeat(1_300_000) },
    }),
  );
  const { index, chunks } = await snapshotOf(leader);
  const folder = await folderFor(t);
  const follower = await openIn(t, folder);
  follower.apply((transaction) => transaction.create('node', nodeDraft('old')));
  const changes: StoreChange[] = [];
  follower.machine.memory.watch((change) => changes.push(change));
  // Chunk borders need not be the sender's.
  const odd = Buffer.concat(chunks);
  const recut = [odd.subarray(0, 3), odd.subarray(3, 70_000), odd.subarray(70_000)];
  await follower.machine.restore(metaOf(index), stream(recut));
  t.deepEqual(dump(follower.view), dump(leader.view));
  t.deepEqual(changes, [{ index: 301, timeMs: 0, reset: true, events: [] }]);
  follower.addTasks(1000, 1001);
  const before = dump(follower.view);
  await follower.machine.close();
  const again = await openIn(t, folder);
  t.is(again.machine.appliedIndex, 302);
  t.deepEqual(dump(again.view), before);
});

test('after restores, nothing of older generations stays on disk', async (t) => {
  const leader = await openIn(t, await folderFor(t));
  leader.addTasks(0, 50);
  const { index, chunks } = await snapshotOf(leader);
  const folder = await folderFor(t);
  const follower = await openIn(t, folder);
  follower.addTasks(500, 520);
  await follower.machine.restore(metaOf(index), stream(chunks));
  await t.throwsAsync(follower.machine.restore(metaOf(index), stream(chunks.slice(0, -1))));
  await follower.machine.close();
  const database = await openDatabase(folder);
  const keys = await database.keys().all();
  await database.close();
  const prefixes = new Set(
    keys.filter((key) => key.startsWith('g')).map((key) => key.slice(0, 11)),
  );
  t.is(prefixes.size, 1);
  t.is(keys.filter((key) => key.includes('/o')).length, 50);
});

const damages: [string, (bytes: Buffer) => Buffer, RegExp][] = [
  ['before its first byte', () => Buffer.alloc(0), /cut off before its end/],
  ['inside a frame', (bytes) => bytes.subarray(0, bytes.length / 2), /cut off/],
  ['just before the end marker', (bytes) => bytes.subarray(0, -13), /cut off before its end/],
  ['inside the end marker', (bytes) => bytes.subarray(0, -1), /cut off inside a frame/],
];
for (const [where, damage, message] of damages) {
  test(`a snapshot that is cut off ${where} is refused and the state stays`, async (t) => {
    const leader = await openIn(t, await folderFor(t));
    leader.addTasks(0, 300);
    const { index, chunks } = await snapshotOf(leader);
    const folder = await folderFor(t);
    const follower = await openIn(t, folder);
    follower.apply((transaction) => transaction.create('node', nodeDraft('old')));
    const before = dump(follower.view);
    const changes: StoreChange[] = [];
    follower.machine.memory.watch((change) => changes.push(change));
    const cut = damage(Buffer.concat(chunks));
    await t.throwsAsync(follower.machine.restore(metaOf(index), stream([cut])), { message });
    t.deepEqual(dump(follower.view), before);
    t.is(changes.length, 0);
    // It still takes entries, and the next restore works.
    follower.apply((transaction) => transaction.create('node', nodeDraft('new')));
    await follower.machine.restore(metaOf(index), stream(chunks));
    await follower.machine.close();
    const again = await openIn(t, folder);
    t.deepEqual(dump(again.view), dump(leader.view));
  });
}

test('a snapshot of another index or format, or with trailing bytes, is refused', async (t) => {
  const leader = await openIn(t, await folderFor(t));
  leader.addTasks(0, 3);
  const { index, chunks } = await snapshotOf(leader);
  const follower = await openIn(t, await folderFor(t));
  const restore = (at: number, bytes: Uint8Array[]) =>
    follower.machine.restore(metaOf(at), stream(bytes));
  await t.throwsAsync(restore(index + 1, chunks), { message: 'the snapshot is of index 3, not 4' });
  const newer = Buffer.concat(chunks);
  newer.writeDoubleBE(2, 5);
  await t.throwsAsync(restore(index, [newer]), {
    message: /format 2, this version reads 1: upgrade/,
  });
  await t.throwsAsync(restore(index, [...chunks, ...chunks]), { message: /goes on after its end/ });
  await t.throwsAsync(restore(index, [Buffer.from('GET / HTTP/1.1\r\n\r\n')]), {
    message: /the snapshot is damaged/,
  });
  t.is(follower.machine.appliedIndex, 0);
});

test('a restore whose stream breaks at any chunk leaves the state, also after a crash', async (t) => {
  const leader = await openIn(t, await folderFor(t));
  leader.addTasks(0, 300);
  const { index, chunks } = await snapshotOf(leader);
  t.true(chunks.length >= 3);
  const folder = await folderFor(t);
  const follower = await openIn(t, folder);
  follower.apply((transaction) => transaction.create('node', nodeDraft('old')));
  await follower.machine.flush();
  const before = dump(follower.view);
  for (let kept = 0; kept <= chunks.length; kept++) {
    // The crash: the folder is copied at the moment at which the stream hangs.
    const crashed = await folderFor(t);
    const broken = async function* () {
      yield* chunks.slice(0, kept);
      await cp(folder, crashed, { recursive: true });
      throw new Error('the leader is gone');
    };
    await t.throwsAsync(follower.machine.restore(metaOf(index), broken()), {
      message: 'the leader is gone',
    });
    t.deepEqual(dump(follower.view), before);
    const again = await openIn(t, crashed);
    t.deepEqual(dump(again.view), before);
    await again.machine.restore(metaOf(index), stream(chunks));
    t.deepEqual(dump(again.view), dump(leader.view));
    await again.machine.close();
  }
});

test('a crash right after the switch to a restored state finds the restored state', async (t) => {
  const leader = await openIn(t, await folderFor(t));
  leader.addTasks(0, 300);
  const { index, chunks } = await snapshotOf(leader);
  const folder = await folderFor(t);
  const follower = await openIn(t, folder);
  follower.addTasks(500, 700);
  const crashed = await folderFor(t);
  follower.machine.memory.watch(({ reset }) => {
    if (reset) cpSync(folder, crashed, { recursive: true });
  });
  await follower.machine.restore(metaOf(index), stream(chunks));
  const again = await openIn(t, crashed);
  t.deepEqual(dump(again.view), dump(leader.view));
});

test('leftovers of an abandoned restore are ignored and deleted at the next start', async (t) => {
  const folder = await folderFor(t);
  const first = await openIn(t, folder);
  first.addTasks(0, 3);
  await first.machine.close();
  const leftover = 'g0000000002/o4/left';
  const database = await openDatabase(folder);
  await database.put('last', Buffer.from('2'));
  await database.put(leftover, codec.encode({ ...bigTask(9), ID: 'left' }));
  await database.close();
  const second = await openIn(t, folder);
  t.is(second.view.count('task'), 3);
  await second.machine.close();
  const cleaned = await openDatabase(folder);
  t.false(await cleaned.has(leftover));
  await cleaned.close();
  const third = await openIn(t, folder);
  const { index, chunks } = await snapshotOf(third);
  await third.machine.restore(metaOf(index), stream(chunks));
  await third.machine.close();
  const after = await openDatabase(folder);
  t.is(Buffer.from((await after.get('current'))!).toString(), '3', 'a number is used once');
  await after.close();
});

test('an entry of a newer format stops the member instead of forking its state', async (t) => {
  const member = await openIn(t, await folderFor(t));
  const data = codec.encode([2, 0, []]) as Uint8Array;
  t.throws(() => member.machine.apply([entry(1, data)]), { message: /upgrade this manager/ });
});

test('a database of a newer format is refused', async (t) => {
  const folder = await folderFor(t);
  const database = await openDatabase(folder);
  await database.put('format', Buffer.from('2'));
  await database.close();
  await t.throwsAsync(
    StoreStateMachine.open({ folder, clock: new VirtualClock(START_MS), logger: silentLogger }),
    { message: /format 2, this version reads 1: upgrade this manager/ },
  );
});

test('a write that fails stops the member at its next entry', async (t) => {
  const member = await openIn(t, await folderFor(t));
  member.apply((transaction) => transaction.create('node', nodeDraft('n1')));
  await member.machine.close();
  member.apply((transaction) => transaction.create('node', nodeDraft('n2')));
  await t.throwsAsync(member.machine.flush(), { message: /cannot be written/ });
  t.throws(() => member.apply((transaction) => transaction.create('node', nodeDraft('n3'))), {
    message: /cannot be written/,
  });
});

test('a replicated store over the state machine reads what it wrote', async (t) => {
  const { machine, clock } = await openIn(t, await folderFor(t));
  const store = new ReplicatedStore({
    state: machine.memory,
    clock,
    propose: async (data) => {
      const index = machine.appliedIndex + 1;
      return { index, result: machine.apply([entry(index, data)])[0] };
    },
  });
  await store.transact((transaction) => transaction.create('node', nodeDraft('n1')));
  t.is(store.get('node', 'n1')?.Version.Index, 1);
  const taken = store.transact((transaction) => transaction.create('node', nodeDraft('n1')));
  await t.throwsAsync(taken, { message: 'an object already exists: node n1' });
});

/** Objects without the shape of their kind, as one entry. */
function badEntry(index: number): Entry {
  const service = { ...serviceDraft('bad-service'), Spec: { Name: 'Bad', Mode: 5 } };
  const node = { ...nodeDraft('bad-node'), Description: { Resources: 2n ** 60n, At: new Date(5) } };
  const changes = [
    { action: 'create', kind: 'service', body: service },
    { action: 'create', kind: 'node', body: node },
  ] as unknown as Change[];
  return entry(index, codec.encodeCommand({ timeMs: 1_767_225_600_000, changes }));
}

function storedIn({ machine }: Member): unknown {
  return KINDS.map((kind) =>
    [...machine.memory.tables.allStored(kind)].sort((a, b) => (a.ID < b.ID ? -1 : 1)),
  );
}

test('bad objects outlive a restart and a snapshot as they are, and all members decide alike', async (t) => {
  const folder = await folderFor(t);
  const one = await openIn(t, folder);
  one.apply((transaction) => transaction.create('node', nodeDraft('n')));
  t.like(one.machine.apply([badEntry(2)])[0], { accepted: true });
  t.is(one.view.setAside('service', 'bad-service')?.version, 2);
  t.is(one.view.get('node', 'bad-node')?.Description?.Resources.NanoCPUs, undefined);
  const { index, chunks } = await snapshotOf(one);
  const before = storedIn(one);
  await one.machine.close();

  const again = await openIn(t, folder);
  const other = await openIn(t, await folderFor(t));
  await other.machine.restore(metaOf(index), stream(chunks));
  for (const member of [again, other]) {
    t.deepEqual(storedIn(member), before);
    t.is(member.view.setAside('service', 'BAD')?.version, 2);
  }
  const taken = { ...serviceDraft('other'), Spec: { ...serviceDraft('other').Spec, Name: 'bad' } };
  const create = { action: 'create', kind: 'service', body: taken } as const;
  const late = { action: 'remove', kind: 'service', id: 'bad-service', expected: 1 } as const;
  const remove = { ...late, expected: 2 } as const;
  for (const [change, accepted] of [
    [create, false],
    [late, false],
    [remove, true],
    [create, true],
  ] as const) {
    const data = codec.encodeCommand({ timeMs: 1_767_225_600_000, changes: [change] });
    const results = [again, other].map(
      ({ machine, view }) => machine.apply([entry(view.index + 1, data)])[0],
    );
    t.like(results[0], { accepted });
    t.deepEqual(results[0], results[1]);
  }
  t.deepEqual(storedIn(again), storedIn(other));
});

test('a record without id or version stops the start with its key', async (t) => {
  const records: readonly Uint8Array[] = [
    Uint8Array.of(0xc1),
    codec.encode({ ID: 'other', Version: { Index: 1 } }),
    codec.encode({ ID: 'n', Version: { Index: 'x' } }),
    codec.encode(null),
  ];
  for (const record of records) {
    const folder = await folderFor(t);
    const member = await openIn(t, folder);
    member.apply((transaction) => transaction.create('node', nodeDraft('n')));
    await member.machine.close();
    const database = await openDatabase(folder);
    await database.put('g0000000001/o2/n', record);
    await database.close();
    await t.throwsAsync(openIn(t, folder), {
      code: 'STORE_DATABASE',
      message: /damaged at g0000000001\/o2\/n: .*join it again, or restore a backup/,
    });
  }
});

test('a snapshot with an invalid or duplicate object is refused and changes nothing', async (t) => {
  const member = await openIn(t, await folderFor(t));
  member.apply((transaction) => transaction.create('node', nodeDraft('kept')));
  const before = dump(member.view);
  const node = { ...nodeDraft('n'), Version: { Index: 1 }, CreatedAt: '', UpdatedAt: '' };
  for (const objects of [
    [null],
    [{ ...node, ID: 'a/b' }],
    [{ ...node, Version: 1 }],
    [node, node],
  ]) {
    async function* encoded(): AsyncGenerator<EncodedObject> {
      for (const object of objects) yield { kind: 'node', value: codec.encode(object) };
    }
    await t.throwsAsync(member.machine.restore(metaOf(9), writeSnapshot(9, encoded())), {
      code: 'RAFT_SNAPSHOT_REFUSED',
    });
    t.deepEqual(dump(member.view), before);
  }
});

test('an entry that is not a command changes nothing, and the member goes on', async (t) => {
  const member = await openIn(t, await folderFor(t));
  const garbage = [Uint8Array.of(0xc1), codec.encode('text'), codec.encode([1, 2, 'x'])];
  const results = member.machine.apply(garbage.map((data, at) => entry(at + 1, data)));
  for (const result of results) t.like(result, { rejection: { reason: 'malformed' } });
  t.is(member.view.index, 3);
  member.apply((transaction) => transaction.create('node', nodeDraft('n')));
  t.is(member.view.count('node'), 1);
});
