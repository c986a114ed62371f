import { setTimeout as delay } from 'node:timers/promises';
import type { CommandContext } from '../command.js';
import { DaemonUnreachableError } from './api-client.js';

const START_TIMEOUT_MS = 15_000;
const POLL_MS = 50;

/** Uses a running daemon, or starts one in the background and waits until it responds. */
export async function ensureDaemon({
  client,
  node,
  env,
  uid,
  output,
}: Pick<CommandContext, 'client' | 'node' | 'env' | 'uid' | 'output'>): Promise<void> {
  if (await client.ping()) return;
  if (!('socketPath' in client.endpoint))
    throw new DaemonUnreachableError(
      'no daemon responds there; a daemon can only be started on this host',
    );
  const { startInBackground } = await node();
  const { socketPath } = client.endpoint;
  const { logPath, ended } = await startInBackground({
    ...{ script: process.argv[1]!, socketPath, env, uid },
  });
  const end = performance.now() + START_TIMEOUT_MS;
  while (!(await client.ping())) {
    const reason = ended();
    if (reason !== undefined)
      throw new Error(`the daemon did not start: ${reason}; see ${logPath}`);
    if (performance.now() > end)
      throw new Error(
        `the daemon does not respond after ${START_TIMEOUT_MS / 1000} s; see ${logPath}`,
      );
    await delay(POLL_MS);
  }
  output.error(`Started the swarm daemon in the background (log: ${logPath}).`);
}
