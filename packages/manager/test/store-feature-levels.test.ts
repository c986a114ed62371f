import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Cluster, PROGRAM, type Program, silentLogger } from '@swarm/api';
import { EntryKind } from '@swarm/raft';
import test from 'ava';
import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { checkBackup } from '../src/recovery/check-backup.js';
import { writeBackup } from '../src/recovery/backup-file.js';
import { backupFile } from '../src/recovery/files.js';
import { type Body, type Change, Codec } from '../src/store/command.js';
import {
  asOfLevel,
  FEATURE_LEVELS,
  type FeatureLevels,
  limitTo,
} from '../src/store/feature-levels.js';
import { KIND_CODES, KINDS } from '../src/store/kinds.js';
import { MemoryState } from '../src/store/memory-state.js';
import { ReplicatedStore } from '../src/store/replicated-store.js';
import { writeSnapshot } from '../src/store/snapshot-stream.js';
import { StoreStateMachine } from '../src/store/state-machine.js';
import type { Draft, Kind } from '../src/store/store.js';
import {
  clusterDraft,
  networkDraft,
  nodeDraft,
  revisionDraft,
  serviceDraft,
  taskDraft,
} from './support/objects.js';
import { VirtualClock } from '@swarm/sim';

const LEVEL = PROGRAM.FeatureLevel.Newest;
const packr = new Packr({ useRecords: false });

/** A program that understands more than this one. */
function programOf(Newest: number): Program {
  return { ...PROGRAM, Version: `${Newest}.0.0`, FeatureLevel: { Oldest: 1, Newest } };
}

/** Objects with every field that the real table or the one below names. */
const FULL: { readonly [K in Exclude<Kind, 'cluster'>]: Draft<K> } = {
  node: nodeDraft('n1', {
    ClientVersion: { Index: 1 },
    Status: { State: 'ready', Addr: '198.18.0.1', Protocol: 2, Instance: 'run1' },
    Description: {
      ...nodeDraft('n1').Description!,
      RuntimeCapabilities: ['images'],
      ListenPort: 2377,
      PortConflicts: [{ Protocol: 'tcp', PublishedPort: 80, Reason: 'nginx listens on it' }],
      Paths: { Problems: [] },
      Encryption: { PublicKey: 'a2V5', Epoch: 'e', Means: ['wireguard'] },
      Ipv6Addresses: ['2001:2::1'],
    },
  }),
  service: serviceDraft(
    's1',
    {
      ClientVersion: { Index: 1 },
      Revisions: { Current: 2, Completed: 1, Last: 2 },
      Creation: { Key: 'k', Digest: 'd'.repeat(43) },
    },
    {
      Labels: { a: 'b' },
      TaskTemplate: {
        ContainerSpec: { Image: 'nginx', Env: ['A=B'] },
        Networks: [{ Target: 'net1', Aliases: ['web'] }],
        ForceUpdate: 0,
      },
      EndpointSpec: {
        Allow: [{ From: 'web' }],
        Affinity: 'client',
        TrafficPolicy: 'local',
        RevisionWeight: 10,
        Ports: [
          {
            Name: 'http',
            Protocol: 'tcp',
            TargetPort: 80,
            PublishedPort: 8080,
            PublishMode: 'ingress',
            HostIP: '198.18.0.1',
            ProxyProtocol: 'v2',
            ClientLimits: { Connections: 5, Rate: 9, Per: 'hour', Burst: 20 },
          },
        ],
      },
    },
  ),
  task: taskDraft('t1', {
    Labels: { a: 'b' },
    Status: { ...taskDraft('t1').Status, StartedAt: '2026-01-01T00:00:00.000Z', Ipv6: true },
    Spec: { ...taskDraft('t1').Spec, NetworkAttachmentSpec: { ContainerID: 'a' } },
    Stop: { Reason: 'its node is drained', Moved: true },
    NetworksAttachments: [
      {
        Network: { ID: 'ing', Spec: { Name: 'ingress', Ingress: true } },
        Addresses: ['10.240.1.2/32'],
      },
    ],
  }),
  network: networkDraft('net1', { Creation: { Key: 'k', Digest: 'd'.repeat(43) } }),
  secret: { ID: 'sec1', Spec: { Name: 'sec', Labels: { a: 'b' }, Data: 'YQ==' } },
  config: { ID: 'con1', Spec: { Name: 'con', Labels: { a: 'b' }, Data: 'YQ==' } },
  revision: revisionDraft('rev1'),
  'removed-node': { ID: 'gone1', Until: '2027-01-01T00:00:00.000Z' },
};

