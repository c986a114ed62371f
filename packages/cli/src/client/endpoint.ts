import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** Where a daemon listens for local clients. */
export interface Endpoint {
  readonly socketPath?: string;
  readonly host?: string;
  readonly port?: number;
}

/** Local socket of this user's daemon: root's under /run, others' under their runtime folder. */
export function defaultSocket(env: NodeJS.ProcessEnv, uid: number): string {
  if (uid === 0) return '/run/swarm/swarm.sock';
  return join(env.XDG_RUNTIME_DIR ?? `/tmp/swarm-${uid}`, 'swarm', 'swarm.sock');
}

/**
 * The daemon to talk to: `--host`, else `$SWARM_HOST`, else the user's own socket, else root's.
 * @throws Error for a form other than `unix://PATH` or `tcp://HOST:PORT`
 */
export function resolveEndpoint(
  given: string | undefined,
  env: NodeJS.ProcessEnv,
  uid: number,
): Endpoint {
  const text = given ?? env.SWARM_HOST;
  if (text === undefined || text === '') {
    const own = defaultSocket(env, uid);
    const roots = defaultSocket({}, 0);
    return { socketPath: !existsSync(own) && existsSync(roots) ? roots : own };
  }
  if (text.startsWith('unix://')) return { socketPath: text.slice('unix://'.length) };
  const tcp = /^tcp:\/\/(\[[^\]]+\]|[^:/]+):(\d{1,5})$/.exec(text);
  if (tcp !== null) return { host: tcp[1]!.replace(/^\[|\]$/g, ''), port: Number(tcp[2]) };
  throw new Error(`bad host '${text}': use unix://PATH or tcp://HOST:PORT`);
}

export function describeEndpoint(endpoint: Endpoint): string {
  return endpoint.socketPath === undefined
    ? `tcp://${endpoint.host}:${endpoint.port}`
    : `unix://${endpoint.socketPath}`;
}
