import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { checkServerIdentity, type ConnectionOptions } from 'node:tls';
import { systemProblem, UsageError } from '@swarm/api/client';
import type { LocalNode } from '../local-node.js';

/** The client's credentials and the authority it trusts: PEM, named as Docker names the files. */
export interface ClientTls {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** How to connect to a manager of a cluster; needed only by a client that trusts the cluster's root. */
export type ManagerTls = LocalNode['managerTls'];

/** Common name of the root that each cluster creates for itself. */
const CLUSTER_ROOT = 'CN=swarm-ca';

/**
 * Reads `ca.pem`, `cert.pem` and `key.pem` in `$DOCKER_CERT_PATH`, else in `~/.docker`.
 * @throws UsageError naming the file
 */
export function readClientTls(env: NodeJS.ProcessEnv): ClientTls {
  const folder = env.DOCKER_CERT_PATH || join(homedir(), '.docker');
  const read = (name: string): string => {
    try {
      return readFileSync(join(folder, name), 'utf8');
    } catch (error) {
      throw new UsageError(
        `TLS needs ca.pem, cert.pem and key.pem in ${folder} ($DOCKER_CERT_PATH): ${name}: ${systemProblem(error)}`,
      );
    }
  };
  const tls = { ca: read('ca.pem'), cert: read('cert.pem'), key: read('key.pem') };
  try {
    new X509Certificate(tls.ca);
  } catch {
    throw new UsageError(`${join(folder, 'ca.pem')} is not a certificate in PEM`);
  }
  return tls;
}

/**
 * How to connect. A manager's certificate names no host: if the cluster's own root is the authority, the
 * certificate has to be a manager's instead. Any other authority vouches for the host's name or address.
 */
export async function tlsOptions(
  { ca, cert, key }: ClientTls,
  host: string,
  managerTls: ManagerTls,
): Promise<ConnectionOptions> {
  if (new X509Certificate(ca).subject.split('\n').includes(CLUSTER_ROOT))
    return managerTls({ rootCertificate: ca, certificate: cert, key });
  return {
    ...{ ca, cert, key, minVersion: 'TLSv1.2', rejectUnauthorized: true },
    // Otherwise both would follow the `Host` header, which names no host here.
    servername: isIP(host) === 0 ? host : '',
    checkServerIdentity: (_name, certificate) => checkServerIdentity(host, certificate),
  };
}