const CLUSTER = {
  ...clusterDraft('c'),
  ...{ ClientVersion: { Index: 1 }, IngressRemoved: true, IngressSubnet: '10.11.0.0/16' },
};

/**
 * Stands for levels to come: real fields, each said to be new. What is refused below its level has tests of its
 * own.
 */
const LATER: FeatureLevels = {
  ...FEATURE_LEVELS,
  kinds: {},
  fields: [
    ...FEATURE_LEVELS.fields.filter(({ below }) => below === 'omit'),
    { kind: 'service', path: 'Spec.TaskTemplate.Networks.[].Aliases', level: 3, below: 'omit' },
    { kind: 'service', path: 'Spec.EndpointSpec.Ports.[].Name', level: 4, below: 'omit' },
    { kind: 'service', path: 'Spec.Labels.{}', level: 5, below: 'omit' },
    { kind: 'node', path: 'Status.Protocol', level: 2, below: 'omit' },
    { kind: 'node', path: 'Description.RuntimeCapabilities', level: 3, below: 'omit' },
    { kind: 'task', path: 'Labels', level: 2, below: 'omit' },
  ],
};

/** A store whose cluster is at a level, and every entry that it proposed. */
function storeAt(level: number, levels?: FeatureLevels, program = programOf(9)) {
  const entries: Uint8Array[] = [];
  const state = new MemoryState({ logger: silentLogger, codec: new Codec(program), freeze: true });
  const apply = (data: Uint8Array) => state.apply(state.view.index + 1, data).result;
  const body = { ...clusterDraft('cluster'), FeatureLevel: level } as Body;
  const create: Change = { action: 'create', kind: 'cluster', body };
  apply(state.codec.encodeCommand({ timeMs: 1, changes: [create] }));
  const store = new ReplicatedStore({
    state,
    clock: new VirtualClock(),
    ...(levels === undefined ? {} : { levels }),
    async propose(data) {
      entries.push(data);
      const result = apply(data);
      return { index: state.view.index, result };
    },
  });
  return { store, entries };
}

/** The values at a path of the table, in bytes as they went into the log. */
function valuesAt(value: unknown, [name = '', ...rest]: readonly string[]): unknown[] {
  if (name === '') return [value];
  if (typeof value !== 'object' || value === null) return [];
  const fields = value as Record<string, unknown>;
  const inner = name === '[]' || name === '{}' ? Object.values(fields) : [fields[name]];
  return inner.filter((one) => one !== undefined).flatMap((one) => valuesAt(one, rest));
}

