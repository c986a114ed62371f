import { explainSystemError, isSystemError, ourCommands, showControls } from '@swarm/api/client';
import { DaemonError } from './client/api-client.js';

/** Explains an error to the user in one line; marks the daemon's own sentences. */
export function explain(error: unknown): string {
  if (error instanceof DaemonError)
    return `Error response from daemon: ${showControls(ourCommands(error.message))}`;
  if (isSystemError(error)) return explainSystemError(error);
  return error instanceof Error ? error.message : String(error);
}
