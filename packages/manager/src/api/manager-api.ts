import { ApiError, type Clock, type Logger } from '@swarm/api';
import type { BodyReader, Engine, HttpCall, HttpRoute } from '@swarm/http';
import type { Caller } from '@swarm/identity';
import type { Stranger } from '../authority/index.js';
import { NetworkBook } from '../allocator/network-book.js';
import { SetAside } from '../set-aside.js';
import { API_ROUTES } from './api-routes.js';
import { CreationQueue } from './creation-queue.js';
import { idempotencyKey } from './creation.js';
import { freshState } from './gate.js';
import { API_LIMITS, type ApiLimits } from './limits.js';
import type { ManagerAccess } from './manager-access.js';
import { localPartOf, onLeader } from './on-leader.js';
import { PortClaims } from './port-claims.js';
import { presentClusterInfo } from './present/cluster.js';
import { presentFeatureLevel } from './present/feature-level.js';
import { notesOf } from './present/path-notes.js';
import type { ApiServices, Call, Route } from './router.js';

export interface ManagerApiOptions {
  readonly manager: ManagerAccess;
  readonly self: ApiServices['self'];
  readonly clock: Clock;
  readonly randomBytes: (size: number) => Uint8Array;
  readonly logger: Logger;
  /** The server's reader, so that all bodies count against one limit. */
  readonly bodies: BodyReader;
  /** The node's engine, for what both the engine and the cluster have: networks and events. */
  readonly engine: Engine | undefined;
  /** Aborts when the server closes. */
  readonly closing: AbortSignal;
  readonly limits?: Partial<ApiLimits>;
}

/** The cluster's routes, which a node's API has while the node is a manager. */
export class ManagerApi {
  /** For callers that the table of rights admits. */
  readonly routes: readonly HttpRoute<Caller>[];
  readonly #manager: ManagerAccess;
  readonly #services: ApiServices;
  readonly #end = new AbortController();

  constructor(options: ManagerApiOptions) {
    const { manager, limits, closing, ...rest } = options;
    this.#manager = manager;
    this.#services = {
      ...rest,
      aside: new SetAside(options.logger),
      limits: { ...API_LIMITS, ...limits },
      portClaims: new PortClaims(),
      creations: new CreationQueue(),
      networks: new NetworkBook(manager.store, options.logger),
      closing: AbortSignal.any([closing, this.#end.signal]),
    };
    this.routes = API_ROUTES.map((route) => ({
      method: route.method,
      pattern: route.pattern,
      handle: (call) => this.#answer(route, call),
    }));
  }

  /**
   * The manager's fields of the `Swarm` part of `GET /info`. Uses local state, since it must answer without
   * a leader too.
   */
  info(): Readonly<Record<string, unknown>> {
    const { store } = this.#manager;
    const cluster = store.cluster();
    const members = this.#manager.members();
    const strangers = this.#manager.strangers?.() ?? [];
    const self = store.get('node', this.#services.self.nodeId);
    const paths = self === undefined ? [] : notesOf(store, self);
    const warnings = [
      ...(members.length === 2 ? [TWO_MANAGERS] : []),
      ...(strangers.length > 0 ? [strangersWarning(strangers)] : []),
      ...paths.map((note) => `WARNING: this node: ${note}`),
    ];
    return {
      Nodes: store.count('node'),
      Managers: members.length,
      ...(cluster !== undefined && {
        Cluster: presentClusterInfo(cluster),
        FeatureLevel: presentFeatureLevel(store),
      }),
      ...(strangers.length > 0 && { Strangers: strangers.map(presentStranger) }),
      ...(warnings.length > 0 && { Warnings: warnings }),
    };
  }

  /** Ends the streams, because the manager stops. */
  close(): void {
    this.#end.abort();
    this.#services.networks.close();
  }

  async #answer(route: Route, asked: HttpCall<Caller>): Promise<void> {
    const { caller, target } = asked;
    // Who forwards speaks for somebody else; that is for what only the leader answers.
    const forwarded = caller.forwardedBy !== undefined;
    if (forwarded && route.on !== 'leader' && route.on !== 'stream')
      throw new ApiError('BAD_REQUEST', `${target.path} is not answered by the leader alone`);
    const manager = this.#manager;
    let call: Call = {
      ...asked,
      services: this.#services,
      ...(route.repeat === 'key' && {
        idempotencyKey: idempotencyKey(asked.request, this.#services.randomBytes),
      }),
    };
    const local = forwarded ? localPartOf(asked.request) : await route.local?.(call, manager);
    if (local === true) return;
    if (typeof local === 'string') call = { ...call, localPart: local };
    if (route.on === 'node') return route.handle(call, manager);
    const handle = (): Promise<void> | void => {
      requireStill(caller, manager, `${route.method} ${route.pattern}`);
      return route.handle(call, manager);
    };
    if (route.on === 'leader' || forwarded) return onLeader(call, manager, route.repeat, handle);
    await freshState(this.#services, manager);
    return handle();
  }
}

const TWO_MANAGERS =
  'WARNING: Running Swarm in a two-manager configuration. This configuration provides no fault ' +
  'tolerance: when either manager is lost, the cluster cannot be changed. Add a third manager.';

/** For `docker info`; `swarm node ls` says it too. */
function strangersWarning(strangers: readonly Stranger[]): string {
  const [{ address }] = strangers as [Stranger];
  const who =
    strangers.length === 1
      ? `A node that this cluster does not know asks for work, from ${address}`
      : `${strangers.length} nodes that this cluster does not know ask for work, one from ${address}`;
  return `WARNING: ${who}. Run "docker swarm leave --force" there, then join again.`;
}

function presentStranger({ nodeId, address, lastSeenMs }: Stranger): object {
  return { NodeID: nodeId, Addr: address, LastSeen: new Date(lastSeenMs).toISOString() };
}

/**
 * Checks the caller's rights again: the store may have changed while the request waited for a fresh state.
 * @throws ApiError PERMISSION_DENIED when the node may no longer use the route
 */
function requireStill({ principal, proof }: Caller, manager: ManagerAccess, right: string): void {
  if (proof === undefined || manager.mayStill(proof, right)) return;
  const who = 'nodeId' in principal ? `node ${principal.nodeId}` : 'the caller';
  throw new ApiError('PERMISSION_DENIED', `${who} is not a manager any more`);
}