test('at a level nothing that came with a higher one is in the bytes of an entry', async (t) => {
  const kinds = Object.keys(FULL) as (keyof typeof FULL)[];
  const cases = fc.record({
    level: fc.integer({ min: 1, max: 6 }),
    created: fc.uniqueArray(fc.constantFrom(...kinds), { minLength: 1 }),
    updates: fc.boolean(),
  });
  let omitted = 0;
  let kept = 0;
  await fc.assert(
    fc.asyncProperty(cases, async ({ level, created, updates }) => {
      const { store, entries } = storeAt(level, LATER);
      await store.transact((transaction) => {
        for (const kind of created) transaction.create(kind, FULL[kind] as Draft<typeof kind>);
      });
      if (updates) {
        await store.transact((transaction) => {
          for (const kind of created) {
            const { ID } = FULL[kind];
            const object = transaction.get(kind, ID)!;
            transaction.update(kind, { ...object, ...FULL[kind] } as typeof object);
          }
        });
      }
      for (const data of entries) {
        const [, , changes] = packr.unpack(data) as [number, number, [number, number, object][]];
        for (const [, code, body] of changes) {
          for (const field of LATER.fields) {
            if (KIND_CODES[field.kind] !== code) continue;
            const found = valuesAt(body, field.path.split('.')).length > 0;
            t.is(found, field.level <= level, `${field.path} at level ${level}`);
            if (found) kept += 1;
            else omitted += 1;
          }
        }
      }
    }),
  );
  t.true(omitted > 20 && kept > 20, 'both happened');
});

test('the real table names fields that objects have, of levels that this program has', (t) => {
  for (const { kind, path, level } of FEATURE_LEVELS.fields) {
    t.true(level > PROGRAM.FeatureLevel.Oldest && level <= LEVEL, path);
    const full = kind === 'cluster' ? CLUSTER : FULL[kind];
    t.true(valuesAt(full, path.split('.')).length > 0, `${kind} ${path} is in the objects above`);
  }
  for (const kind of KINDS) t.true((FEATURE_LEVELS.kinds[kind] ?? 1) <= LEVEL);
});

test('an object as of a level is what the store makes of it, and itself when nothing is omitted', async (t) => {
  for (const level of [1, 2, LEVEL]) {
    const { store } = storeAt(level, LATER);
    await store.transact((transaction) => transaction.create('node', FULL.node));
    const { Status, Description } = store.get('node', 'n1')!;
    t.like(asOfLevel('node', FULL.node, level, LATER), { Status, Description });
    t.is(asOfLevel('node', FULL.node, level, LATER) === FULL.node, level === LEVEL);
  }
  t.is(asOfLevel('secret', FULL.secret, 1, LATER), FULL.secret);
});

test('what a user asks for and the level has not is refused, and says what to do', async (t) => {
  const { store, entries } = storeAt(1, {
    ...FEATURE_LEVELS,
    kinds: { ...FEATURE_LEVELS.kinds, secret: 2 },
    actions: { ...FEATURE_LEVELS.actions, remove: 3 },
    fields: [{ kind: 'service', path: 'Spec.EndpointSpec', level: 2, below: 'refuse' }],
  });
  await t.throwsAsync(
    store.transact((transaction) => transaction.create('service', FULL.service)),
    { message: /field Spec\.EndpointSpec needs feature level 2, the cluster is at 1: upgrade/ },
  );
  await t.throwsAsync(
    store.transact((transaction) => transaction.create('secret', FULL.secret)),
    { message: /create of a secret needs feature level 2/ },
  );
  await store.transact((transaction) => transaction.create('node', FULL.node));
  await t.throwsAsync(
    store.transact((transaction) => transaction.remove('node', 'n1')),
    { message: /remove of a node needs feature level 3/ },
  );
  t.is(entries.length, 1);
});

test('the level never falls, and rises only to what the program can', async (t) => {
  const { store } = storeAt(1);
  const raise = (FeatureLevel: number) =>
    store.transact((transaction) => {
      transaction.update('cluster', { ...transaction.cluster()!, FeatureLevel });
    });
  await t.throwsAsync(raise(LEVEL + 1), { message: /cannot raise the feature level/ });
  await raise(LEVEL);
  t.is(store.cluster()?.FeatureLevel, LEVEL);
  await t.throwsAsync(raise(LEVEL - 1), { message: /cannot fall/ });
});

test('the entry that raises the level is written as of the level before', (t) => {
  const body = { ...clusterDraft('c'), FeatureLevel: 2 } as Body;
  const levels: FeatureLevels = {
    ...FEATURE_LEVELS,
    fields: [{ kind: 'cluster', path: 'DataPathPort', level: 2, below: 'omit' }],
  };
  const [change] = limitTo(1, [{ action: 'update', kind: 'cluster', body, expected: 1 }], levels);
  t.false('DataPathPort' in (change as { body: object }).body);
});

