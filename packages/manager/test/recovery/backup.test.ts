import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger, systemClock } from '@swarm/api';
import { type Entry, EntryKind, LevelStorage } from '@swarm/raft';
import test from 'ava';
import fc from 'fast-check';
import type { LocalManager } from '../../src/assembly/local-manager.js';
import { type BackupHeader, writeBackup } from '../../src/recovery/backup-file.js';
import { checkBackup } from '../../src/recovery/check-backup.js';
import { installBackup } from '../../src/recovery/install-backup.js';
import { backupFile, copyFolder } from '../../src/recovery/files.js';
import { inspectManager } from '../../src/recovery/inspect.js';
import { describeEntry } from '../../src/recovery/log-entry.js';
import { type Change, Codec } from '../../src/store/command.js';
import type { Kind } from '../../src/store/store.js';
import { type EncodedObject, writeSnapshot } from '../../src/store/snapshot-stream.js';
import { StoreStateMachine } from '../../src/store/state-machine.js';
import { spoil, spoils } from '../support/hostile.js';
import { clusterDraft, nodeDraft, serviceDraft } from '../support/objects.js';

const CLUSTER_ID = 'cluster-1';
const clock = systemClock();
const logger = silentLogger;
const SECRET_TEXT = 'c2VjcmV0IHRleHQ=';
const KEY_TEXT = 'the private key of the authority';

function clusterBody(): Change {
  const body = {
    ...clusterDraft(CLUSTER_ID),
    JoinTokens: { Worker: 'SWMTKN-1-worker', Manager: 'SWMTKN-1-manager' },
    Private: { CAKey: KEY_TEXT, CACert: 'certificate', RemovedNodes: {} },
  };
  return { action: 'create', kind: 'cluster', body: body as never };
}

function secretBody(): Change {
  const body = { ID: 'secret-1', Spec: { Name: 'password', Labels: {}, Data: SECRET_TEXT } };
  return { action: 'create', kind: 'secret', body };
}

function entriesOf(codec: Codec): Entry[] {
  const of = (...changes: Change[]): Uint8Array =>
    codec.encodeCommand({ timeMs: 1_700_000_000_000, changes });
  const node = nodeDraft('node-1', {
    RaftID: 11,
    Spec: { Labels: {}, Role: 'manager', Availability: 'active' },
  });
  const datas = [
    of(clusterBody(), { action: 'create', kind: 'node', body: node }),
    of(secretBody()),
    of({ action: 'create', kind: 'service', body: serviceDraft('web') }),
    of({ action: 'update', kind: 'node', body: node, expected: 1 }),
  ];
  return datas.map((data, i) => ({ index: i + 1, term: 3, kind: EntryKind.Normal, data }));
}

interface World {
  readonly folder: string;
  readonly self: LocalManager;
  readonly file: string;
}

function logOf({ folder, clusterId, raftId }: LocalManager): LevelStorage {
  return new LevelStorage({ path: join(folder, 'log'), clusterId, memberId: raftId });
}

/** A folder with a manager's log and state in it, and a backup of that state. */
async function use(body: (world: World) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'swarm-recovery-'));
  const self: LocalManager = {
    nodeId: 'node-1',
    clusterId: CLUSTER_ID,
    raftId: 11,
    instance: 'run1',
    advertiseAddress: '198.18.0.11:2377',
    listen: { host: '198.18.0.11', port: 2377 },
    folder: join(folder, 'raft'),
    identity: () => {
      throw new Error('not needed');
    },
  };
  try {
    const entries = entriesOf(new Codec());
    const storage = logOf(self);
    await storage.open();
    const hardState = { term: 3, vote: 11, commit: entries.length };
    await storage.persist({ hardState, entries, mustSync: true });
    await storage.close();
    const path = join(self.folder, 'state');
    const state = await StoreStateMachine.open({ folder: path, clock, logger });
    state.apply(entries);
    const view = await state.view();
    const parts: Uint8Array[] = [];
    const header: BackupHeader = {
      format: 1,
      clusterId: CLUSTER_ID,
      index: view.index,
      term: 3,
      members: [{ raftId: 11, nodeId: 'node-1', address: self.advertiseAddress }],
      removed: [5],
      madeAt: '2026-01-01T00:00:00.000Z',
      madeBy: 'node-1',
    };
    for await (const part of writeBackup(header, view.chunks())) parts.push(part);
    await view.release();
    await state.close();
    const file = join(folder, 'backup');
    await writeFile(file, Buffer.concat(parts));
    await body({ folder, self, file });
  } finally {
    await rm(folder, { recursive: true });
  }
}

