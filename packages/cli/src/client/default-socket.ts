import { isAbsolute, join } from 'node:path';

export interface SocketEndpoint {
  readonly socketPath: string;
  /** Folder on the way that nobody but the user may enter. */
  readonly privateFolder?: string;
}

/** Local socket of a user's daemon: root's under /run, others' under their runtime folder. */
export function defaultSocket(env: NodeJS.ProcessEnv, uid: number): SocketEndpoint {
  if (uid === 0) return { socketPath: '/run/swarm/swarm.sock' };
  const given = env.XDG_RUNTIME_DIR;
  // XDG Base Directory Specification: a path that is not absolute is to be ignored.
  const privateFolder = given !== undefined && isAbsolute(given) ? given : `/tmp/swarm-${uid}`;
  return { socketPath: join(privateFolder, 'swarm', 'swarm.sock'), privateFolder };
}
