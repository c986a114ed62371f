import { randomBytes, X509Certificate } from 'node:crypto';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { ApiError, type ErrorCode, PROGRAM, silentLogger } from '@swarm/api';
import test, { type ExecutionContext } from 'ava';
import {
  createKeyRequest,
  expiresAt,
  fetchRoot,
  identify,
  type NodeIdentity,
  type Proof,
  prove,
  requestCertificate,
  type Subject,
  subjectOf,
  tlsServerOptions,
  validityProblem,
} from '@swarm/identity';
import { createCaServer, x509Issuer } from '../../src/ca/index.js';
import { JOINS, RENEWALS } from '../../src/ca/issue-limit.js';
import { removeNode } from '../../src/role-manager/index.js';
import type { Draft } from '../../src/store/store.js';
import { nodeDraft, patch, put } from '../support/objects.js';
import { createTestStore } from '../support/test-store.js';
import { VirtualClock } from '@swarm/sim';
import { CLUSTER_ID, clusterDraft, DAY_MS, identity, root } from './cluster.js';

/** What a certificate issued at `nowMs` proves. */
function proofOf(subject: Subject, nowMs: number): Proof {
  return { subject, issuedAtMs: nowMs, expiresAtMs: nowMs + DAY_MS };
}

/** A manager of a fresh cluster that serves the CA's routes over real TLS on loopback. */
async function serve(
  t: ExecutionContext,
  serverRole: 'manager' | 'worker' = 'manager',
  /** When the server got its certificate, and for how long. */
  served: { readonly ageMs: number; readonly lifeMs: number } = { ageMs: 0, lifeMs: DAY_MS },
) {
  // TLS itself looks at the real clock, so certificates are made now.
  const clock = new VirtualClock(Date.now());
  const authority = await root(clock.now());
  const store = createTestStore({ clock });
  const cluster = await put(store, 'cluster', await clusterDraft(authority));
  const ca = createCaServer({
    store,
    clock,
    logger: silentLogger,
    randomBytes,
    issuer: x509Issuer,
  });
  const own = await identity(
    authority,
    clock.now() - served.ageMs,
    { nodeId: 'm1', role: serverRole },
    served.lifeMs,
  );
  /** Set, the manager takes everybody for this one, and certifies this key. */
  const misled: { subject?: Subject | undefined; csr?: string } = {};

  const server = createServer(tlsServerOptions(own), async (request, response) => {
    try {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const socket = request.socket as TLSSocket;
      const trust = { rootCertificate: authority.certificate, clusterId: CLUSTER_ID };
      let proof = socket.getPeerX509Certificate() === undefined ? undefined : prove(socket, trust);
      if (misled.subject !== undefined) proof = proofOf(misled.subject, clock.now());
      const peer = { remoteAddress: '198.18.0.9', ...(proof === undefined ? {} : { proof }) };
      const { csr } = misled;
      const reply =
        request.url === '/ca/root'
          ? ca.root()
          : await ca.issue(
              { ...JSON.parse(Buffer.concat(chunks).toString()), ...(csr && { csr }) },
              peer,
            );
      response.end(JSON.stringify(reply));
    } catch (error) {
      const { status, code, message } = error as ApiError;
      response.writeHead(status).end(JSON.stringify({ code, message }));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { clock, authority, store, cluster, ca, address, misled };
}

async function fails(
  t: ExecutionContext,
  code: ErrorCode,
  message: RegExp,
  work: Promise<unknown>,
) {
  const error = await t.throwsAsync(work, { instanceOf: ApiError, message });
  t.is((error as ApiError | undefined)?.code, code);
}

test('a node joins with a token and then renews with its certificate alone', async (t) => {
  const { store, cluster, address } = await serve(t);
  const token = cluster.JoinTokens.Worker;
  const rootCertificate = await fetchRoot(address, token);
  t.is(rootCertificate, cluster.Private.CACert);

  const { key, csr } = await createKeyRequest();
  const joined = await requestCertificate(
    address,
    { rootCertificate },
    { csr, token, hostname: 'w' },
  );
  t.is(joined.role, 'worker');
  const node = store.get('node', joined.nodeId);
  t.is(node?.Spec.Role, 'worker');
  t.is(node?.Status.State, 'unknown');
  t.is(node?.Description?.Hostname, 'w');

  const own: NodeIdentity = { rootCertificate, certificate: joined.certificate, key };
  const next = await createKeyRequest();
  const renewed = await requestCertificate(address, own, { csr: next.csr });
  t.is(renewed.nodeId, joined.nodeId);
  t.not(renewed.certificate, joined.certificate);
  t.is(store.count('node'), 1);
});

test('a node whose program does not fit leaves nothing behind in the cluster', async (t) => {
  const { store, cluster, address } = await serve(t);
  const level = PROGRAM.FeatureLevel.Newest;
  await patch(store, 'cluster', cluster.ID, (one) => ({ ...one, FeatureLevel: level }));
  const { Worker, Manager } = cluster.JoinTokens;
  const rootCertificate = cluster.Private.CACert;
  const join = async (token: string, program: object) => {
    const { csr } = await createKeyRequest();
    const body = { csr, token, program: { ...PROGRAM, ...program } };
    return requestCertificate(address, { rootCertificate }, body);
  };
  const old = { Version: '0.0.1', FeatureLevel: { Oldest: 1, Newest: level - 1 } };
  const sentence = /the joining node runs swarm 0\.0\.1, .*: upgrade the joining node first/;
  await fails(t, 'WRONG_VERSION', sentence, join(Manager, old));
  const { Newest } = PROGRAM.Protocol;
  const far = { Protocol: { Oldest: Newest + 1, Newest: Newest + 2 } };
  for (const token of [Worker, Manager])
    await fails(t, 'WRONG_VERSION', /upgrade the leader of the cluster first/, join(token, far));
  await fails(t, 'INVALID_ARGUMENT', /"program"/, join(Worker, { FeatureLevel: 7 }));
  t.is(store.count('node'), 0);
  t.is((await join(Worker, old)).role, 'worker', 'a worker stores nothing');
  t.is((await join(Manager, {})).role, 'manager');
});

test('a node takes no certificate of another node, and none for another key', async (t) => {
  const { cluster, address, misled } = await serve(t);
  const rootCertificate = cluster.Private.CACert;
  const { Worker: token } = cluster.JoinTokens;
  const join = async () => {
    const { key, csr } = await createKeyRequest();
    const joined = await requestCertificate(address, { rootCertificate }, { csr, token });
    return {
      nodeId: joined.nodeId,
      own: { rootCertificate, certificate: joined.certificate, key },
    };
  };
  const { own } = await join();
  const other = await join();
  const { csr } = await createKeyRequest();
  misled.subject = { nodeId: other.nodeId, role: 'worker', clusterId: CLUSTER_ID };
  const wrong = /of another node or key/;
  await fails(t, 'UNAUTHENTICATED', wrong, requestCertificate(address, own, { csr }));
  misled.subject = undefined;
  misled.csr = (await createKeyRequest()).csr;
  await fails(t, 'UNAUTHENTICATED', wrong, requestCertificate(address, own, { csr }));
  const first = requestCertificate(address, { rootCertificate }, { csr, token });
  await fails(t, 'UNAUTHENTICATED', wrong, first);
});

test('a join that is tried again with the same key makes no second node', async (t) => {
  const { store, cluster, ca } = await serve(t);
  const { csr } = await createKeyRequest();
  const body = { csr, token: cluster.JoinTokens.Manager, program: PROGRAM };
  const peer = { remoteAddress: '198.18.0.9' };
  const [first, second] = await Promise.all([ca.issue(body, peer), ca.issue(body, peer)]);
  const third = await ca.issue(body, peer);
  t.is(first.nodeId, second.nodeId);
  t.is(first.nodeId, third.nodeId);
  t.is(third.role, 'manager');
  t.is(store.count('node'), 1);
});

test('a worker’s token makes no manager, also not of the key that one joined with', async (t) => {
  const { cluster, ca, store } = await serve(t);
  const { csr } = await createKeyRequest();
  const peer = { remoteAddress: '198.18.0.9' };
  const { Worker, Manager } = cluster.JoinTokens;
  const { nodeId } = await ca.issue({ csr, token: Worker }, peer);
  await patch(store, 'node', nodeId, (node) => ({
    ...node,
    Spec: { ...node.Spec, Role: 'manager' },
  }));
  // Who has an old copy of the worker's disk has this key.
  await fails(t, 'INVALID_TOKEN', /is a manager by now/, ca.issue({ csr, token: Worker }, peer));
  t.is((await ca.issue({ csr, token: Manager, program: PROGRAM }, peer)).role, 'manager');
});

test('a wrong, rotated or foreign token is refused and says where to get the right one', async (t) => {
  const { cluster, address, store } = await serve(t);
  const other = await clusterDraft(await root(Date.now()));
  const foreign = other.JoinTokens.Worker;
  await fails(
    t,
    'INVALID_TOKEN',
    /not for the cluster of the manager/,
    fetchRoot(address, foreign),
  );
  await fails(t, 'INVALID_TOKEN', /copy it whole/, fetchRoot(address, 'SWMTKN-1-x'));

  const rootCertificate = cluster.Private.CACert;
  const { csr } = await createKeyRequest();
  const rotated = cluster.JoinTokens.Worker.replace(/.{5}$/, 'zzzzz');
  const join = (token?: string) =>
    requestCertificate(
      address,
      { rootCertificate },
      token === undefined ? { csr } : { csr, token },
    );
  await fails(t, 'INVALID_TOKEN', /rotated.*swarm join-token worker/, join(rotated));
  await fails(t, 'INVALID_TOKEN', /another cluster.*swarm join-token worker/, join(foreign));
  await fails(t, 'INVALID_TOKEN', /not a join token/, join('guess'));
  await fails(t, 'INVALID_TOKEN', /token is needed/, join());
  t.is(store.count('node'), 0);
});

test('a certificate is later than what its node was before, also for a leader whose clock is behind', async (t) => {
  const { store, cluster, clock, authority } = await serve(t);
  const trust = { rootCertificate: authority.certificate, clusterId: CLUSTER_ID };
  const { csr } = await createKeyRequest();
  const peer = { remoteAddress: '198.18.0.9' };
  // What leaders wrote before is by the clock that is ahead.
  for (const [behindMs, isLater] of [
    [10 * 60_000, true],
    [5 * 60 * 60_000, false],
  ] as const) {
    const behind = { now: () => clock.now() - behindMs, monotonicMs: () => clock.monotonicMs() };
    const ca = createCaServer({
      store,
      clock: Object.assign(Object.create(clock), behind),
      logger: silentLogger,
      randomBytes,
      issuer: x509Issuer,
    });
    const { nodeId } = await ca.issue({ csr, token: cluster.JoinTokens.Worker }, peer);
    const before = Date.parse(store.get('node', nodeId)!.UpdatedAt);
    await clock.advance(2_000);
    const subject: Subject = { nodeId, role: 'worker', clusterId: CLUSTER_ID };
    const proof = proofOf(subject, behind.now());
    const { certificate } = await ca.issue({ csr }, { ...peer, proof });
    // A host whose clock goes with the leader's takes it at once, however far that is behind.
    const nowMs = behind.now();
    const { issuedAtMs } = identify(new X509Certificate(certificate), { ...trust, nowMs });
    t.is(issuedAtMs > before, isLater);
  }
});

test('an address that failed too often must wait, others need not', async (t) => {
  const { cluster, ca, clock } = await serve(t);
  const { csr } = await createKeyRequest();
  const wrong = { csr, token: cluster.JoinTokens.Worker.replace(/.{5}$/, 'zzzzz') };
  const right = { csr, token: cluster.JoinTokens.Worker };
  for (let attempt = 0; attempt < 10; attempt += 1) {
    await fails(t, 'INVALID_TOKEN', /rotated/, ca.issue(wrong, { remoteAddress: 'a' }));
  }
  await fails(t, 'OVERLOADED', /wait a minute/, ca.issue(right, { remoteAddress: 'a' }));
  for (let i = 0; i < 10; i++)
    await fails(
      t,
      'INVALID_TOKEN',
      /rotated/,
      ca.issue(wrong, { remoteAddress: `2001:db8::${i}` }),
    );
  // One host has as many addresses as it likes in its /64.
  const sameHost = ca.issue(right, { remoteAddress: '2001:db8::ffff:1' });
  await fails(t, 'OVERLOADED', /wait a minute/, sameHost);
  await t.notThrowsAsync(ca.issue(right, { remoteAddress: 'b' }));
  await clock.advance(60_000);
  await t.notThrowsAsync(ca.issue(right, { remoteAddress: 'a' }));
});

test('a node that has its certificate renewed in a loop costs a log entry a second, others renew', async (t) => {
  const { ca, store, clock } = await serve(t);
  for (const id of ['loops', 'other']) await put(store, 'node', nodeDraft(id));
  const { csr } = await createKeyRequest();
  const renew = (nodeId: string) =>
    ca.issue(
      { csr },
      {
        remoteAddress: '198.18.0.9',
        proof: proofOf({ nodeId, role: 'worker', clusterId: CLUSTER_ID }, clock.now()),
      },
    );
  const before = store.index;
  const answers = await Promise.allSettled(Array.from({ length: 200 }, () => renew('loops')));
  t.true(answers.some(({ status }) => status === 'fulfilled'));
  t.true(answers.some((each) => each.status === 'rejected' && each.reason.code === 'OVERLOADED'));
  t.true(store.index - before <= RENEWALS.burst, `${store.index - before} entries`);
  await fails(t, 'OVERLOADED', /too often: try again in 1 s/, renew('loops'));
  await t.notThrowsAsync(renew('other'));
  await clock.advance(1000);
  await t.notThrowsAsync(renew('loops'));
});

test('a stolen token makes no more nodes than its rate for a host; others still join', async (t) => {
  const { ca, cluster, store, clock } = await serve(t);
  const { Worker: token } = cluster.JoinTokens;
  const join = async (remoteAddress: string) => {
    const { csr } = await createKeyRequest();
    return ca.issue({ csr, token }, { remoteAddress });
  };
  for (let made = 0; made < JOINS.burst; made += 1) await join('fd00::1');
  const nodes = store.count('node');
  // Another address of the same host.
  await fails(
    t,
    'OVERLOADED',
    /Too many nodes join from fd00::2: try again in 1 s/,
    join('fd00::2'),
  );
  t.is(store.count('node'), nodes);
  await t.notThrowsAsync(join('fd00:0:0:1::1'));
  await clock.advance(1000 / JOINS.perSecond);
  await t.notThrowsAsync(join('fd00::1'));
});

test('renewal gives the role that is wanted, to a manager only once it left Raft', async (t) => {
  const { cluster, ca, store, clock } = await serve(t);
  const { csr } = await createKeyRequest();
  const peer = { remoteAddress: '198.18.0.9' };
  const { nodeId } = await ca.issue({ csr, token: cluster.JoinTokens.Worker }, peer);
  const subject: Subject = { nodeId, role: 'worker', clusterId: CLUSTER_ID };
  const renew = async () => {
    const proof = proofOf(subject, clock.now());
    const { role, certificate } = await ca.issue({ csr }, { ...peer, proof });
    t.is(subjectOf(new X509Certificate(certificate))?.role, role);
    t.is(store.get('node', nodeId)?.Role, role);
    return role;
  };
  const want = (Role: 'worker' | 'manager', RaftID?: number) =>
    patch(store, 'node', nodeId, ({ RaftID: _, ...node }) => ({
      ...node,
      Spec: { ...node.Spec, Role },
      ...(RaftID === undefined ? {} : { RaftID }),
    }));

  t.is(await renew(), 'worker');
  await want('manager');
  t.is(await renew(), 'manager');
  await want('worker', 7);
  t.is(await renew(), 'manager');
  await want('worker');
  t.is(await renew(), 'worker');
});

test('a removed node cannot renew, nor join again with the same key', async (t) => {
  const { cluster, ca, store, address, clock } = await serve(t);
  const { csr, key } = await createKeyRequest();
  const token = cluster.JoinTokens.Worker;
  const rootCertificate = cluster.Private.CACert;
  const joined = await requestCertificate(address, { rootCertificate }, { csr, token });
  await store.transact((transaction) => removeNode(transaction, joined.nodeId, clock.now()));

  const own = { rootCertificate, certificate: joined.certificate, key };
  const message = /removed.*swarm leave --force/;
  await fails(t, 'PERMISSION_DENIED', message, requestCertificate(address, own, { csr }));
  const peer = { remoteAddress: '198.18.0.9' };
  await fails(t, 'PERMISSION_DENIED', message, ca.issue({ csr, token }, peer));
});

test('a node is not sent to a server that is no manager, or of another cluster', async (t) => {
  const worker = await serve(t, 'worker');
  const { csr } = await createKeyRequest();
  const token = worker.cluster.JoinTokens.Worker;
  const ask = (rootCertificate: string) =>
    requestCertificate(worker.address, { rootCertificate }, { csr, token });
  await fails(t, 'UNAUTHENTICATED', /not a manager/, ask(worker.authority.certificate));
  const foreign = await root(Date.now());
  await fails(t, 'UNAUTHENTICATED', /could not be talked to/, ask(foreign.certificate));
});

test('an expired certificate is answered with when, and what to do', async (t) => {
  const { authority, address, clock } = await serve(t);
  const day = 24 * 60 * 60 * 1000;
  const old = await identity(authority, clock.now() - 10 * day, {}, 5 * day);
  const { csr } = await createKeyRequest();
  const message = /expired at .*swarm leave --force/;
  await fails(t, 'CERTIFICATE_EXPIRED', message, requestCertificate(address, old, { csr }));
});

/** A worker of the cluster whose last certificate was valid for five days, and expired some days ago. */
async function lateWorker(
  { authority, store, clock }: Awaited<ReturnType<typeof serve>>,
  expiredDays: number,
  node: Partial<Draft<'node'>> = {},
): Promise<NodeIdentity> {
  const issuedAtMs = clock.now() - (5 + expiredDays) * DAY_MS;
  const late = await identity(authority, issuedAtMs, { nodeId: 'late' }, 5 * DAY_MS);
  const CertificateExpiresAt = new Date(
    expiresAt(new X509Certificate(late.certificate)),
  ).toISOString();
  await put(store, 'node', nodeDraft('late', { CertificateExpiresAt, ...node }));
  return late;
}

test('a worker renews its last certificate for as long after its time as it was valid', async (t) => {
  const served = await serve(t);
  const late = await lateWorker(served, 4);
  const { csr } = await createKeyRequest();
  const reply = await requestCertificate(served.address, late, { csr });
  t.like(reply, { nodeId: 'late', role: 'worker' });
  // The one before is not the last any more: a stolen copy of it is of no use.
  const { csr: again } = await createKeyRequest();
  await fails(
    t,
    'CERTIFICATE_EXPIRED',
    /expired at/,
    requestCertificate(served.address, late, { csr: again }),
  );
});

test('nobody else renews an expired certificate', async (t) => {
  const later = await serve(t);
  const promoted = await serve(t);
  const stale = await serve(t);
  const cases = [
    [later, await lateWorker(later, 6)],
    [
      promoted,
      await lateWorker(promoted, 1, { Spec: { ...nodeDraft('x').Spec, Role: 'manager' } }),
    ],
    [
      stale,
      await lateWorker(stale, 1, {
        CertificateExpiresAt: new Date(stale.clock.now() + DAY_MS).toISOString(),
      }),
    ],
  ] as const;
  const { csr } = await createKeyRequest();
  for (const [{ address }, late] of cases) {
    const message = /expired at .*clock of this manager says .*swarm leave --force/;
    await fails(t, 'CERTIFICATE_EXPIRED', message, requestCertificate(address, late, { csr }));
  }
  const { store, clock, authority, address } = await serve(t);
  await put(store, 'node', nodeDraft('m2', { Role: 'manager' }));
  const old = clock.now() - 6 * DAY_MS;
  const manager = await identity(authority, old, { nodeId: 'm2', role: 'manager' }, 5 * DAY_MS);
  await fails(t, 'CERTIFICATE_EXPIRED', /expired/, requestCertificate(address, manager, { csr }));
});

test('a manager whose certificate is not valid by our clock is reported with both clocks', async (t) => {
  const expired = await serve(t, 'manager', { ageMs: 10 * DAY_MS, lifeMs: 5 * DAY_MS });
  const { rootCertificate } = await identity(expired.authority, Date.now());
  const { csr } = await createKeyRequest();
  const ask = requestCertificate(expired.address, { rootCertificate }, { csr, token: 'x' });
  await fails(t, 'UNAUTHENTICATED', /valid from 20.* to 20.*, and both clocks say 20.*again/, ask);
});

test('clocks that differ are named, with by how much', (t) => {
  const at = (text: string) => Date.parse(`${text}Z`);
  const life = { startsAtMs: at('2026-01-01T00:00'), expiresAtMs: at('2026-04-01T00:00') };
  t.is(
    validityProblem({ ...life, nowMs: at('2026-01-10T12:00') }, at('2026-04-20T12:00')),
    'its certificate is valid from 2026-01-01T00:00Z to 2026-04-01T00:00Z; the clock of this host says 2026-04-20T12:00Z, that of the manager 2026-01-10T12:00Z: they are 100 days apart (this one ahead), so set the wrong one right',
  );
  t.regex(
    validityProblem({ ...life, nowMs: at('2026-01-01T01:00') }, at('2025-12-31T21:00')),
    /4 hours apart \(this one behind\)/,
  );
  t.regex(
    validityProblem({ ...life, nowMs: undefined }, at('2026-05-01T00:00')),
    /clock of this host says 2026-05-01T00:00Z: compare the clocks of both hosts/,
  );
  t.regex(
    validityProblem({ startsAtMs: Number.NaN, expiresAtMs: 1e300, nowMs: 1e300 }, 0),
    /^its certificate is valid from a time that cannot be read to a time that cannot be read;/,
    'nothing proves who answers: it may have any certificate',
  );
});

test('a body that is not a request for a certificate is refused field by field', async (t) => {
  const { ca } = await serve(t);
  const peer = { remoteAddress: '198.18.0.9' };
  for (const [body, message] of [
    [null, /JSON object/],
    [{}, /"csr"/],
    [{ csr: 'x', token: 1 }, /"token"/],
    [{ csr: 'x', hostname: 'h'.repeat(300) }, /"hostname"/],
    [{ csr: 'x', availability: 'sometimes' }, /"availability"/],
  ] as const) {
    await fails(t, 'INVALID_ARGUMENT', message, ca.issue(body, peer));
  }
});

test('a removed node is remembered until the last of its certificates expires, not the latest', async (t) => {
  const { cluster, store, address, clock } = await serve(t);
  const { csr, key } = await createKeyRequest();
  const rootCertificate = cluster.Private.CACert;
  const { Worker: token } = cluster.JoinTokens;
  const joined = await requestCertificate(address, { rootCertificate }, { csr, token });
  const lastMs = Date.parse(store.get('node', joined.nodeId)!.CertificateExpiresAt!);
  await patch(store, 'cluster', cluster.ID, (object) => ({
    ...object,
    Spec: { ...object.Spec, CAConfig: { NodeCertExpiry: 3600e9 } },
  }));
  const own = { rootCertificate, certificate: joined.certificate, key };
  const renewed = await requestCertificate(address, own, { csr });
  t.true(Date.parse(new X509Certificate(renewed.certificate).validTo) < lastMs);
  t.is(Date.parse(store.get('node', joined.nodeId)!.CertificateExpiresAt!), lastMs);
  await store.transact((transaction) => removeNode(transaction, joined.nodeId, clock.now()));
  const { Until } = store.get('removed-node', joined.nodeId)!;
  t.true(Date.parse(Until) >= lastMs);
});

test('a request for a certificate is taken field by field', async (t) => {
  const { ca, cluster } = await serve(t);
  const { csr } = await createKeyRequest();
  const peer = { remoteAddress: '198.18.0.9' };
  const { Worker: token } = cluster.JoinTokens;
  for (const bad of [
    undefined,
    [],
    'x',
    { token },
    { csr: 'a'.repeat(10_000), token },
    { csr, token: 'a'.repeat(1000) },
    { csr, token: 5 },
    { csr, token, hostname: 'a\u001b[31m' },
    { csr, token, hostname: 'a'.repeat(254) },
    { csr, token, availability: 'gone' },
  ])
    await fails(
      t,
      'INVALID_ARGUMENT',
      /"csr"|"token"|"hostname"|"availability"|JSON object/,
      ca.issue(bad, peer),
    );
});
