import { type BodyLimits, HTTP_LIMITS } from '@swarm/http';
import type { NodeRole } from '@swarm/api';
import { CONNECTIONS_LIMITS } from './connection-budgets.js';

/** Bodies that share one limit: those of peers without proof of identity, of workers, and of managers. */
export type BodyClass = 'unproved' | NodeRole;

const KIB = 1024;
const MIB = 1024 * KIB;
/** A request for a certificate is below 2 KiB. */
const CERTIFICATE_BODY_BYTES = 16 * KIB;

/** Limits on bodies of requests between nodes; the API has its own. */
export const BODY_LIMITS: Readonly<Record<BodyClass, BodyLimits>> = {
  unproved: {
    bodyBytes: CERTIFICATE_BODY_BYTES,
    // Connection budgets limit how many peers can send: each address has its share of connections.
    bodiesBytes:
      (CONNECTIONS_LIMITS.unproved + CONNECTIONS_LIMITS.returning) * CERTIFICATE_BODY_BYTES,
    bodyMs: 5_000,
    discardBytes: 4 * MIB,
    discardMs: 2_000,
  },
  // Each worker has a share of connections too: one alone fills less than a hundredth of this.
  worker: {
    bodyBytes: CERTIFICATE_BODY_BYTES,
    bodiesBytes: 16 * MIB,
    bodyMs: 5_000,
    discardBytes: 4 * MIB,
    discardMs: 2_000,
  },
  manager: { ...HTTP_LIMITS, bodyBytes: 64 * KIB, bodiesBytes: 4 * MIB },
};
