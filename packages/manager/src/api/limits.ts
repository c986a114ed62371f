/** Bounds on the bodies of requests. */
export interface BodyLimits {
  /** Largest JSON body. */
  readonly bodyBytes: number;
  /** Bodies being read at once, all clients together. */
  readonly bodiesBytes: number;
  /** A whole body must have arrived after this. */
  readonly bodyMs: number;
  /** Most of a refused body that is read and dropped so that the client can read the refusal. */
  readonly discardBytes: number;
  readonly discardMs: number;
}

/** Bounds on what one client can make the API hold or wait for. */
export interface ApiLimits extends BodyLimits {
  /** A request's head must have arrived after this. */
  readonly headersMs: number;
  /** Largest head of a request. Registry credentials travel in a header. */
  readonly headerBytes: number;
  /** Of the local socket; the port for nodes has budgets of its own. */
  readonly connections: number;
  /** How long a request waits for a leader and for a fresh state; with the answer it stays below 5 s. */
  readonly leaderMs: number;
  /** How long a write may take once it was proposed. */
  readonly writeMs: number;
  /** How long `swarm join` is waited for (Docker's 20 s). */
  readonly joinMs: number;
  /** How long a request waits for a service that is giving up the name or the port it asks for. */
  readonly removalMs: number;
  /** Events queued for a slow reader before it is cut off. */
  readonly eventsQueued: number;
  /** Open requests may take this long to end when the server closes. */
  readonly closeMs: number;
}

export const API_LIMITS: ApiLimits = {
  bodyBytes: 4 * 1024 * 1024,
  bodiesBytes: 16 * 1024 * 1024,
  bodyMs: 30_000,
  headersMs: 10_000,
  discardBytes: 64 * 1024 * 1024,
  discardMs: 5_000,
  headerBytes: 64 * 1024,
  connections: 1024,
  leaderMs: 4_500,
  writeMs: 4_500,
  joinMs: 20_000,
  removalMs: 30_000,
  eventsQueued: 1000,
  closeMs: 2_000,
};
