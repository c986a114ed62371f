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

/** Bounds on what one client can make a server hold or wait for. */
export interface HttpLimits extends BodyLimits {
  /** A request's head must have arrived after this. */
  readonly headersMs: number;
  /** Largest head of a request. Registry credentials travel in a header. */
  readonly headerBytes: number;
  /** Of the local socket; the port for nodes has budgets of its own. */
  readonly connections: number;
  /** Open requests may take this long to end when the server closes. */
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
