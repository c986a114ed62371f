import { showControls } from '@swarm/api/client';
import { DaemonError } from './client/api-client.js';

/** An error in one line for the user; the daemon's own sentences are marked as its. */
export function explain(error: unknown): string {
  if (error instanceof DaemonError)
    return `Error response from daemon: ${showControls(error.message)}`;
  return error instanceof Error ? error.message : String(error);
}
