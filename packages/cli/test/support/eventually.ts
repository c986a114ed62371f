import { setTimeout as delay } from 'node:timers/promises';

/** Waits for something that other processes bring about; a condition that throws is not true yet. */
export async function eventually(
  what: string,
  condition: () => Promise<boolean> | boolean,
  deadlineMs = 30_000,
): Promise<void> {
  const end = performance.now() + deadlineMs;
  let last = '';
  while (performance.now() < end) {
    try {
      if (await condition()) return;
    } catch (error) {
      last = `: ${(error as Error).message}`;
    }
    await delay(50);
  }
  throw new Error(`not within ${deadlineMs} ms: ${what}${last}`);
}
