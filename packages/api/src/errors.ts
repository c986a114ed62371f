/**
 * Every error a user can see: one table, code to HTTP status. docs/errors.md is generated from it. The code
 * that throws writes the message, which says what is wrong and what to do.
 */
export const ERRORS = {
  BAD_REQUEST: {
    status: 400,
    about: 'The request cannot be read: malformed JSON, a wrong type, a bad filter.',
  },
  INVALID_ARGUMENT: {
    status: 400,
    about: 'A field of the request breaks a rule; the message names it.',
  },
  FAILED_PRECONDITION: {
    status: 400,
    about: 'The object is not in a state that allows this.',
  },
  WRONG_VERSION: {
    status: 400,
    about:
      'Node and managers have no protocol or feature level in common: upgrade the older first.',
  },
  UNAUTHENTICATED: {
    status: 401,
    about: 'No certificate, or one that this cluster did not issue.',
  },
  CERTIFICATE_EXPIRED: { status: 401, about: 'The certificate has expired.' },
  INVALID_TOKEN: {
    status: 401,
    about: "The join token is not this cluster's, or was rotated.",
  },
  PERMISSION_DENIED: {
    status: 403,
    about: 'This node or client may not do this, or the policy of the cluster forbids it.',
  },
  UNKNOWN_NODE: {
    status: 403,
    about: 'The certificate is good, but the cluster does not know the node, as after a restore.',
  },
  NOT_FOUND: { status: 404, about: 'No such object, or no such route.' },
  METHOD_NOT_ALLOWED: { status: 405, about: 'The route exists, but not with this method.' },
  CONFLICT: {
    status: 409,
    about:
      'The name is taken, the port is published by another service, or the subnet belongs to another network.',
  },
  TOO_LARGE: { status: 413, about: 'The body is larger than this route accepts.' },
  IDEMPOTENCY_KEY_REUSED: {
    status: 422,
    about: 'An object was created with this Idempotency-Key by another request.',
  },
  OUT_OF_SEQUENCE: {
    status: 500,
    about: 'The object changed since it was read: read it again (500, as Docker answers).',
  },
  INTERNAL: { status: 500, about: "A fault in swarm; the daemon's log has more." },
  UNIMPLEMENTED: { status: 501, about: 'Docker has this, swarm does not.' },
  NOT_IN_SWARM: { status: 503, about: 'The node is not part of a cluster, or is not a manager.' },
  ALREADY_IN_SWARM: { status: 503, about: 'The node is already part of a cluster.' },
  NO_QUORUM: { status: 503, about: 'No leader: more than half of the managers must be online.' },
  OVERLOADED: { status: 503, about: 'Too much is in progress; try again.' },
  TIMEOUT: { status: 503, about: 'Not done in time; it may still happen.' },
} as const;

export type ErrorCode = keyof typeof ERRORS;

/** An error that the caller made or should be told about. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  /** The HTTP status that goes with the code. */
  get status(): number {
    return ERRORS[this.code].status;
  }
}

/** The reply header that carries the code of an error. */
export const ERROR_CODE_HEADER = 'X-Swarm-Error-Code';
