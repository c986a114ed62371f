import type { IncomingMessage } from 'node:http';
import { ApiError, isObjectId, parseIpAddress } from '@swarm/api';
import type { Proof, Right } from '@swarm/identity';

/**
 * On a request that a manager sends on to the leader: whom it had at the other end, as JSON. The leader
 * takes it from managers only, on routes made for it, and judges the subject again by its own store.
 */
export const PEER_HEADER = 'x-swarm-peer';
/** Longest header that is read, characters. */
const PEER_LIMIT = 1024;

/** Whom a manager had at the other end of a connection. */
export interface Peer {
  /** Without port; empty when the connection was gone already. */
  readonly remoteAddress: string;
  /** Absent when there was no certificate. */
  readonly proof?: Proof;
}

/** The row of the table of rights for whoever sends the header. */
export const FORWARD: Right = 'forward';

/** For the peer of the one that forwarded: another manager may do better. */
export function noForwarder(): ApiError {
  return new ApiError('NOT_IN_SWARM', 'the manager that was asked is none any more: ask another');
}

/** @param peer its address as the socket gives it: a zone means nothing on another host and is left out */
export function writePeer({ remoteAddress, proof }: Peer): string {
  const address = parseIpAddress(remoteAddress.replace(/%.*$/, '')) ?? '';
  return JSON.stringify({ remoteAddress: address, ...(proof === undefined ? {} : { proof }) });
}

/**
 * What the header says; undefined without it.
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
