import { existsSync } from 'node:fs';
import {
  defaultSocket,
  formatHostPort,
  isLoopback,
  parseHostPort,
  parseIpAddress,
  type SocketEndpoint,
} from '@swarm/api/client';
import { UsageError } from '../command.js';
import { type ClientTls, readClientTls } from './client-tls.js';

/** Where a daemon listens for clients. */
export type Endpoint = SocketEndpoint | TcpEndpoint;

export interface TcpEndpoint {
  /** An address, or a name. Without TLS, a loopback address or `localhost`. */
  readonly host: string;
  readonly port: number;
  readonly tls?: ClientTls;
}

/** The only name accepted as a loopback address; what it resolves to is checked on connecting. */
export const LOCALHOST = 'localhost';

/**
 * The daemon to talk to: `--host`, else `$SWARM_HOST`, else the user's own socket, else root's.
 * @param tlsVerify `--tlsverify`
 * @throws UsageError for anything but `unix://PATH` or `tcp://HOST:PORT`, for TCP without TLS to another host,
 * for certificates that cannot be read
 */
export function resolveEndpoint(
  given: string | undefined,
  env: NodeJS.ProcessEnv,
  uid: number,
  tlsVerify = false,
): Endpoint {
  const text = given ?? env.SWARM_HOST;
  const tcp = text?.startsWith('tcp://') === true;
  if (tlsVerify && !tcp)
    throw new UsageError('--tlsverify is for daemons at tcp://HOST:PORT: name one with --host');
  if (text === undefined || text === '') {
    const own = defaultSocket(env, uid);
    const roots = defaultSocket({}, 0);
    return !existsSync(own.socketPath) && existsSync(roots.socketPath) ? roots : own;
  }
  if (text.startsWith('unix://')) return { socketPath: text.slice('unix://'.length) };
  const target = tcp ? parseHostPort(text.slice('tcp://'.length)) : undefined;
  if (target === undefined)
    throw new UsageError(`bad host '${text}': use unix://PATH or tcp://HOST:PORT`);
  if (tlsVerify || (env.DOCKER_TLS_VERIFY ?? '') !== '')
    return { ...target, tls: readClientTls(env) };
  if (!isLocal(target.host)) throw inClear(text, target.host);
  return target;
}

export function describeEndpoint(endpoint: Endpoint): string {
  return 'socketPath' in endpoint
    ? `unix://${endpoint.socketPath}`
    : `tcp://${formatHostPort(endpoint)}`;
}

function isLocal(host: string): boolean {
  const address = parseIpAddress(host);
  return address === undefined ? host.toLowerCase() === LOCALHOST : isLoopback(address);
}

function inClear(text: string, host: string): UsageError {
  return new UsageError(
    `${text} is another host, and without TLS, join tokens and credentials would cross the network in the clear. Either\n` +
      '  use certificates: --tlsverify, with ca.pem, cert.pem and key.pem in $DOCKER_CERT_PATH, or\n' +
      `  open a tunnel: ssh -N -L 127.0.0.1:2375:/run/swarm/swarm.sock root@${host}, then --host tcp://127.0.0.1:2375`,
  );
}
