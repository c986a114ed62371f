import { randomBytes, X509Certificate } from 'node:crypto';
import {
  ApiError,
  type ErrorCode,
  makeJoinToken,
  parseJoinToken,
  rootDigest,
  SECOND,
} from '@swarm/api';
import test, { type ExecutionContext } from 'ava';
import { certificateDer, issueCertificate, nodeLifeMs } from '../../src/ca/index.js';
import { silentLogger } from '@swarm/api';
import {
  createKeyRequest,
  expiresAt,
  identify,
  readRequest,
  renewalTime,
  startRenewer,
  startsAt,
  subjectOf,
  tlsInfo,
} from '@swarm/identity';
import { VirtualClock } from '@swarm/sim';
import { CLUSTER_ID, caContext, clusterDraft, DAY_MS, identity, root } from './cluster.js';

const NOW = Date.UTC(2026, 5, 1);
const HOUR_MS = 60 * 60 * 1000;

function throwsCode(t: ExecutionContext, code: ErrorCode, message: RegExp, act: () => unknown) {
  const error = t.throws(act, { instanceOf: ApiError, message });
  t.is(error?.code, code);
}

test('a root lasts 20 years, is called swarm-ca and may sign nodes only', async (t) => {
  const { certificate } = await root(NOW);
  const parsed = new X509Certificate(certificate);
  t.is(parsed.subject, 'CN=swarm-ca');
  t.true(parsed.ca);
  t.true(startsAt(parsed) < NOW - 300 * DAY_MS, 'the clock of the founder may be ahead');
  t.is(expiresAt(parsed), NOW + 20 * 365 * DAY_MS);
  t.is(parsed.publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1');
  t.true(parsed.verify(parsed.publicKey));
});

test('TLSInfo holds the subject and public key of the root as DER', async (t) => {
  const { certificate } = await root(NOW);
  const info = tlsInfo(certificate);
  const { publicKey } = new X509Certificate(certificate);
  const der = publicKey.export({ type: 'spki', format: 'der' }) as Buffer;
  t.is(info.CertIssuerPublicKey, der.toString('base64'));
  t.is(info.CertIssuerSubject, 'MBMxETAPBgNVBAMTCHN3YXJtLWNh');
  t.is(info.TrustRoot, certificate);
});

test('a join token carries the digest of the root and parses back', async (t) => {
  const { certificate } = await root(NOW);
  const token = makeJoinToken(certificateDer(certificate), randomBytes);
  t.regex(token, /^SWMTKN-1-[0-9a-z]{50}-[0-9a-z]{25}$/);
  t.is(parseJoinToken(token)?.digest, rootDigest(certificateDer(certificate)));
  t.is(parseJoinToken(token.slice(1)), undefined);
  t.is(parseJoinToken(`${token}0`), undefined);
  t.not(makeJoinToken(certificateDer(certificate), randomBytes), token);
});

test('a node certificate has the subject that the CA sets, never the one asked for', async (t) => {
  const authority = await root(NOW);
  const malicious = { nodeId: 'other', role: 'manager', clusterId: 'elsewhere' } as const;
  const request = await createKeyRequest(malicious);
  const issued = await issueCertificate(
    caContext(NOW),
    authority,
    await readRequest(request.csr),
    { nodeId: 'node', role: 'worker', clusterId: CLUSTER_ID },
    90 * DAY_MS,
  );
  const parsed = new X509Certificate(issued.certificate);
  t.deepEqual(subjectOf(parsed), { nodeId: 'node', role: 'worker', clusterId: CLUSTER_ID });
  t.is(startsAt(parsed), NOW - HOUR_MS);
  t.is(expiresAt(parsed), NOW + 90 * DAY_MS);
  t.false(parsed.ca);
  t.deepEqual(parsed.keyUsage, ['1.3.6.1.5.5.7.3.2', '1.3.6.1.5.5.7.3.1']);
});

test('a request that was tampered with, is garbage or too long is refused', async (t) => {
  const { csr } = await createKeyRequest();
  const der = Buffer.from(csr.replace(/-----[^-]+-----/g, ''), 'base64');
  der[der.length - 3]! ^= 1;
  const tampered = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;
  for (const bad of [tampered, 'garbage', 'x'.repeat(10_000)]) {
    const error = await t.throwsAsync(readRequest(bad), { instanceOf: ApiError });
    t.is((error as ApiError).code, 'INVALID_ARGUMENT');
  }
});

test('the life of node certificates is 90 days, what the cluster says, and at least an hour', async (t) => {
  const { Spec } = await clusterDraft(await root(NOW));
  const lifeOf = (ns: number) => nodeLifeMs({ ...Spec, CAConfig: { NodeCertExpiry: ns } });
  t.is(nodeLifeMs(Spec), 90 * DAY_MS);
  t.is(lifeOf(7200 * SECOND), 2 * HOUR_MS);
  t.is(lifeOf(SECOND), HOUR_MS);
});

test('identify gives node, role, cluster and life of a certificate of ours', async (t) => {
  const authority = await root(NOW);
  const { certificate } = await identity(authority, NOW, { nodeId: 'n1', role: 'manager' });
  const trust = { rootCertificate: authority.certificate, clusterId: CLUSTER_ID, nowMs: NOW };
  const proof = identify(new X509Certificate(certificate), trust);
  t.deepEqual(proof, {
    subject: { nodeId: 'n1', role: 'manager', clusterId: CLUSTER_ID },
    issuedAtMs: NOW,
    expiresAtMs: NOW + 90 * DAY_MS,
  });
});

test('identify refuses whoever is not of this cluster, or expired', async (t) => {
  const authority = await root(NOW);
  const trust = { rootCertificate: authority.certificate, clusterId: CLUSTER_ID, nowMs: NOW };
  const of = async (...options: Parameters<typeof identity>) =>
    new X509Certificate((await identity(...options)).certificate);

  throwsCode(t, 'UNAUTHENTICATED', /No certificate/, () => identify(undefined, trust));
  const foreign = await of(await root(NOW), NOW);
  throwsCode(t, 'UNAUTHENTICATED', /not issued by this cluster/, () => identify(foreign, trust));
  const otherCluster = await of(authority, NOW, { clusterId: 'elsewhere' });
  throwsCode(t, 'UNAUTHENTICATED', /not issued/, () => identify(otherCluster, trust));
  const self = new X509Certificate(authority.certificate);
  throwsCode(t, 'UNAUTHENTICATED', /not issued/, () => identify(self, trust));
  // Whatever looking at it throws: anybody may show one, and the manager must not end by it.
  const unreadable = Object.create(X509Certificate.prototype) as X509Certificate;
  throwsCode(t, 'UNAUTHENTICATED', /not issued/, () => identify(unreadable, trust));

  const expired = await of(authority, NOW - 100 * DAY_MS);
  const at = new Date(NOW - 10 * DAY_MS).toISOString();
  throwsCode(t, 'CERTIFICATE_EXPIRED', new RegExp(`${at}.*swarm leave --force`), () =>
    identify(expired, trust),
  );
  const early = await of(authority, NOW + DAY_MS);
  throwsCode(t, 'UNAUTHENTICATED', /clocks/, () => identify(early, trust));
});

test('a certificate is renewed between 50 and 80 % of its life', async (t) => {
  const { certificate } = await identity(await root(NOW), NOW, {}, 90 * DAY_MS);
  const life = 90 * DAY_MS + HOUR_MS;
  t.is(
    renewalTime(certificate, () => 0),
    NOW - HOUR_MS + life * 0.5,
  );
  t.true(renewalTime(certificate, () => 0.999_999) <= NOW - HOUR_MS + life * 0.8);
});

test('renewal waits for its time, backs off while it fails, and starts again after success', async (t) => {
  const clock = new VirtualClock(NOW);
  const authority = await root(NOW);
  const { certificate } = await identity(authority, NOW, {}, 90 * DAY_MS);
  const next = await identity(authority, NOW + 46 * DAY_MS, {}, 90 * DAY_MS);
  const attempts: number[] = [];
  const renewer = startRenewer({
    clock,
    logger: silentLogger,
    random: () => 0,
    certificate,
    async renew() {
      attempts.push(clock.now());
      if (attempts.length < 4) throw new Error('no manager');
      return next.certificate;
    },
  });
  const due = renewalTime(certificate, () => 0);
  await clock.advance(due - clock.now() - 1);
  t.deepEqual(attempts, []);
  await clock.advance(60_000);
  t.deepEqual(attempts, [due, due + 5_000, due + 15_000, due + 35_000]);
  await clock.advance(40 * DAY_MS);
  t.is(attempts.length, 4);
  renewer.renewNow();
  await clock.advance(0);
  t.is(attempts.length, 5);
  await renewer.stop();
  t.is(clock.pending, 0);
});

test('a certificate that has not begun, because a clock was set back, is renewed within the hour, once', async (t) => {
  const clock = new VirtualClock(NOW);
  const authority = await root(NOW);
  const { certificate } = await identity(authority, NOW + 100 * DAY_MS, {}, 90 * DAY_MS);
  let renewals = 0;
  const renewer = startRenewer({
    clock,
    logger: silentLogger,
    random: () => 0,
    certificate,
    async renew() {
      renewals += 1;
      return certificate;
    },
  });
  await clock.advance(HOUR_MS);
  t.is(renewals, 1);
  await clock.advance(10 * HOUR_MS);
  t.is(renewals, 1);
  await renewer.stop();
});
