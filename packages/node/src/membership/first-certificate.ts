import { type Cluster, type InitRequest, type JoinRequest, PROGRAM } from '@swarm/api';
import type { RootCA } from '@swarm/manager';
import {
  createKeyRequest,
  fetchRoot,
  type NodeIdentity,
  requestCertificate,
} from '@swarm/identity';
import type { MemberHost } from './member-host.js';

/** Creates a new cluster's root, and with it issues the certificate of its first manager. */
export async function foundIdentity(
  host: MemberHost,
  { spec }: InitRequest,
  { nodeId, clusterId }: { readonly nodeId: string; readonly clusterId: string },
): Promise<{ root: RootCA; identity: NodeIdentity }> {
  const root = await (await host.issuer()).createRoot(host);
  const { identity } = await managerIdentity(host, root, { nodeId, clusterId, spec });
  return { root, identity };
}

/** Issues a certificate for a new manager of a cluster whose CA comes from a backup. */
export function restoredIdentity(
  host: MemberHost,
  { ID: clusterId, Spec: spec, Private }: Cluster,
  nodeId: string,
): Promise<{ identity: NodeIdentity; expiresAtMs: number }> {
  const root = { certificate: Private.CACert, key: Private.CAKey };
  return managerIdentity(host, root, { nodeId, clusterId, spec });
}

/** Longest life of a certificate that a manager issues to itself, because no other could. */
const OWN_LIFE_MS = 24 * 60 * 60 * 1000;

/**
 * Issues a manager's certificate again, with the CA's key in its own state: when those of all managers have
 * expired, none of them can ask another. Lasts a day at most, in which the leader issues one that the cluster records.
 */
export async function ownIdentity(
  host: Pick<MemberHost, 'clock' | 'randomBytes' | 'issuer'>,
  { ID: clusterId, Spec: spec, Private }: Cluster,
  nodeId: string,
): Promise<NodeIdentity> {
  const root = { certificate: Private.CACert, key: Private.CAKey };
  const { nodeLifeMs } = await import('@swarm/manager');
  const lifeMs = Math.min(OWN_LIFE_MS, nodeLifeMs(spec));
  const cluster = { nodeId, clusterId, spec, lifeMs };
  return (await managerIdentity(host, root, cluster)).identity;
}

/** Issues the certificate of a manager that no other one admits. */
async function managerIdentity(
  host: Pick<MemberHost, 'clock' | 'randomBytes' | 'issuer'>,
  root: RootCA,
  cluster: Pick<InitRequest, 'spec'> & {
    readonly nodeId: string;
    readonly clusterId: string;
    /** Default: as the cluster's spec says. */
    readonly lifeMs?: number;
  },
): Promise<{ identity: NodeIdentity; expiresAtMs: number }> {
  const { nodeId, clusterId, spec, lifeMs } = cluster;
  const subject = { nodeId, role: 'manager', clusterId } as const;
  const { key, csr } = await createKeyRequest(subject);
  const { nodeLifeMs } = await import('@swarm/manager');
  const issuer = await host.issuer();
  const publicKey = await issuer.readRequest(csr);
  const issued = await issuer.issue(host, root, publicKey, subject, lifeMs ?? nodeLifeMs(spec));
  const { certificate, expiresAtMs } = issued;
  return { identity: { rootCertificate: root.certificate, certificate, key }, expiresAtMs };
}

/**
 * Gets a node's first certificate for a join token; from then on the cluster has the node.
 * @param address `host:port` of any manager
 * @param ready called when the manager has proved to be the token's, before the cluster learns of the node
 * @throws ApiError
 */
export async function joinIdentity(
  host: Pick<MemberHost, 'hostname'>,
  address: string,
  request: JoinRequest,
  ready: () => Promise<void>,
): Promise<{ nodeId: string; identity: NodeIdentity; dataPathPort: number | undefined }> {
  const rootCertificate = await fetchRoot(address, request.joinToken);
  await ready();
  const { key, csr } = await createKeyRequest();
  const { joinToken: token, availability } = request;
  const body = { csr, token, hostname: host.hostname(), availability, program: PROGRAM };
  const reply = await requestCertificate(address, { rootCertificate }, body);
  const { nodeId, certificate, dataPathPort } = reply;
  return { nodeId, identity: { rootCertificate, certificate, key }, dataPathPort };
}
