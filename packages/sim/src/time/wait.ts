import { setTimeout as delay } from 'node:timers/promises';

export interface WaitLimits {
  /** Default 30 s: far beyond what it takes, as a busy machine must not fail a test. */
  readonly deadlineMs?: number;
  /** Default 20 ms. */
  readonly everyMs?: number;
}

/** How many times as long everything takes: where a machine is emulated, the environment says so. */
const PATIENCE = Math.max(1, Number(process.env.SWARM_TEST_PATIENCE) || 1);

/**
 * Waits, in real time, until `condition` returns something other than undefined or false. A condition that
 * throws counts as not yet; the error at the deadline includes the last one.
 */
export async function until<T>(
  what: string,
  condition: () => Promise<T | undefined | false> | T | undefined | false,
  limits: WaitLimits = {},
): Promise<T> {
  const deadlineMs = (limits.deadlineMs ?? 30_000) * PATIENCE;
  const end = performance.now() + deadlineMs;
  let lastError: unknown;
  for (;;) {
    try {
      const value = await condition();
      lastError = undefined;
      if (value !== undefined && value !== false) return value;
    } catch (error) {
      lastError = error;
    }
    if (performance.now() > end) {
      const why = lastError instanceof Error ? `: ${lastError.message}` : '';
      throw new Error(`not within ${deadlineMs} ms: ${what}${why}`);
    }
    await delay(limits.everyMs ?? 20);
  }
}
