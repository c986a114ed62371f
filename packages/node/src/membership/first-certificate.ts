import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { type Clock, type Cluster, type InitRequest, type JoinRequest, PROGRAM } from '@swarm/api';
import type { RootCA } from '@swarm/manager';
import {
  createKeyRequest,
  fetchRoot,
  type NodeIdentity,
  readRequest,
  requestCertificate,
} from '@swarm/identity';

/** Creates a new cluster's root, and with it issues the certificate of its first manager. */
export async function foundIdentity(
  clock: Clock,
  { spec }: InitRequest,
  { nodeId, clusterId }: { readonly nodeId: string; readonly clusterId: string },
): Promise<{ root: RootCA; identity: NodeIdentity }> {
  const { createRootCA, issueCertificate, nodeLifeMs } = await loadIssuer();
  const root = await createRootCA({ clock, randomBytes });
  const subject = { nodeId, role: 'manager', clusterId } as const;
  const { key, csr } = await createKeyRequest(subject);
  const publicKey = await readRequest(csr);
  const lifeMs = nodeLifeMs(spec);
  const issued = await issueCertificate({ clock, randomBytes }, root, publicKey, subject, lifeMs);
  return {
    root,
    identity: { rootCertificate: root.certificate, certificate: issued.certificate, key },
  };
}

/** Issues a certificate for a new manager of a cluster whose CA comes from a backup. */
export async function restoredIdentity(
  clock: Clock,
  cluster: Cluster,
  nodeId: string,
): Promise<{ identity: NodeIdentity; expiresAtMs: number }> {
  const { issueCertificate, nodeLifeMs } = await loadIssuer();
  const { CAKey, CACert } = cluster.Private;
  const subject = { nodeId, role: 'manager', clusterId: cluster.ID } as const;
  const { key, csr } = await createKeyRequest(subject);
  const { certificate, expiresAtMs } = await issueCertificate(
    { clock, randomBytes },
    { certificate: CACert, key: CAKey },
    await readRequest(csr),
    subject,
    nodeLifeMs(cluster.Spec),
  );
  return { identity: { rootCertificate: CACert, certificate, key }, expiresAtMs };
}

/**
 * Gets a node's first certificate for a join token; from then on the cluster has the node.
 * @param address `host:port` of any manager
 * @param ready called when the manager has proved to be the token's, before the cluster learns of the node
 * @throws ApiError
 */
export async function joinIdentity(
  address: string,
  request: JoinRequest,
  ready: () => Promise<void>,
): Promise<{ nodeId: string; identity: NodeIdentity }> {
  const rootCertificate = await fetchRoot(address, request.joinToken);
  await ready();
  const { key, csr } = await createKeyRequest();
  const { joinToken: token, availability } = request;
  const body = { csr, token, hostname: hostname(), availability, program: PROGRAM };
  const { nodeId, certificate } = await requestCertificate(address, { rootCertificate }, body);
  return { nodeId, identity: { rootCertificate, certificate, key } };
}

/** Only a node that bootstraps or restores a cluster issues certificates here; a worker never loads this. */
function loadIssuer(): Promise<typeof import('@swarm/manager')> {
  return import('@swarm/manager');
}
