import { existsSync } from 'node:fs';
import { defaultSocket } from '@swarm/api/default-paths';
import { PROGRAM } from '@swarm/api/program';
import { versionText } from '../version-text.js';

/**
 * Answers the two most frequent lines, which are about the command itself, without loading what the others
 * need: yargs, the table of commands, a client.
 * @returns undefined for any other line, and if there may be a daemon to ask
 */
export function quickAnswer(
  argv: readonly string[],
  env: NodeJS.ProcessEnv,
  uid: number,
  exists: (path: string) => boolean = existsSync,
): string | undefined {
  if (argv.length !== 1) return undefined;
  if (argv[0] === '--version' || argv[0] === '-v') return `swarm version ${PROGRAM.Version}`;
  return argv[0] === 'version' && !mayHaveDaemon(env, uid, exists) ? versionText(null) : undefined;
}

/** Whether a daemon is named, or there is a socket where resolveEndpoint looks for one. */
function mayHaveDaemon(
  env: NodeJS.ProcessEnv,
  uid: number,
  exists: (path: string) => boolean,
): boolean {
  if ((env.SWARM_HOST ?? '') !== '') return true;
  return [defaultSocket(env, uid), defaultSocket({}, 0)].some(({ socketPath }) =>
    exists(socketPath),
  );
}
