/** Pauses between attempts: they double from the first up to the longest. */
export interface BackoffLimits {
  readonly minMs: number;
  readonly maxMs: number;
}

/**
 * How long to wait after this many failures in a row.
 * @param random 0 ≤ x < 1; shortens the pause by up to half, so that many who failed together do not
 *   return together
 */
export function backoffMs(
  failures: number,
  { minMs, maxMs }: BackoffLimits,
  random: () => number = () => 1,
): number {
  if (failures === 0) return 0;
  return Math.min(maxMs, minMs * 2 ** (failures - 1)) * (0.5 + random() / 2);
}