test('a backup is read whole, and describes its contents', async (t) => {
  await use(async ({ file }) => {
    const { header, cluster, objects } = await checkBackup(backupFile(file));
    t.is(header.index, 4);
    t.is(cluster.Private.CAKey, KEY_TEXT);
    t.is(objects, 4);
  });
});

test('a backup with any byte changed, cut off or prolonged is refused', async (t) => {
  await use(async ({ file }) => {
    const whole = await readFile(file);
    const broken = async (bytes: Uint8Array, what: string) => {
      await writeFile(file, bytes);
      const error = await t.throwsAsync(checkBackup(backupFile(file)), undefined, what);
      t.is((error as { code?: unknown }).code, 'INVALID_ARGUMENT', what);
    };
    for (let at = 0; at < whole.length; at += 7) {
      const bytes = Buffer.from(whole);
      bytes[at]! ^= 0x20;
      await broken(bytes, `byte ${at}`);
    }
    for (const length of [0, 5, 40, whole.length - 13, whole.length - 1])
      await broken(whole.subarray(0, length), `cut off at ${length}`);
    await broken(Buffer.concat([whole, Buffer.from('x')]), 'prolonged');
  });
});

test('a backup of a newer format says that this version is too old', async (t) => {
  await use(async ({ file }) => {
    const bytes = await readFile(file);
    const at = bytes.indexOf('"format":1');
    bytes.write('"format":9', at);
    await writeFile(file, bytes);
    await t.throwsAsync(checkBackup(backupFile(file)), { message: /format 9.*upgrade/ });
  });
});

test('a restored folder holds a lone manager, whose old members are removed for good', async (t) => {
  await use(async ({ self, file }) => {
    const fresh = { ...self, raftId: 99, nodeId: 'node-9' };
    await rm(fresh.folder, { recursive: true, force: true });
    await installBackup(fresh, await checkBackup(backupFile(file)), {
      log: logOf(fresh),
      clock,
      logger,
    });
    const { log, appliedIndex, objects, problems } = await inspectManager(fresh.folder, {
      clock,
      copyFolder,
    });
    t.deepEqual(problems, []);
    t.is(appliedIndex, 4);
    t.deepEqual(log.snapshot.conf.voters, [99]);
    t.deepEqual(log.snapshot.removed, [5, 11]);
    t.is(log.identity?.memberId, 99);
    t.is(objects.service, 1);
    t.is(objects.secret, 1);
    const path = join(fresh.folder, 'state');
    const state = await StoreStateMachine.open({ folder: path, clock, logger });
    const node = state.memory.view.get('node', 'node-1')!;
    await state.close();
    t.is(node.Status.State, 'down');
    t.is(node.Spec.Role, 'worker');
    t.is(node.RaftID, undefined);
  });
});

test('a damaged backup changes nothing', async (t) => {
  await use(async ({ self, file }) => {
    const bytes = await readFile(file);
    bytes[bytes.length - 20]! ^= 1;
    await writeFile(file, bytes);
    await t.throwsAsync(checkBackup(backupFile(file)));
    t.deepEqual((await inspectManager(self.folder, { clock, copyFolder })).problems, []);
  });
});

test('inspecting shows every change and no secret', async (t) => {
  await use(async ({ self }) => {
    const { entries, problems } = await inspectManager(self.folder, { clock, copyFolder });
    t.deepEqual(problems, []);
    const dumped = [...entries()];
    const json = JSON.stringify(dumped);
    for (const secret of [SECRET_TEXT, KEY_TEXT, 'SWMTKN']) t.false(json.includes(secret), secret);
    const lines = dumped.map(describeEntry);
    t.regex(
      lines[0]!,
      /^1\t3\tchanges\t\d+\tcreate cluster cluster-1; create node node-1: manager ready active$/,
    );
    t.regex(lines[1]!, /create secret password \(secret-1\)$/);
    t.regex(lines[3]!, /update node node-1 of version 1: manager ready active$/);
  });
});

