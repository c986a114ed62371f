import { spawn } from 'node:child_process';
import { constants, openSync } from 'node:fs';
import { join } from 'node:path';
import { defaultDataRoot } from '@swarm/api';
import { DATA_ROOT_ADVICE, makeSocketFolder } from '../files/data-root.js';
import { makePrivateFolder, PRIVATE_FILE } from '../files/private-folder.js';
import { DAEMON_NODE_FLAGS } from './node-flags.js';

const APPEND = constants.O_APPEND | constants.O_CREAT | constants.O_WRONLY | constants.O_NOFOLLOW;

/** How to start a daemon in the background. */
export interface BackgroundStart {
  /** The script that runs `swarm`. */
  readonly script: string;
  /** The socket that the daemon should answer on. */
  readonly socketPath: string;
  readonly env: NodeJS.ProcessEnv;
  readonly uid: number;
}

/** A daemon that has been started and may not answer yet. */
export interface StartedDaemon {
  readonly logPath: string;
  /** Why it has ended; undefined while it runs. */
  ended(): string | undefined;
}

/**
 * Starts a daemon that outlives this process, with a log in its data root.
 * @throws UsageError when another user may have created its folders
 */
export function startInBackground({
  script,
  socketPath,
  env,
  uid,
}: BackgroundStart): StartedDaemon {
  const dataRoot = defaultDataRoot(env, uid);
  makePrivateFolder(dataRoot, uid, DATA_ROOT_ADVICE);
  makeSocketFolder(socketPath, env, uid);
  const logPath = join(dataRoot, 'daemon.log');
  const log = openSync(logPath, APPEND, PRIVATE_FILE);
  const child = spawn(
    process.execPath,
    // The dashes keep Node.js from reading what follows the script: --env-file, wherever it stands.
    [...DAEMON_NODE_FLAGS, '--', script, 'daemon', '--socket', socketPath],
    {
      detached: true,
      stdio: ['ignore', log, log],
      cwd: '/',
      env,
    },
  );
  let ended: string | undefined;
  child.on('error', (error) => {
    ended = error.message;
  });
  child.on('exit', (code) => {
    ended = `it ended with code ${code}`;
  });
  child.unref();
  return { logPath, ended: () => ended };
}
