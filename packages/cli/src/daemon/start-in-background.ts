import { spawn } from 'node:child_process';
import { constants, openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type ApiClient, DaemonUnreachableError } from '../client/api-client.js';
import type { Output } from '../output/output.js';
import { DAEMON_NODE_FLAGS } from '../node-flags.js';
import { makePrivateFolder, PRIVATE_FILE } from '../files/private-folder.js';
import { DATA_ROOT_ADVICE, makeSocketFolder } from './data-root.js';
import { defaultDataRoot } from './options.js';

const START_TIMEOUT_MS = 15_000;
const POLL_MS = 50;
const APPEND = constants.O_APPEND | constants.O_CREAT | constants.O_WRONLY | constants.O_NOFOLLOW;

/** Uses the daemon that answers, or starts one in the background and waits until it does. */
export async function ensureDaemon(
  client: ApiClient,
  env: NodeJS.ProcessEnv,
  uid: number,
  output: Output,
): Promise<void> {
  if (await client.ping()) return;
  if (!('socketPath' in client.endpoint))
    throw new DaemonUnreachableError(
      'no daemon answers there; a daemon can only be started on this host',
    );
  const { socketPath: socket } = client.endpoint;
  const dataRoot = defaultDataRoot(env, uid);
  makePrivateFolder(dataRoot, uid, DATA_ROOT_ADVICE);
  makeSocketFolder(socket, env, uid);
  const logPath = join(dataRoot, 'daemon.log');
  const log = openSync(logPath, APPEND, PRIVATE_FILE);
  const child = spawn(
    process.execPath,
    [...DAEMON_NODE_FLAGS, process.argv[1]!, 'daemon', '--socket', socket],
    {
      detached: true,
      stdio: ['ignore', log, log],
      cwd: '/',
      env,
    },
  );
  let exit: string | undefined;
  child.on('error', (error) => {
    exit = error.message;
  });
  child.on('exit', (code) => {
    exit = `it ended with code ${code}`;
  });
  child.unref();
  const end = performance.now() + START_TIMEOUT_MS;
  while (!(await client.ping())) {
    if (exit !== undefined) throw new Error(`the daemon did not start: ${exit}; see ${logPath}`);
    if (performance.now() > end)
      throw new Error(
        `the daemon does not answer after ${START_TIMEOUT_MS / 1000} s; see ${logPath}`,
      );
    await delay(POLL_MS);
  }
  output.error(`Started the swarm daemon in the background (log: ${logPath}).`);
}
