import { ApiError } from '@swarm/api';

/** Newest version of Docker's API served: that of Docker 28.2. */
export const API_VERSION_MAX = '1.50';
/** Oldest version served. */
export const API_VERSION_MIN = '1.24';

/** What a request is for, from its URL. */
export interface Target {
  /** The N of version 1.N; the newest when the URL names none. */
  readonly minor: number;
  /** Whether the URL named a version. */
  readonly versioned: boolean;
  /** Path without the version, still percent-encoded. */
  readonly path: string;
  readonly query: URLSearchParams;
}

/** The N of `1.N`. */
export function minorOf(version: string): number {
  return Number(version.slice(version.indexOf('.') + 1));
}

/**
 * Splits `/v1.50/nodes?x=y`. The prefix is optional, as in Docker.
 * @throws ApiError BAD_REQUEST when the version is not served
 */
export function parseTarget(url: string): Target {
  const question = url.indexOf('?');
  const whole = question === -1 ? url : url.slice(0, question);
  const query = new URLSearchParams(question === -1 ? '' : url.slice(question + 1));
  const match = /^\/v(\d{1,4})\.(\d{1,4})(\/.*|$)/.exec(whole);
  if (match === null) {
    return { minor: minorOf(API_VERSION_MAX), versioned: false, path: whole, query };
  }
  const [, major, minor, rest] = match;
  const version = `${major}.${minor}`;
  const order = (Number(major) - 1) * 10_000 + Number(minor);
  if (order > minorOf(API_VERSION_MAX)) {
    throw new ApiError(
      'BAD_REQUEST',
      `client version ${version} is too new. Maximum supported API version is ${API_VERSION_MAX}`,
    );
  }
  if (order < minorOf(API_VERSION_MIN)) {
    throw new ApiError(
      'BAD_REQUEST',
      `client version ${version} is too old. Minimum supported API version is ${API_VERSION_MIN}, ` +
        'please upgrade your client to a newer version',
    );
  }
  return { minor: Number(minor), versioned: true, path: rest === '' ? '/' : rest!, query };
}
