import { explainSystemError, isSystemError, showControls } from '@swarm/api/client';
import { DaemonError } from './client/api-client.js';

/** Explains an error to the user in one line; marks the daemon's own sentences. */
export function explain(error: unknown): string {
  if (error instanceof DaemonError)
    return `Error response from daemon: ${showControls(ourCommands(error.message))}`;
  if (isSystemError(error)) return explainSystemError(error);
  return error instanceof Error ? error.message : String(error);
}

/** A quoted command of Docker's that an error advises. */
const DOCKER_COMMAND = /(?<=["'`])docker (?:swarm (?=[a-z])|(?=(?:node|service|info)\b))/g;

/**
 * Puts our commands into the daemon's advice: any Docker client can be its reader, so the daemon writes
 * `docker swarm leave`, which is `swarm leave` here.
 */
export function ourCommands(message: string): string {
  return message.replace(DOCKER_COMMAND, 'swarm ');
}
