import { UsageError } from '../usage-error.js';

type Environment = Readonly<Record<string, string | undefined>>;

export interface SocketEndpoint {
  readonly socketPath: string;
  /** A folder on the path that only the user may enter. */
  readonly privateFolder?: string;
}

/** The local socket of a user's daemon: root's under /run, other users' under their runtime folder. */
export function defaultSocket(env: Environment, uid: number): SocketEndpoint {
  if (uid === 0) return { socketPath: '/run/swarm/swarm.sock' };
  const privateFolder = absolute(env.XDG_RUNTIME_DIR) ?? `/tmp/swarm-${uid}`;
  return { socketPath: `${privateFolder}/swarm/swarm.sock`, privateFolder };
}

/**
 * Where a user's daemon keeps its data: root's under /var/lib, other users' under `$XDG_DATA_HOME`, else in
 * their home.
 * @throws UsageError for a user without a home; never falls back to a shared folder
 */
export function defaultDataRoot(env: Environment, uid: number): string {
  if (uid === 0) return '/var/lib/swarm';
  const data = absolute(env.XDG_DATA_HOME);
  if (data !== undefined) return `${data}/swarm`;
  const home = absolute(env.HOME);
  if (home !== undefined) return `${home}/.local/share/swarm`;
  throw new UsageError('no home folder to keep data in: set HOME, or give --data-root');
}

/** XDG Base Directory Specification: ignore a path that is not absolute. */
function absolute(path: string | undefined): string | undefined {
  if (path?.startsWith('/') !== true) return undefined;
  return path.replace(/\/+$/, '');
}
