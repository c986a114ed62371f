import type { IncomingMessage, ServerResponse } from 'node:http';
import { ApiError } from '@swarm/api';
import type { Target } from './target.js';

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE';

/**
 * One request and the response to write.
 * @typeParam Caller who asks, as the owner of the server tells callers apart
 */
export interface HttpCall<Caller> {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly target: Target;
  /** The `{name}` parts of the path, decoded. */
  readonly params: Readonly<Record<string, string>>;
  readonly caller: Caller;
}

/** The part of a route that a router looks at. */
export interface RoutePattern {
  readonly method: Method;
  readonly pattern: string;
}

export interface HttpRoute<Caller> extends RoutePattern {
  readonly handle: (call: HttpCall<Caller>) => Promise<void> | void;
}

interface Compiled<Route> {
  readonly route: Route;
  readonly expression: RegExp;
}

/** Finds the route of a request. */
export class Router<Route extends RoutePattern> {
  readonly #routes: readonly Compiled<Route>[];

  /** @param routes the first match wins, so put `/services/create` before `/services/{id}` */
  constructor(routes: readonly Route[]) {
    this.#routes = routes.map((route) => ({ route, expression: compile(route.pattern) }));
  }

  /**
   * The route of a request; undefined when no route matches the path.
   * @throws ApiError METHOD_NOT_ALLOWED, listing the allowed methods; BAD_REQUEST for bad encoding
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