test('a state that the log does not explain is a problem', async (t) => {
  await use(async ({ self }) => {
    const state = await StoreStateMachine.open({
      folder: join(self.folder, 'state'),
      clock,
      logger,
    });
    const data = new Codec().encodeCommand({
      timeMs: 1,
      changes: [{ action: 'create', kind: 'service', body: serviceDraft('stray') }],
    });
    state.apply([{ index: 5, term: 3, kind: EntryKind.Normal, data }]);
    await state.close();
    const ahead = await inspectManager(self.folder, { clock, copyFolder });
    t.deepEqual(ahead.problems, ['the state ends at entry 5, but the log ends at 4']);
    // The same when the log has an entry of that index with another change.
    const storage = logOf(self);
    await storage.open();
    const other = new Codec().encodeCommand({
      timeMs: 1,
      changes: [{ action: 'create', kind: 'service', body: serviceDraft('other') }],
    });
    const entry = { index: 5, term: 3, kind: EntryKind.Normal, data: other };
    await storage.persist({ entries: [entry], mustSync: true });
    await storage.close();
    const { problems } = await inspectManager(self.folder, { clock, copyFolder });
    t.deepEqual(problems, ['service stray has version 5, but that entry did not change it']);
  });
});

test('a folder in use is refused', async (t) => {
  await use(async ({ self }) => {
    const state = await StoreStateMachine.open({
      folder: join(self.folder, 'state'),
      clock,
      logger,
    });
    await t.throwsAsync(inspectManager(self.folder, { clock, copyFolder }), {
      code: 'RAFT_STORAGE_LOCKED',
    });
    await state.close();
  });
});

const HEADER: BackupHeader = {
  format: 1,
  clusterId: CLUSTER_ID,
  index: 9,
  term: 3,
  members: [{ raftId: 11, nodeId: 'node-1', address: '198.18.0.11:2377' }],
  removed: [5],
  madeAt: '2026-01-01T00:00:00.000Z',
  madeBy: 'node-1',
};
const META = {
  Version: { Index: 1 },
  CreatedAt: '2026-01-01T00:00:00.000Z',
  UpdatedAt: '2026-01-01T00:00:00.000Z',
};

/** Writes a backup with a valid checksum, whatever it holds. */
async function forge(
  path: string,
  header: object,
  objects: readonly (readonly [Kind, unknown])[],
): Promise<void> {
  const codec = new Codec();
  async function* encoded(): AsyncGenerator<EncodedObject> {
    for (const [kind, object] of objects) yield { kind, value: codec.encode(object) };
  }
  const parts: Uint8Array[] = [];
  const state = writeSnapshot(HEADER.index, encoded());
  for await (const part of writeBackup(header as BackupHeader, state)) parts.push(part);
  await writeFile(path, Buffer.concat(parts));
}

const CLUSTER = { ...clusterDraft(CLUSTER_ID), ...META };

test('a forged backup is refused with a reason, whatever its header says', async (t) => {
  await use(async ({ file }) => {
    const member = HEADER.members[0]!;
    const headers: readonly object[] = [
      { clusterId: '../../etc' },
      { clusterId: 5 },
      { index: 2 ** 53 },
      { index: -1 },
      { term: 1.5 },
      { members: {} },
      { members: [null] },
      { members: [{ ...member, raftId: 0 }] },
      { members: [{ ...member, nodeId: '\u001b[2J' }] },
      { members: [member, member] },
      { members: new Array(2_000).fill(0).map((_, i) => ({ ...member, raftId: i + 100 })) },
      { removed: [11] },
      { removed: ['5'] },
      { madeAt: 'yesterday' },
      { madeBy: 'a/b' },
      { format: 0 },
      { format: '1' },
    ];
    for (const part of headers) {
      await forge(file, { ...HEADER, ...part }, [['cluster', CLUSTER]]);
      const error = await t.throwsAsync(
        checkBackup(backupFile(file)),
        { message: /cannot be used/ },
        JSON.stringify(part),
      );
      t.is((error as { code?: unknown }).code, 'INVALID_ARGUMENT');
      t.false(error?.message.includes('\u001b'));
    }
    await forge(file, { ...HEADER, extra: 'field' }, [['cluster', CLUSTER]]);
    t.false('extra' in (await checkBackup(backupFile(file))).header);
  });
});

