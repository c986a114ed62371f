import type {
  ClientVersioned,
  Created,
  Creation,
  Labels,
  Meta,
  ObjectVersion,
} from '../objects/common.js';
import type { PortProtocol, ProxyProtocol, RatePeriod } from '../objects/service.js';
import { IDEMPOTENCY_KEY_LIMIT, isIdempotencyKey } from '../values/idempotency-key.js';
import {
  choice,
  count,
  type FieldShapes,
  map,
  objectId,
  optional,
  record,
  type Shape,
  ShapeError,
  text,
  timestamp,
} from '../wire/shape.js';

/** Most IPv6 addresses that a node reports. */
export const NODE_IPV6_LIMIT = 16;

/** Largest number of connections that a client may be limited to: the kernel looks at each when one is added. */
export const CLIENT_CONNECTIONS_LIMIT = 10_000;
/** Largest rate, and burst, that a client may be limited to. */
export const CLIENT_RATE_LIMIT = 1_000_000;

/** Largest weight of an endpoint. */
export const ENDPOINT_WEIGHT_LIMIT = 1000;

/** Most characters of a name that a user gives: of services, tasks, nodes. */
export const NAME_LIMIT = 256;
/** Longest text that holds an address or host name, in characters. */
const ADDRESS_TEXT_LIMIT = 320;
const ADDRESS_WORD = /^[0-9A-Za-z_.:%[\]-]*$/;

export const proxyProtocolShape = choice<ProxyProtocol>({ v1: true, v2: true });

export const ratePeriodShape = choice<RatePeriod>({ second: true, minute: true, hour: true });

export const portProtocolShape = choice<PortProtocol>({ tcp: true, udp: true, sctp: true });

export const labelsShape: Shape<Labels> = map(text());

export const objectVersionShape = record<ObjectVersion>({ Index: count });

/** The fields that every stored object has. */
export const META: FieldShapes<Meta> = {
  ID: objectId,
  Version: objectVersionShape,
  CreatedAt: timestamp,
  UpdatedAt: timestamp,
};

/** The fields of an object that both clients and the cluster write. */
export const CLIENT_VERSIONED: FieldShapes<ClientVersioned> = {
  ClientVersion: optional(objectVersionShape),
};

const keyText = text(IDEMPOTENCY_KEY_LIMIT);
/** SHA-256 as base64url without padding. */
const DIGEST = /^[\w-]{43}$/;
const digestText = text(43);

export const creationShape = record<Creation>({
  Key: {
    read(value) {
      const found = keyText.read(value);
      if (!isIdempotencyKey(found)) throw new ShapeError('', 'must be an idempotency key');
      return found;
    },
  },
  Digest: {
    read(value) {
      const found = digestText.read(value);
      if (!DIGEST.test(found)) throw new ShapeError('', 'must be a digest');
      return found;
    },
  },
});

/** The fields of an object that clients create. */
export const CREATED: FieldShapes<Created> = { Creation: optional(creationShape) };

const addressText = text(ADDRESS_TEXT_LIMIT);

/**
 * An address for people to read: an IP address, a host name, either with a port, or empty. Safe in a log
 * and on a terminal. Parse it before sending packets there.
 */
export const shownAddress: Shape<string> = {
  read(value) {
    const found = addressText.read(value);
    if (!ADDRESS_WORD.test(found)) throw new ShapeError('', 'must be an address');
    return found;
  },
};
