/** Bounds on the bodies of requests. */
export interface BodyLimits {
  /** Largest JSON body. */
  readonly bodyBytes: number;
  /** All bodies that are being read, of all clients together. */
  readonly bodiesBytes: number;
  /** Time for a whole body to arrive. */
  readonly bodyMs: number;
  /** How much of a refused body to read and drop, so that the client can read the refusal. */
  readonly discardBytes: number;
  readonly discardMs: number;
}

/** Bounds on what one client can make a server hold or wait for. */
export interface HttpLimits extends BodyLimits {
  /** Time for a request's head to arrive. */
  readonly headersMs: number;
  /** Largest head of a request, which may hold registry credentials. */
  readonly headerBytes: number;
  /** Of the local socket; the port for nodes has budgets of its own. */
  readonly connections: number;
  /** Time for open requests to end when the server closes. */
  readonly closeMs: number;
}

export const HTTP_LIMITS: HttpLimits = {
  bodyBytes: 4 * 1024 * 1024,
  bodiesBytes: 16 * 1024 * 1024,
  bodyMs: 30_000,
  headersMs: 10_000,
  discardBytes: 64 * 1024 * 1024,
  discardMs: 5_000,
  headerBytes: 64 * 1024,
  connections: 1024,
  closeMs: 2_000,
};
