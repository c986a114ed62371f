import { type BodyLimits, HTTP_LIMITS } from '@swarm/http';
import type { NodeRole } from '@swarm/api';
import { CONNECTIONS_LIMITS } from './connection-budgets.js';

/** Whose bodies share their room: those of peers that have proved nothing, and those of proved nodes. */
export type BodyClass = 'unproved' | NodeRole;

const KIB = 1024;
const MIB = 1024 * KIB;
/** A request for a certificate is below 2 KiB. */
const CERTIFICATE_BODY_BYTES = 16 * KIB;

/** Bounds on bodies of requests among nodes; the API has its own. */
export const BODY_LIMITS: Readonly<Record<BodyClass, BodyLimits>> = {
  unproved: {
    bodyBytes: CERTIFICATE_BODY_BYTES,
    // Who may send at all is decided by connections: there, each address has its share.
    bodiesBytes:
      (CONNECTIONS_LIMITS.unproved + CONNECTIONS_LIMITS.returning) * CERTIFICATE_BODY_BYTES,
    bodyMs: 5_000,
    discardBytes: 4 * MIB,
    discardMs: 2_000,
  },
  // Each worker has a share of connections, too: one alone fills less than a hundredth of this.
  worker: {
    bodyBytes: CERTIFICATE_BODY_BYTES,
    bodiesBytes: 16 * MIB,
    bodyMs: 5_000,
    discardBytes: 4 * MIB,
    discardMs: 2_000,
  },
  manager: { ...HTTP_LIMITS, bodyBytes: 64 * KIB, bodiesBytes: 4 * MIB },
};