test('a member that is too old stops at the entry that raises the level, and applies none of it', (t) => {
  const state = new MemoryState({ logger: silentLogger, codec: new Codec(programOf(1)) });
  const body = { ...clusterDraft('c'), FeatureLevel: 1 } as Body;
  const of = (change: Change) => new Codec().encodeCommand({ timeMs: 1, changes: [change] });
  state.apply(1, of({ action: 'create', kind: 'cluster', body }));
  const raised = { ...body, FeatureLevel: 2 } as Body;
  t.throws(
    () => state.apply(2, of({ action: 'update', kind: 'cluster', body: raised, expected: 1 })),
    {
      code: 'STORE_COMMAND_FORMAT',
      message: /at feature level 2, and this node runs swarm 1\.0\.0, .*upgrade this node first/,
    },
  );
  t.is(state.view.index, 1);
  t.is(state.view.cluster()?.FeatureLevel, 1);
});

const ABOVE = { ...clusterDraft('cluster-1'), FeatureLevel: LEVEL + 1 };
const META = {
  Version: { Index: 1 },
  CreatedAt: '2026-01-01T00:00:00.000Z',
  UpdatedAt: '2026-01-01T00:00:00.000Z',
};
const TOO_OLD = new RegExp(
  `at feature level ${LEVEL + 1}, and this node runs swarm .*upgrade this node`,
);

function snapshot(cluster: object) {
  async function* objects() {
    yield { kind: 'cluster' as const, value: new Codec().encode({ ...cluster, ...META }) };
  }
  return writeSnapshot(1, objects());
}

test('a state or a snapshot of a higher level stops the manager that opens it', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'swarm-levels-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const options = { folder, clock: new VirtualClock(), logger: silentLogger };
  const machine = await StoreStateMachine.open(options);
  const meta = { index: 1, term: 1 } as Parameters<StoreStateMachine['restore']>[0];
  // Not a refused snapshot: the leader would send it again for ever.
  await t.throwsAsync(machine.restore(meta, snapshot(ABOVE)), {
    code: 'STORE_FEATURE_LEVEL',
    message: TOO_OLD,
  });
  t.is(machine.memory.view.cluster(), undefined);
  await machine.restore(meta, snapshot({ ...ABOVE, FeatureLevel: LEVEL }));
  await machine.close();
  // As a newer program leaves the folder behind.
  const newer = await StoreStateMachine.open({ ...options, program: programOf(LEVEL + 1) });
  const raised = { ...newer.memory.view.cluster()!, FeatureLevel: LEVEL + 1 } as Cluster;
  const change: Change = { action: 'update', kind: 'cluster', body: raised as Body, expected: 1 };
  const data = new Codec().encodeCommand({ timeMs: 1, changes: [change] });
  newer.apply([{ index: 2, term: 1, kind: EntryKind.Normal, data }]);
  await newer.close();
  await t.throwsAsync(StoreStateMachine.open(options), {
    code: 'STORE_FEATURE_LEVEL',
    message: TOO_OLD,
  });
});

test('a backup of a higher level is not restored', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'swarm-levels-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const path = join(folder, 'backup');
  const header = {
    format: 1,
    clusterId: 'cluster-1',
    index: 1,
    term: 1,
    members: [],
    removed: [],
    madeAt: META.CreatedAt,
    madeBy: 'node-1',
  };
  await writeFile(path, writeBackup(header, snapshot(ABOVE)));
  await t.throwsAsync(checkBackup(backupFile(path)), { message: TOO_OLD });
  await writeFile(path, writeBackup(header, snapshot({ ...ABOVE, FeatureLevel: LEVEL })));
  t.is((await checkBackup(backupFile(path))).cluster.FeatureLevel, LEVEL);
});
