import type { Clock } from '@swarm/api';

/**
 * Resolves as `promise` does, or rejects with what `onTimeout` makes after `delayMs`. A promise that
 * loses goes on; its outcome is dropped.
 */
export function within<T>(
  clock: Clock,
  delayMs: number,
  promise: Promise<T>,
  onTimeout: () => Error,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const timer = clock.setTimeout(() => reject(onTimeout()), delayMs);
    promise.then(resolve, reject).finally(() => clock.clearTimeout(timer));
  });
}
