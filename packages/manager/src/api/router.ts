import type { Clock, Logger } from '@swarm/api';
import type { BodyReader, Engine, HttpCall, RoutePattern } from '@swarm/http';
import type { Caller } from '@swarm/identity';
import type { SetAside } from '../set-aside.js';
import type { NetworkBook } from '../allocator/network-book.js';
import type { CreationQueue } from './creation-queue.js';
import type { ApiLimits } from './limits.js';
import type { ManagerAccess } from './manager-access.js';
import type { PortClaims } from './port-claims.js';

/** One request, its response, and what its handler may use. */
export interface Call extends HttpCall<Caller> {
  readonly services: ApiServices;
  /** What `Route.local` returned on the node that the client asked; printable ASCII. */
  readonly localPart?: string;
  /** Of routes that create; see `Creation`. */
  readonly idempotencyKey?: string;
}

/** What every handler may use. */
export interface ApiServices {
  /** Whose manager this is. */
  readonly self: { readonly nodeId: string; readonly clusterId: string };
  readonly clock: Clock;
  readonly randomBytes: (size: number) => Uint8Array;
  readonly logger: Logger;
  /** For lists: skips and logs an object that cannot be shown. */
  readonly aside: SetAside;
  readonly limits: ApiLimits;
  readonly bodies: BodyReader;
  readonly portClaims: PortClaims;
  readonly creations: CreationQueue;
  readonly networks: NetworkBook;
  readonly engine: Engine | undefined;
  /** Aborts when the manager or the server closes, to end open streams. */
  readonly closing: AbortSignal;
}

/**
 * Where a route is answered: `node` by any manager from what it has, `read` by any manager from a fresh
 * state, `leader` by the leader, to whom others forward it; `stream` by any manager like `read`, which gets it
 * from the leader and goes on with the next one. A manager of an earlier version may forward a `stream`.
 */
export interface Route extends RoutePattern {
  readonly on: 'node' | 'read' | 'leader' | 'stream';
  /**
   * Why a second attempt does no harm when the answer of the first was lost with its leader: the request
   * carries an idempotency `key`, or the `version` that it changes, or is a `removal`. Absent for a write means
   * that there is only one attempt.
   */
  readonly repeat?: 'key' | 'version' | 'removal';
  /**
   * Does what concerns this node alone before the leader is asked: its engine has networks as well. Not called
   * for what another manager forwarded.
   * @returns whether that was the whole answer; or a part of it, for `Call.localPart`
   */
  readonly local?: (call: Call, manager: ManagerAccess) => Promise<boolean | string>;
  readonly handle: (call: Call, manager: ManagerAccess) => Promise<void> | void;
}
