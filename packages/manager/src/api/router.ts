import type { IncomingMessage, ServerResponse } from 'node:http';
import { ApiError, type Clock, type Logger } from '@swarm/api';
import type { Target } from './api-version.js';
import type { BodyReader } from './body.js';
import type { Engine } from './engine.js';
import type { SetAside } from '../set-aside.js';
import type { ApiLimits } from './limits.js';
import type { Caller, ManagerAccess, NodeControl } from './node-control.js';
import type { PortClaims } from './port-claims.js';

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE';

/** One request and what it is answered with. */
export interface Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly target: Target;
  /** The `{name}` parts of the path, decoded. */
  readonly params: Readonly<Record<string, string>>;
  readonly caller: Caller;
  readonly services: ApiServices;
}

/** What every handler may use. */
export interface ApiServices {
  readonly control: NodeControl;
  readonly clock: Clock;
  readonly randomBytes: (size: number) => Uint8Array;
  readonly logger: Logger;
  /** For lists: an object that can not be shown is left out. */
  readonly aside: SetAside;
  readonly limits: ApiLimits;
  readonly bodies: BodyReader;
  readonly portClaims: PortClaims;
  /** Version of this product. */
  readonly version: string;
  readonly engine: Engine | undefined;
  /** Aborts when the server closes: ends what would stream for ever. */
  readonly closing: AbortSignal;
}

type Handler = (call: Call) => Promise<void> | void;
type ManagerHandler = (call: Call, manager: ManagerAccess) => Promise<void> | void;

/**
 * Where a route is answered: `node` by this node whatever it is, `read` by any manager from a fresh
 * state, `leader` by the leader, to whom others forward it.
 */
export type Route = { readonly method: Method; readonly pattern: string } & (
  | { readonly on: 'node'; readonly handle: Handler }
  | { readonly on: 'read' | 'leader'; readonly handle: ManagerHandler }
);

interface Compiled {
  readonly route: Route;
  readonly expression: RegExp;
}

/** Finds the route of a request. */
export class Router {
  readonly #routes: readonly Compiled[];

  /** @param routes the first that matches wins, so put `/services/create` before `/services/{id}` */
  constructor(routes: readonly Route[]) {
    this.#routes = routes.map((route) => ({ route, expression: compile(route.pattern) }));
  }

  /**
   * The route of a request; undefined when no route has the path.
   * @throws ApiError METHOD_NOT_ALLOWED with the methods there are, BAD_REQUEST on bad encoding
   */
  find(
    method: string,
    path: string,
  ): { readonly route: Route; readonly params: Record<string, string> } | undefined {
    const others = new Set<Method>();
    for (const { route, expression } of this.#routes) {
      const match = expression.exec(path);
      if (match === null) continue;
      if (route.method === method) return { route, params: decode(match.groups ?? {}) };
      others.add(route.method);
    }
    if (others.size === 0) return undefined;
    throw new ApiError(
      'METHOD_NOT_ALLOWED',
      `${method} is not possible on ${path}; use ${[...others].sort().join(' or ')}`,
    );
  }
}

/** `{id}` is one part of the path, `{image...}` one or more. */
function compile(pattern: string): RegExp {
  const source = pattern
    .replace(/[.+*?^$()|[\]\\]/g, '\\$&')
    .replace(/\{(\w+)(?:\\\.){3}\}/g, '(?<$1>.+)')
    .replace(/\{(\w+)\}/g, '(?<$1>[^/]+)');
  return new RegExp(`^${source}$`);
}

function decode(groups: Record<string, string>): Record<string, string> {
  try {
    return Object.fromEntries(
      Object.entries(groups).map(([name, value]) => [name, decodeURIComponent(value)]),
    );
  } catch {
    throw new ApiError('BAD_REQUEST', 'the path is not valid percent-encoding');
  }
}
