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
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}
