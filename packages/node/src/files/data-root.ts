import { dirname } from 'node:path';
import { checkPlace, defaultSocket, type Logger, octal, ownerOf, UsageError } from '@swarm/api';
import { makePrivateFolder, makeSharedFolder } from './private-folder.js';
import { repairModes } from './repair-modes.js';

/** Files of the daemon are private to its user unless they are created with another mode. */
export const PRIVATE_UMASK = 0o077;

export const DATA_ROOT_ADVICE = 'give another folder with --data-root';
const SOCKET_ADVICE =
  'set XDG_RUNTIME_DIR to a folder of yours, or give another path with --socket';
/** The runtime manages the files of tasks, some of which tasks of other users must reach. */
const OF_TASKS = ['tasks'];
/** How many paths the log names. */
const NAMED_LIMIT = 20;

/**
 * Creates the folder for everything a node keeps, or closes it and all below it to other users: earlier
 * versions left files there that others could read once they could enter the folder.
 * @throws UsageError when it, or a file in it, belongs to another user, or everybody can replace it
 */
export function openDataRoot(path: string, uid: number, logger: Logger): void {
  const mode = makePrivateFolder(path, uid, DATA_ROOT_ADVICE);
  if (mode !== undefined)
    logger.warn({ path, mode: octal(mode) }, 'others could enter the data root; now they cannot');
  const { repaired, foreign, left } = repairModes(path, uid, OF_TASKS);
  const [first] = foreign;
  if (first !== undefined)
    throw new UsageError(
      `${first.path} ${ownerOf(first)}, not to user ${uid} that the daemon runs as: 'chown -R ${uid} ${path}' if you trust what is in it, or ${DATA_ROOT_ADVICE}`,
    );
  if (repaired.length > 0)
    logger.info(
      { count: repaired.length, paths: repaired.slice(0, NAMED_LIMIT) },
      'files of this node had modes that let others in; now they are private',
    );
  if (left.length > 0)
    logger.warn(
      { count: left.length, paths: left.slice(0, NAMED_LIMIT) },
      'modes were left as they are',
    );
}

/**
 * Creates the folder of the daemon's socket. Everybody may enter root's, because the socket's own mode
 * decides who may use it; other users' folders are private.
 * @throws UsageError when another user may have created it, or what is in it
 */
export function makeSocketFolder(socket: string, env: NodeJS.ProcessEnv, uid: number): void {
  const usual = defaultSocket(env, uid);
  if (usual.socketPath === socket && usual.privateFolder !== undefined) {
    makePrivateFolder(usual.privateFolder, uid, SOCKET_ADVICE);
    makePrivateFolder(dirname(socket), uid, SOCKET_ADVICE);
    return;
  }
  checkPlace(socket, uid, SOCKET_ADVICE);
  makeSharedFolder(dirname(socket));
}
