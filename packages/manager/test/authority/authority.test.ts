import { ApiError } from '@swarm/api';
import test, { type ExecutionContext } from 'ava';
import { ALL_RIGHTS, mayUse, type PrincipalKind, type Proof } from '@swarm/identity';
import { API_ROUTES } from '../../src/api/api-routes.js';
import { Authority } from '../../src/authority/index.js';
import { removeNode } from '../../src/role-manager/index.js';
import { clusterDraft, root } from '../ca/cluster.js';
import { nodeDraft, patch, put } from '../support/objects.js';
import { createTestStore } from '../support/test-store.js';
import { VirtualClock } from '@swarm/sim';

const NOW = Date.parse('2026-11-01T00:00:00Z');

async function open() {
  const clock = new VirtualClock(NOW);
  const store = createTestStore({ clock });
  await put(store, 'cluster', await clusterDraft(await root(NOW)));
  const group = { members: [] as string[], leader: 'leader' as string | undefined };
  const world = { store, clock, group, catchUps: 0, behind: async () => {} };
  const authority = new Authority({
    view: store,
    group: () => group,
    async catchUp() {
      world.catchUps += 1;
      await world.behind();
    },
  });
  return Object.assign(world, { authority });
}

function proof(nodeId: string, role: 'manager' | 'worker', issuedAtMs = NOW): Proof {
  return {
    subject: { nodeId, role, clusterId: 'cluster' },
    issuedAtMs,
    expiresAtMs: issuedAtMs + 1e9,
  };
}

const asManager = {
  Spec: { Labels: {}, Role: 'manager' as const, Availability: 'active' as const },
  Role: 'manager' as const,
};

async function kind(
  authority: Authority,
  whose: Proof | undefined,
  right: string,
): Promise<PrincipalKind | 'denied' | 'no quorum'> {
  try {
    return (await authority.admit(whose, right)).kind;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return error.code === 'NO_QUORUM' ? 'no quorum' : 'denied';
  }
}

test('every route of a manager has a row, and a right without a row is denied to all', (t) => {
  const rows = new Set<string>(ALL_RIGHTS);
  for (const { method, pattern } of API_ROUTES)
    t.true(rows.has(`${method} ${pattern}`), `${method} ${pattern}`);
  for (const each of ['local', 'manager', 'worker', 'nobody'] as const) {
    for (const right of [
      'GET /x/new',
      'constructor',
      '__proto__',
      'UPGRADE /other',
      'message x',
      '',
    ])
      t.false(mayUse(each, right), `${each} ${right}`);
  }
});

test('only joining is for everybody, and only the local socket hands out keys', (t) => {
  const rights = (each: PrincipalKind) => ALL_RIGHTS.filter((right) => mayUse(each, right));
  t.deepEqual(rights('nobody'), ['GET /ca/root', 'POST /ca/certificates']);
  t.deepEqual(rights('unknown'), rights('nobody'));
  t.deepEqual(rights('newcomer'), ['GET /raft/probe', 'UPGRADE /raft', 'UPGRADE /raft/snapshot']);
  t.deepEqual(rights('demoted'), rights('worker'));
  for (const right of rights('worker'))
    t.regex(right, /^(GET|POST) \/ca\/|^UPGRADE \/dispatcher|^message |^(GET|POST) \/attachments/);
  for (const right of ['GET /x/backup', 'POST /x/restore', 'POST /swarm/leave', 'engine'])
    for (const each of ['manager', 'departing', 'worker', 'nobody'] as const)
      t.false(mayUse(each, right), `${each} ${right}`);
});

test('the store decides what a certificate allows', async (t) => {
  const { store, authority } = await open();
  await put(store, 'node', nodeDraft('w'));
  await put(store, 'node', nodeDraft('m', asManager));
  await put(store, 'node', nodeDraft('leaving', { RaftID: 7 }));
  const api = 'GET /nodes';
  const session = 'UPGRADE /dispatcher';
  const raft = 'UPGRADE /raft';
  const expected: [Proof | undefined, string, string, string][] = [
    // who, for the API, for a session, for Raft
    [undefined, 'denied', 'denied', 'denied'],
    [proof('w', 'worker'), 'denied', 'worker', 'denied'],
    [proof('w', 'manager'), 'denied', 'demoted', 'denied'],
    [proof('m', 'manager'), 'manager', 'manager', 'manager'],
    [proof('m', 'worker'), 'denied', 'worker', 'denied'],
    [proof('leaving', 'manager'), 'denied', 'departing', 'departing'],
    [proof('stranger', 'worker'), 'denied', 'denied', 'denied'],
    [proof('stranger', 'manager'), 'denied', 'denied', 'denied'],
  ];
  for (const [who, ...kinds] of expected) {
    for (const [at, right] of [api, session, raft].entries())
      t.is(
        await kind(authority, who, right),
        kinds[at] as never,
        `${who?.subject.nodeId} ${right}`,
      );
  }
});

