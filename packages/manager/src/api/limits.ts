/** Bounds on what one client can make the API wait for. What every server bounds is in @swarm/http. */
export interface ApiLimits {
  /** How long a request waits for a leader and for a fresh state; with the answer it stays below 5 s. */
  readonly leaderMs: number;
  /** How long a write may take once it was proposed. */
  readonly writeMs: number;
  /** How long a request waits for a service that is giving up the name or the port it asks for. */
  readonly removalMs: number;
  /** Events queued for a slow reader before it is cut off. */
  readonly eventsQueued: number;
}

export const API_LIMITS: ApiLimits = {
  leaderMs: 4_500,
  writeMs: 4_500,
  removalMs: 30_000,
  eventsQueued: 1000,
};
