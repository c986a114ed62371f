import type { IncomingMessage } from 'node:http';
import { ApiError, isObjectId, parseIpAddress } from '@swarm/api';
import type { Proof, Right } from '@swarm/identity';

/**
 * Header of a request that a manager forwards to the leader: the peer that sent it, as JSON. The leader
 * accepts it from managers only, on routes made for it, and checks the subject against its own store.
 */
export const PEER_HEADER = 'x-swarm-peer';
/** Longest accepted header, characters. */
const PEER_LIMIT = 1024;

/** The other end of a manager's connection. */
export interface Peer {
  /** Without port; empty when the connection had closed already. */
  readonly remoteAddress: string;
  /** Absent when there was no certificate. */
  readonly proof?: Proof;
}

/** The right that sending the header needs. */
export const FORWARD: Right = 'forward';

/** The error for a request that a former manager forwarded: another manager may serve it. */
export function noForwarder(): ApiError {
  return new ApiError(
    'NOT_IN_SWARM',
    'the manager that forwarded this is not a manager any more: ask another one',
  );
}

/** Encodes the header. Drops the zone of the address, which means nothing on another host. */
export function writePeer({ remoteAddress, proof }: Peer): string {
  const address = parseIpAddress(remoteAddress.replace(/%.*$/, '')) ?? '';
  return JSON.stringify({ remoteAddress: address, ...(proof === undefined ? {} : { proof }) });
}

/**
 * Reads the header; undefined when the request has none.
 * @throws ApiError BAD_REQUEST when it is malformed
 */
export function readPeer(request: IncomingMessage): Peer | undefined {
  const header = request.headers[PEER_HEADER];
  if (header === undefined) return undefined;
  const peer =
    typeof header === 'string' && header.length <= PEER_LIMIT ? parse(header) : undefined;
  if (peer === undefined) {
    throw new ApiError('BAD_REQUEST', `the header ${PEER_HEADER} names no peer`);
  }
  return peer;
}

function parse(header: string): Peer | undefined {
  let said: unknown;
  try {
    said = JSON.parse(header);
  } catch {
    return undefined;
  }
  const { remoteAddress, proof } = fields(said);
  const address = remoteAddress === '' ? '' : parseIpAddress(remoteAddress);
  if (address === undefined) return undefined;
  if (proof === undefined) return { remoteAddress: address };
  const { subject, issuedAtMs, expiresAtMs } = fields(proof);
  const { nodeId, role, clusterId } = fields(subject);
  if (!isObjectId(nodeId) || !isObjectId(clusterId)) return undefined;
  if (role !== 'manager' && role !== 'worker') return undefined;
  if (!isTimeMs(issuedAtMs) || !isTimeMs(expiresAtMs)) return undefined;
  return {
    remoteAddress: address,
    proof: { subject: { nodeId, role, clusterId }, issuedAtMs, expiresAtMs },
  };
}

function fields(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function isTimeMs(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
