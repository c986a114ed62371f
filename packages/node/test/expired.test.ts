import { randomBytes, X509Certificate } from 'node:crypto';
import { createServer } from 'node:https';
import { join } from 'node:path';
import test from 'ava';
import {
  certificateSubject,
  createKeyRequest,
  expiresAt,
  readRequest,
  saveNodeIdentity,
  tlsServerOptions,
} from '@swarm/identity';
import type { Cluster } from '@swarm/api';
import { x509Issuer } from '@swarm/manager/assembly';
import { DAY_MS, patch } from '@swarm/manager/testing';
import { until } from '@swarm/sim';
import { NodeFiles } from '../src/files/node-files.js';
import { type TestNode, testNode, tokenOf } from './support/nodes.js';

/** Stops a node, and gives it a certificate of another time. @returns when that expires */
async function dated(
  node: TestNode,
  { ID: clusterId, Private }: Cluster,
  issuedAtMs: number,
  lifeMs: number,
): Promise<number> {
  await node.end();
  const files = new NodeFiles(node.folder);
  await files.load();
  const { rootCertificate, certificate } = files.identity!;
  const { nodeId, role } = certificateSubject(certificate);
  const { key, csr } = await createKeyRequest();
  const issued = await x509Issuer.issue(
    { clock: { now: () => issuedAtMs }, randomBytes },
    { certificate: Private.CACert, key: Private.CAKey },
    await readRequest(csr),
    { nodeId, role, clusterId },
    lifeMs,
  );
  const next = { rootCertificate, certificate: issued.certificate, key };
  await saveNodeIdentity(join(node.folder, 'certificates'), next);
  return issued.expiresAtMs;
}

const leaderOf = (nodes: readonly TestNode[]) =>
  nodes.find(({ daemon }) => daemon.manager()?.isLeader() === true)?.daemon.manager();

test('a cluster whose certificates have all expired comes up by itself', async (t) => {
  const first = await testNode(t);
  await first.init();
  const second = await testNode(t);
  await second.join(tokenOf(first, 'Manager'), first.address);
  const worker = await testNode(t);
  await worker.join(tokenOf(first, 'Worker'), first.address);
  const { store } = first.daemon.manager()!;
  const cluster = store.cluster()!;
  const issuedAtMs = Date.now() - 100 * DAY_MS;
  const workerExpiresMs = await dated(worker, cluster, issuedAtMs, 90 * DAY_MS);
  await patch(store, 'node', worker.daemon.info().nodeId, (node) => ({
    ...node,
    CertificateExpiresAt: new Date(workerExpiresMs).toISOString(),
  }));
  for (const manager of [second, first]) await dated(manager, cluster, issuedAtMs, 90 * DAY_MS);

  const nodes = await Promise.all([first.restart(), second.restart(), worker.restart()]);
  await until('a leader', () => leaderOf(nodes) !== undefined);
  for (const node of nodes) {
    await until('the session', () => node.daemon.info().error === '');
    const path = new NodeFiles(node.folder);
    await until('the new certificate', async () => {
      await path.load();
      const left = expiresAt(new X509Certificate(path.identity!.certificate)) - Date.now();
      return left > 80 * DAY_MS;
    });
  }
  const ready = () =>
    [...(leaderOf(nodes)?.store.list('node') ?? [])].filter(
      ({ Status }) => Status.State === 'ready',
    );
  await until('all nodes are ready', () => ready().length === 3);
  t.true(nodes[0]!.log.some((line) => /issued itself a certificate/.test(line)));
});

test('a manager whose certificate has not begun, because a clock was set back, comes up', async (t) => {
  const first = await testNode(t);
  await first.init();
  const cluster = first.daemon.manager()!.store.cluster()!;
  await dated(first, cluster, Date.now() + 100 * DAY_MS, 90 * DAY_MS);
  const next = await first.restart();
  await until('a leader', () => leaderOf([next]) !== undefined);
  await until('the session', () => next.log.some((line) => /session with the leader/.test(line)));
  t.is(next.daemon.info().error, '');
});

test('a worker that was off for too long says why, and that it may join again', async (t) => {
  const first = await testNode(t);
  await first.init();
  const worker = await testNode(t);
  await worker.join(tokenOf(first, 'Worker'), first.address);
  const cluster = first.daemon.manager()!.store.cluster()!;
  await dated(worker, cluster, Date.now() - 100 * DAY_MS, 5 * DAY_MS);
  const next = await worker.restart();
  await until('the reason', () => next.daemon.info().error !== '');
  t.regex(
    next.daemon.info().error,
    /certificate expired at .*the clock of this manager says .*leave --force/,
  );
  t.is(next.log.filter((line) => /no session with a manager/.test(line)).length, 1);
  const seen = () =>
    first.daemon.manager()!.store.get('node', next.daemon.info().nodeId)?.Status.Message ?? '';
  await until('the node list says so', () => /certificate, valid to/.test(seen()));
  t.regex(seen(), /its certificate, valid to .*, is not valid now/);
});

test('a worker that does not accept the certificates of its managers names both clocks', async (t) => {
  const first = await testNode(t);
  await first.init();
  const worker = await testNode(t);
  await worker.join(tokenOf(first, 'Worker'), first.address);
  const { store } = first.daemon.manager()!;
  await dated(first, store.cluster()!, Date.now() - 20 * DAY_MS, 5 * DAY_MS);
  // As a manager that cannot renew its own: its port serves the expired certificate.
  const files = new NodeFiles(first.folder);
  await files.load();
  const [host, port] = first.address.split(':');
  const server = createServer(tlsServerOptions(files.identity!), (_request, response) =>
    response.writeHead(404).end(),
  );
  await new Promise<void>((resolve) => server.listen(Number(port), host, resolve));
  t.teardown(() => server.close());
  await until('the reason', () => /both clocks say/.test(worker.daemon.info().error));
  t.regex(
    worker.daemon.info().error,
    /^no session with a manager for \d+ s \(since .*\): 127\.0\.0\.1:\d+: its certificate is valid from .* to .*, and both clocks say/,
  );
});
