import type { Clock, Timer } from '@swarm/api';

/** Resolves with the promise, or after `ms` of the clock's time. */
export async function settledWithin(
  clock: Clock,
  promise: Promise<unknown>,
  ms: number,
): Promise<void> {
  let timer: Timer;
  const timeout = new Promise<void>((resolve) => {
    timer = clock.setTimeout(resolve, ms);
  });
  try {
    await Promise.race([promise, timeout]);
  } finally {
    clock.clearTimeout(timer);
  }
}
