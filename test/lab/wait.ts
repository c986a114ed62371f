import { setTimeout as delay } from 'node:timers/promises';

/**
 * Waits until `condition` returns something other than undefined or false, asking every `everyMs`. A condition
 * that throws counts as not yet; the error at the deadline includes the last one.
 */
export async function until<T>(
  what: string,
  condition: () => Promise<T | undefined | false> | T | undefined | false,
  options: { deadlineMs?: number; everyMs?: number } = {},
): Promise<T> {
  const deadlineMs = options.deadlineMs ?? 30_000;
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
    await delay(options.everyMs ?? 50);
  }
}
