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

/** A manager as a certificate of the cluster's root names it. */
export interface CertifiedManager {
  readonly nodeId: string;
  /** When the CA issued the certificate, milliseconds since the epoch. */
  readonly issuedAtMs: number;
}

/** Judges the manager at the other end; returns why it is not accepted, which completes "HOST is …". */
export type JudgeManager = (manager: CertifiedManager) => string | undefined;

/**
 * How a node dials a manager: the chain must end at the cluster's root and the certificate must be a
 * manager's. A worker that took over an address cannot pose as a manager.
 * @param identity without key and certificate when the node has none yet
 * @param expected the id of the only node to accept, or what decides; by default any manager
 */
export function tlsClientOptions(
  identity: Pick<NodeIdentity, 'rootCertificate'> & Partial<NodeIdentity>,
  expected?: string | JudgeManager,
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
      const { nodeId } = subject;
      const issuedAtMs = Date.parse(certificate.valid_from) + BACKDATE_MS;
      const why =
        typeof expected === 'function'
          ? expected({ nodeId, issuedAtMs })
          : expected === undefined || expected === nodeId
            ? undefined
            : `node ${nodeId}, not ${expected}`;
      return why === undefined ? undefined : new Error(`${host} is ${why}`);
    },
  };
}
