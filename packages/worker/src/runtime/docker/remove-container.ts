import { type Clock, pause } from '@swarm/api';
import { RuntimeError } from '../runtime-error.js';
import type { EngineClient } from './engine-client.js';
import { hasStatus } from './engine-error.js';
import { REMOVAL_LIMIT_MS, REMOVAL_POLL_MS } from './limits.js';

/** Kills and removes a container, by id or name, with its anonymous volumes; resolves once it is gone. */
export async function removeContainer(
  engine: EngineClient,
  clock: Clock,
  id: string,
): Promise<void> {
  for (const deadlineMs = clock.monotonicMs() + REMOVAL_LIMIT_MS; ; ) {
    try {
      await engine.json('DELETE', `/containers/${id}`, { query: { force: 1, v: 1 } });
      return;
    } catch (error) {
      if (hasStatus(error, 404)) return;
      // 409: somebody is already removing it.
      if (!hasStatus(error, 409)) throw error;
      if (clock.monotonicMs() > deadlineMs) {
        throw new RuntimeError('failed', `The engine does not remove ${id}: ${error.message}`);
      }
    }
    await pause(clock, REMOVAL_POLL_MS);
  }
}
