import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import {
  type ContractCase,
  storageContract,
  type StorageUnderTest,
  transportContract,
  type TransportsUnderTest,
} from '../src/contract/index.js';
import type { Message, SnapshotMessage } from '../src/core/message.js';
import type { MemberId, MemberInfo, SnapshotMeta } from '../src/core/types.js';
import { MemoryDisk, MemoryStorage } from '../src/storage/memory-storage.js';
import type { Persist } from '../src/storage/storage.js';
import { MemoryNetwork } from '../src/transport/memory-transport.js';
import type { Transport, TransportHandler } from '../src/transport/transport.js';

const DEADLINE_MS = 60_000;

/** The cases that fail. */
async function broken<Fixture>(
  contract: readonly ContractCase<Fixture>[],
  setup: () => Promise<Fixture>,
): Promise<string[]> {
  const names: string[] = [];
  for (const each of contract) {
    await each.run(setup).catch(() => names.push(each.name));
  }
  return names;
}

function storageOver(disk: MemoryDisk, create: () => MemoryStorage): StorageUnderTest {
  return { create, crash: async () => disk.crash(), remove: async () => {} };
}

/** Claims that a write is synced when it is not. */
class HastyStorage extends MemoryStorage {
  override persist(write: Persist): Promise<void> {
    return super.persist({ ...write, mustSync: write.snapshot !== undefined });
  }
}

/** Resolves whatever happened. */
class LenientStorage extends MemoryStorage {
  override async persist(write: Persist): Promise<void> {
    await super.persist(write).catch(() => undefined);
  }
}

async function brokenStorage(create: (disk: MemoryDisk) => MemoryStorage): Promise<string[]> {
  return broken(storageContract, async () => {
    const disk = new MemoryDisk();
    return storageOver(disk, () => create(disk));
  });
}

test('the contract detects a storage that loses synced writes in a crash', async (t) => {
  t.deepEqual(await brokenStorage((disk) => new HastyStorage({ disk })), [
    'a synced write makes the unsynced ones before it last',
    'a synced write survives a crash',
    'random histories with crashes read back as a model says',
  ]);
});

test('the contract detects a storage that hides a failed write', async (t) => {
  t.deepEqual(await brokenStorage((disk) => new LenientStorage({ disk })), [
    'a hole in the log is refused before it is written',
    'a second write while one is under way is refused',
  ]);
});

/** A transport in front of another; its subclasses each get a part of it wrong. */
class Wrapped implements Transport {
  protected readonly inner: Transport;

  constructor(inner: Transport) {
    this.inner = inner;
  }

  start(handler: TransportHandler): void {
    this.inner.start(handler);
  }

  setMembers(members: readonly MemberInfo[]): void {
    this.inner.setMembers(members);
  }

  send(messages: readonly Message[]): void {
    this.inner.send(messages);
  }

  sendSnapshot(
    message: SnapshotMessage,
    meta: SnapshotMeta,
    chunks: AsyncIterable<Uint8Array>,
  ): void {
    this.inner.sendSnapshot(message, meta, chunks);
  }

  endSnapshot(to: MemberId, reason: string): void {
    this.inner.endSnapshot(to, reason);
  }

  close(): Promise<void> {
    return this.inner.close();
  }
}

/** Swaps each tenth call with the next. */
class Reordering extends Wrapped {
  private calls = 0;

  override send(messages: readonly Message[]): void {
    this.calls++;
    if (this.calls % 10 === 0) setImmediate(() => super.send(messages));
    else super.send(messages);
  }
}

/** Confirms a snapshot as soon as it is sent. */
class Hopeful extends Wrapped {
  private handler: TransportHandler | undefined;

  override start(handler: TransportHandler): void {
    this.handler = handler;
    super.start({
      receive: (message) => handler.receive(message),
      unreachable: (id) => handler.unreachable(id),
      snapshotSent: () => {},
      snapshotMoved: (id, step) => handler.snapshotMoved(id, step),
      receiveSnapshot: (message, chunks) => handler.receiveSnapshot(message, chunks),
    });
  }

  override sendSnapshot(
    message: SnapshotMessage,
    meta: SnapshotMeta,
    chunks: AsyncIterable<Uint8Array>,
  ): void {
    super.sendSnapshot(message, meta, chunks);
    this.handler?.snapshotSent(message.to, true);
  }
}

function brokenTransport(wrap: (inner: Transport) => Transport): Promise<string[]> {
  return broken(transportContract, async (): Promise<TransportsUnderTest> => {
    const network = new MemoryNetwork();
    return {
      create: async (id: MemberId) => ({
        transport: wrap(network.join(id)),
        member: { id, address: `memory:${id}`, nodeId: `node-${id}` },
      }),
      remove: async () => {},
    };
  });
}

test('the contract detects a transport that reorders messages', async (t) => {
  t.deepEqual(await brokenTransport((inner) => new Reordering(inner)), [
    'messages to one member arrive in order',
  ]);
});

test('the contract detects a transport that confirms snapshots too early', async (t) => {
  const names = await brokenTransport((inner) => new Hopeful(inner));
  for (const name of [
    'a snapshot is not confirmed before it is installed',
    'a refused snapshot is reported',
    'a snapshot to an absent member is reported',
  ])
    t.true(names.includes(name), `${name} not in ${names.join('; ')}`);
  t.false(names.includes('messages to one member arrive in order'));
});

/** Runs a program under Node's own test runner. @returns how many of its tests passed; all must */
async function nodeTests(program: string): Promise<number> {
  const args = ['--test-reporter=tap', join(import.meta.dirname, program)];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: DEADLINE_MS });
  const passed = /^# pass (\d+)$/m.exec(stdout)?.[1];
  return Number(passed);
}

test('the contract runs under the test runner of Node too', async (t) => {
  t.is(await nodeTests('contract/node-test-run.js'), storageContract.length);
});

test('the storage and the transport of the examples fulfil the contract', async (t) => {
  const passed = await nodeTests('../examples/contracts.js');
  t.is(passed, storageContract.length + transportContract.length);
});

test('the README shows the example unchanged', async (t) => {
  const root = join(import.meta.dirname, '..', '..');
  const example = await readFile(join(root, 'examples', 'contracts.ts'), 'utf8');
  const readme = await readFile(join(root, 'README.md'), 'utf8');
  t.true(readme.includes(example.slice(example.indexOf('import'))));
});
