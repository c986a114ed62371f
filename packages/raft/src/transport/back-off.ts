import type { TransportLimits } from './limits.js';

/**
 * How long to wait before connecting once more: doubles up to a limit, and is cut by up to a half at
 * random, so that members do not knock in step.
 * @param failures in a row, the last one not counted
 * @param random from 0 up to, not including, 1
 */
export function backOffMs(
  failures: number,
  { reconnectMs, reconnectMaxMs }: Pick<TransportLimits, 'reconnectMs' | 'reconnectMaxMs'>,
  random: () => number,
): number {
  return Math.min(reconnectMaxMs, reconnectMs * 2 ** failures) * (0.5 + random() / 2);
}
