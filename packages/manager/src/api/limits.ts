/** Bounds on what one client can make the API wait for. Bounds of every server are in @swarm/http. */
export interface ApiLimits {
  /** How long a request waits for a leader and for a fresh state: short enough to answer within 5 s. */
  readonly leaderMs: number;
  /** How long a write may take once it is proposed. */
  readonly writeMs: number;
  /** How long a request waits for a service that is giving up the name or the port it asks for. */
  readonly removalMs: number;
  /** How long the removal of a node waits for it to leave the Raft group after its demotion. */
  readonly departureMs: number;
  /** KiB of events that wait for a slow reader before the API cuts it off; an event is mostly below 1 KiB. */
  readonly eventsQueued: number;
}

export const API_LIMITS: ApiLimits = {
  leaderMs: 4_500,
  writeMs: 4_500,
  removalMs: 30_000,
  departureMs: 10_000,
  eventsQueued: 1000,
};
