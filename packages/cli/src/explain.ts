import { showControls } from '@swarm/api/client';
import { DaemonError } from './client/api-client.js';

/** Explains an error to the user in one line; marks the daemon's own sentences. */
export function explain(error: unknown): string {
  if (error instanceof DaemonError)
    return `Error response from daemon: ${showControls(error.message)}`;
  return error instanceof Error ? error.message : String(error);
}