test('a removed node is denied everywhere, whatever its certificate', async (t) => {
  const { store, authority, group } = await open();
  await put(store, 'node', nodeDraft('gone', asManager));
  await store.transact((transaction) => removeNode(transaction, 'gone', NOW));
  group.leader = undefined;
  group.members.push('gone');
  for (const right of ALL_RIGHTS)
    for (const role of ['manager', 'worker'] as const)
      t.is(await kind(authority, proof('gone', role, NOW + 1e6), right), 'denied', right);
});

test('a manager that is behind catches up before it denies', async (t) => {
  const world = await open();
  const { store, authority } = world;
  world.behind = async () => {
    await put(store, 'node', nodeDraft('joined'));
  };
  t.is(await kind(authority, proof('joined', 'worker'), 'UPGRADE /dispatcher'), 'worker');
  t.is(world.catchUps, 1);
  // A promotion not known here yet.
  world.behind = async () => {
    await patch(store, 'node', 'joined', (node) => ({ ...node, ...asManager }));
  };
  t.is(await kind(authority, proof('joined', 'manager'), 'GET /raft/members'), 'manager');
  t.is(world.catchUps, 2);
  // Known for certain: nothing to catch up on.
  t.is(await kind(authority, proof('joined', 'manager'), 'GET /nodes'), 'manager');
  t.is(await kind(authority, proof('joined', 'worker'), 'GET /nodes'), 'denied');
  t.is(world.catchUps, 2);
  world.behind = async () => {
    throw new ApiError('NO_QUORUM', 'no leader');
  };
  t.is(await kind(authority, proof('stranger', 'worker'), 'UPGRADE /dispatcher'), 'no quorum');
});

test('a member without a known leader lets in managers that may have joined since', async (t) => {
  const { store, authority, group } = await open();
  const raft = 'UPGRADE /raft';
  const node = await put(store, 'node', nodeDraft('w'));
  const updatedAtMs = Date.parse(node.UpdatedAt);
  const check = async (who: Proof, expected: string) =>
    t.is(await kind(authority, who, raft), expected as never);
  await check(proof('new', 'manager'), 'denied');
  group.leader = undefined;
  await check(proof('new', 'manager'), 'newcomer');
  await check(proof('new', 'worker'), 'denied');
  // A worker's old manager's certificate is from before it was demoted.
  await check(proof('w', 'manager', updatedAtMs), 'denied');
  await check(proof('w', 'manager', updatedAtMs + 1000), 'newcomer');
  // The leader itself, and members of the group, are never kept out of Raft.
  group.leader = 'new';
  await check(proof('new', 'manager'), 'newcomer');
  await check(proof('other', 'manager'), 'denied');
  group.members.push('w');
  await check(proof('w', 'manager', updatedAtMs), 'newcomer');
  t.is(await kind(authority, proof('new', 'manager'), 'GET /nodes'), 'denied');
  t.is(await kind(authority, proof('w', 'manager'), 'GET /raft/members'), 'denied');
});

test('an open connection is held only as long as the store says so', async (t) => {
  const { store, authority } = await open();
  await put(store, 'node', nodeDraft('m', asManager));
  const who = proof('m', 'manager');
  const holds = (right: string) => authority.holds(who, right);
  t.true(holds('GET /events') && holds('UPGRADE /raft') && holds('UPGRADE /dispatcher'));
  await patch(store, 'node', 'm', (node) => ({ ...node, RaftID: 7, Spec: nodeDraft('m').Spec }));
  t.false(holds('GET /events'));
  t.true(holds('UPGRADE /raft') && holds('UPGRADE /dispatcher'));
  await patch(store, 'node', 'm', ({ RaftID: _, ...node }) => node);
  t.false(holds('UPGRADE /raft'));
  t.true(holds('UPGRADE /dispatcher'));
  await store.transact((transaction) => removeNode(transaction, 'm', NOW));
  t.false(holds('UPGRADE /dispatcher'));
});

test('catching up that fails for another reason is not taken for an answer', async (t: ExecutionContext) => {
  const world = await open();
  world.behind = async () => {
    throw new Error('disk on fire');
  };
  await t.throwsAsync(world.authority.admit(proof('x', 'worker'), 'UPGRADE /dispatcher'), {
    message: 'disk on fire',
  });
});