test('a forged backup is refused with a reason when its state cannot be one', async (t) => {
  await use(async ({ file }) => {
    const node = { ...nodeDraft('n'), ...META };
    const states: readonly (readonly (readonly [Kind, unknown])[])[] = [
      [],
      [['cluster', { ...CLUSTER, ID: 'other' }]],
      [['cluster', { ...CLUSTER, Private: null }]],
      [
        ['cluster', CLUSTER],
        ['cluster', { ...CLUSTER, ID: 'second' }],
      ],
      [
        ['cluster', CLUSTER],
        ['node', null],
      ],
      [
        ['cluster', CLUSTER],
        ['node', { ...node, ID: '../n' }],
      ],
      [
        ['cluster', CLUSTER],
        ['node', { ...node, Version: { Index: 10 } }],
      ],
      [
        ['cluster', CLUSTER],
        ['node', { ...node, Version: undefined }],
      ],
    ];
    for (const state of states) {
      await forge(file, HEADER, state);
      await t.throwsAsync(checkBackup(backupFile(file)), {
        code: 'INVALID_ARGUMENT',
        message: /cannot be used/,
      });
    }
  });
});

test('a backup with bad objects is restored, and they stay as they were', async (t) => {
  await use(async ({ folder, file, self: old }) => {
    const self = { ...old, folder: join(folder, 'restored') };
    const node = nodeDraft('n1', { RaftID: 11 });
    const bad = { ...nodeDraft('n2'), ...META, Spec: 5n, Unknown: { deep: [1n] } };
    const odd = { ...node, ...META, Description: { ...node.Description, Resources: 2n ** 60n } };
    await forge(file, HEADER, [
      ['cluster', CLUSTER],
      ['node', odd],
      ['node', bad],
    ]);
    await installBackup(self, await checkBackup(backupFile(file)), {
      log: logOf(self),
      clock,
      logger,
    });
    const machine = await StoreStateMachine.open({
      folder: join(self.folder, 'state'),
      clock,
      logger,
    });
    const { tables } = machine.memory;
    t.like(tables.get('node', 'n1'), { Status: { State: 'down' }, RaftID: undefined });
    t.is(tables.get('node', 'n2'), undefined);
    t.deepEqual(tables.stored('node', 'n2') as unknown, bad);
    await machine.close();
  });
});

test('whatever a forged backup holds, it is refused or restored', async (t) => {
  await use(async ({ folder, file, self }) => {
    let restored = 0;
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.constant([]), spoils), spoils, async (inHeader, inObjects) => {
        const node = { ...nodeDraft('n1'), ...META };
        const header = spoil({ ...HEADER, ID: 0 }, inHeader);
        const objects = [CLUSTER, node].map((object) => spoil(object, inObjects));
        // JSON cannot express everything that can be stored.
        const json = JSON.stringify(header, (_name, value: unknown) =>
          typeof value === 'bigint' ? String(value) : value,
        );
        await forge(file, JSON.parse(json) as object, [
          ['cluster', objects[0]],
          ['node', objects[1]],
        ]);
        const own = { ...self, folder: join(folder, 'restored') };
        await rm(own.folder, { recursive: true, force: true });
        try {
          await installBackup(own, await checkBackup(backupFile(file)), {
            log: logOf(own),
            clock,
            logger,
          });
          restored += 1;
        } catch (error) {
          if ((error as { code?: unknown }).code !== 'INVALID_ARGUMENT') throw error;
        }
      }),
      { numRuns: 60 },
    );
    t.true(restored > 0);
  });
});
