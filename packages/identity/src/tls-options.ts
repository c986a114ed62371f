import { constants } from 'node:crypto';
import type { PeerCertificate, SecureVersion } from 'node:tls';
import { BACKDATE_MS } from './identify.js';
import type { NodeIdentity } from './node-identity.js';
import { readSubject, type SubjectFields } from './subject.js';

/** Nodes use TLS 1.3, because both sides have it. */
const MIN_VERSION: SecureVersion = 'TLSv1.2';

/** Options for `tls.createServer` and `https.createServer`. */
export interface TlsServerOptions {
  readonly key: string;
  readonly cert: string;
  readonly ca: string;
  readonly minVersion: SecureVersion;
  readonly requestCert: true;
  readonly rejectUnauthorized: false;
  readonly secureOptions: number;
}

/** Options for `tls.connect`, `https.request` and a ws client. */
export interface TlsClientOptions {
  readonly key?: string;
  readonly cert?: string;
  readonly ca: string;
  readonly minVersion: SecureVersion;
  readonly rejectUnauthorized: true;
  /** Nodes are known by id, not by name: no server name is sent. */
  readonly servername: '';
  readonly checkServerIdentity: (host: string, certificate: PeerCertificate) => Error | undefined;
}

/**
 * How a node listens. The handshake accepts every client: one without a certificate may want to join, and a
 * wrong certificate gets a precise answer. Every other route must call `identify`.
 */
export function tlsServerOptions(identity: NodeIdentity): TlsServerOptions {
  return {
    key: identity.key,
    cert: identity.certificate,
    ca: identity.rootCertificate,
    minVersion: MIN_VERSION,
    requestCert: true,
    rejectUnauthorized: false,
    // With TLS 1.2 a client could repeat handshakes endlessly, and present another certificate.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
  };
}

/**
 * How a node dials a manager: the chain must end at the cluster's root and the certificate must be a
 * manager's. A worker that took over an address cannot pose as a manager.
 * @param identity without key and certificate when the node has none yet
 * @param expectedNodeId the only node to accept
 * @param heirsFromMs accepts another manager as well if its certificate was issued from this time on
 *   (milliseconds since the epoch): one that was restored, or took the place of a lost one, since the caller
 *   last heard from the cluster. A former manager cannot have such a certificate.
 */
export function tlsClientOptions(
  identity: Pick<NodeIdentity, 'rootCertificate'> & Partial<NodeIdentity>,
  expectedNodeId?: string,
  heirsFromMs = Number.POSITIVE_INFINITY,
): TlsClientOptions {
  return {
    ...(identity.key === undefined ? {} : { key: identity.key }),
    ...(identity.certificate === undefined ? {} : { cert: identity.certificate }),
    ca: identity.rootCertificate,
    minVersion: MIN_VERSION,
    rejectUnauthorized: true,
    servername: '',
    checkServerIdentity(host, certificate) {
      const subject = readSubject(certificate.subject as SubjectFields | undefined);
      if (subject?.role !== 'manager') {
        return new Error(`${host} is not a manager of this cluster, by its certificate`);
      }
      const issuedAtMs = Date.parse(certificate.valid_from) + BACKDATE_MS;
      const isHeir = issuedAtMs >= heirsFromMs;
      if (expectedNodeId !== undefined && subject.nodeId !== expectedNodeId && !isHeir) {
        return new Error(`${host} is node ${subject.nodeId}, not ${expectedNodeId}`);
      }
      return undefined;
    },
  };
}
