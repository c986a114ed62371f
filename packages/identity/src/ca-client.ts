import { X509Certificate } from 'node:crypto';
import {
  ApiError,
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
  /** For a node's first certificate; a renewal has none. */
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
}

/** How a reply looks before its fields are checked. */
type Reply = Readonly<Record<string, unknown>>;

/**
 * Gets the root certificate of the cluster that a token is of. Nothing is trusted yet, so the
 * connection is not checked; what comes over it is, against the token's digest.
 * @param address `host:port` of any manager
 * @returns PEM
 * @throws ApiError INVALID_TOKEN when the manager is of another cluster than the token, TIMEOUT,
 *   UNAUTHENTICATED or NOT_IN_SWARM when the manager can not be talked to
 */
export async function fetchRoot(address: string, token: string): Promise<string> {
  const parsed = parseJoinToken(token);
  if (parsed === undefined) {
    throw new ApiError(
      'INVALID_TOKEN',
      'This is not a join token: copy it whole from `swarm join-token worker` on a manager.',
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
      `The token is of another cluster than the one that the manager at ${address} is in: take the ` +
        'token from `swarm join-token` on that manager, or give the address of another.',
    );
  }
  return certificate;
}

/**
 * Has a key certified: the first time with a token, later with the identity that it renews.
 * @param address `host:port` of any manager
 * @param identity at least the root certificate from `fetchRoot`
 * @throws ApiError what the manager answered, or that it could not be reached; UNAUTHENTICATED when the
 *   certificate is not the cluster's, or not for this key and node
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
      `${address} gave a certificate that is not the cluster's.`,
    );
  }
  // A node that took another's would be that node from then on, and its own key would be of no use.
  const key = parsed.publicKey.export({ type: 'spki', format: 'der' });
  const own =
    identity.certificate === undefined ? subject : certificateSubject(identity.certificate);
  const isOwn = own.nodeId === subject.nodeId && own.clusterId === subject.clusterId;
  if (!isOwn || !key.equals(Buffer.from(await readRequest(body.csr)))) {
    throw new ApiError('UNAUTHENTICATED', `${address} gave a certificate of another node or key.`);
  }
  return { nodeId: subject.nodeId, role: subject.role, certificate };
}

function readCertificate(certificate: string, address: string): X509Certificate {
  try {
    return new X509Certificate(certificate);
  } catch (error) {
    const message = `${address} did not answer with a certificate: is it a manager of a cluster?`;
    throw new ApiError('UNAUTHENTICATED', message, { cause: error });
  }
}
