import type { TransportLimits } from './limits.js';

/**
 * How long to wait before the next connection attempt. Doubles up to a limit, less up to half at
 * random, so that members do not retry in step.
 * @param failures failures in a row before the last one
 * @param random uniform in [0, 1)
 */
export function backOffMs(
  failures: number,
  { reconnectMs, reconnectMaxMs }: Pick<TransportLimits, 'reconnectMs' | 'reconnectMaxMs'>,
  random: () => number,
): number {
  return Math.min(reconnectMaxMs, reconnectMs * 2 ** failures) * (0.5 + random() / 2);
}
