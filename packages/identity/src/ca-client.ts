import { X509Certificate } from 'node:crypto';
import {
  ApiError,
  isPort,
  type NodeAvailability,
  type NodeRole,
  parseJoinToken,
  type Program,
  rootDigest,
  sameToken,
} from '@swarm/api';
import { pem } from './key.js';
import { callManager } from './manager-call.js';
import type { NodeIdentity } from './node-identity.js';
import { readRequest } from './request.js';
import { certificateSubject, subjectOf } from './subject.js';
import { tlsClientOptions } from './tls-options.js';

const TIMEOUT_MS = 10_000;

/** Body of `POST /ca/certificates`. */
export interface CertificateRequest {
  /** PEM, PKCS #10. */
  readonly csr: string;
  /** Needed for a node's first certificate; absent in a renewal. */
  readonly token?: string;
  readonly hostname?: string;
  readonly availability?: NodeAvailability;
  /** What the node runs; with a token. */
  readonly program?: Program;
}

/** Answer of `POST /ca/certificates`. */
export interface CertificateReply {
  readonly nodeId: string;
  /** PEM. */
  readonly certificate: string;
  readonly role: NodeRole;
  /** Of the cluster. Absent from managers of earlier versions. */
  readonly dataPathPort?: number;
}

/** A reply whose fields are not checked yet. */
type Reply = Readonly<Record<string, unknown>>;

/**
 * Gets the root certificate of the cluster that issued a token. The node trusts nothing yet, so it does not
 * verify the connection; it verifies the certificate by the token's digest.
 * @param address `host:port` of any manager
 * @returns PEM
 * @throws ApiError INVALID_TOKEN when the manager is in another cluster than the token's; TIMEOUT,
 *   UNAUTHENTICATED or NOT_IN_SWARM when it cannot be reached
 */
export async function fetchRoot(address: string, token: string): Promise<string> {
  const parsed = parseJoinToken(token);
  if (parsed === undefined) {
    throw new ApiError(
      'INVALID_TOKEN',
      'This is not a join token: copy it whole from `docker swarm join-token worker` on a manager.',
    );
  }
  const reply = (await callManager({
    address,
    method: 'GET',
    path: '/ca/root',
    tls: { rejectUnauthorized: false },
    timeoutMs: TIMEOUT_MS,
  })) as Reply;
  const certificate = pem(String(reply.certificate));
  if (!sameToken(rootDigest(readCertificate(certificate, address).raw), parsed.digest)) {
    throw new ApiError(
      'INVALID_TOKEN',
      `The token is not for the cluster of the manager at ${address}: take the ` +
        'token from `docker swarm join-token` on that manager, or give the address of another.',
    );
  }
  return certificate;
}

/**
 * Requests a certificate: the first time with a token, later with the identity to renew.
 * @param address `host:port` of any manager
 * @param identity with at least the root certificate from `fetchRoot`
 * @throws ApiError the manager's answer, or why it could not be reached; UNAUTHENTICATED when the certificate
 *   is not the cluster's, or not for this key and node
 */
export async function requestCertificate(
  address: string,
  identity: Pick<NodeIdentity, 'rootCertificate'> & Partial<NodeIdentity>,
  body: CertificateRequest,
): Promise<CertificateReply> {
  const reply = (await callManager({
    address,
    method: 'POST',
    path: '/ca/certificates',
    tls: tlsClientOptions(identity),
    timeoutMs: TIMEOUT_MS,
    body,
  })) as Reply;
  const certificate = pem(String(reply.certificate));
  const parsed = readCertificate(certificate, address);
  const subject = subjectOf(parsed);
  const root = new X509Certificate(identity.rootCertificate);
  if (subject === undefined || !parsed.verify(root.publicKey)) {
    throw new ApiError(
      'UNAUTHENTICATED',
      `${address} sent a certificate that is not the cluster's.`,
    );
  }
  // A node that accepted another node's certificate would become that node, without its key.
  const key = parsed.publicKey.export({ type: 'spki', format: 'der' });
  const own =
    identity.certificate === undefined ? subject : certificateSubject(identity.certificate);
  const isOwn = own.nodeId === subject.nodeId && own.clusterId === subject.clusterId;
  if (!isOwn || !key.equals(Buffer.from(await readRequest(body.csr)))) {
    throw new ApiError('UNAUTHENTICATED', `${address} sent a certificate of another node or key.`);
  }
  const { dataPathPort } = reply;
  return {
    nodeId: subject.nodeId,
    role: subject.role,
    certificate,
    ...(isPort(dataPathPort) ? { dataPathPort } : {}),
  };
}

function readCertificate(certificate: string, address: string): X509Certificate {
  try {
    return new X509Certificate(certificate);
  } catch (error) {
    const message = `${address} did not answer with a certificate: is it a manager of a cluster?`;
    throw new ApiError('UNAUTHENTICATED', message, { cause: error });
  }
}
