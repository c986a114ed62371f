/** What `load` saw; counts by name. */
export interface LoadResult {
  readonly requests: number;
  readonly failures: number;
  readonly tasks: Record<string, number>;
  readonly versions: Record<string, number>;
  /** Client addresses that the tasks saw. */
  readonly clients: Record<string, number>;
  /** Answered requests by target address. */
  readonly hosts: Record<string, number>;
  readonly errors: Record<string, number>;
  /** When the first requests failed: milliseconds since the load began. */
  readonly failedAfterMs: readonly number[];
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** What failed and when, for the message of a test that allows no failure. */
export function failuresOf({ errors, failedAfterMs }: LoadResult): string {
  return JSON.stringify({ errors, failedAfterMs });
}
