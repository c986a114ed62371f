import { request as httpsRequest } from 'node:https';
import { ApiError, type Logger } from '@swarm/api';
import type { MemberInfo, RaftNode } from '@swarm/raft';
import { tlsClientOptions } from '../ca/tls-options.js';
import { type LocalManager, splitAddress } from './local-manager.js';

/** Path of the request that makes a manager a member of the Raft group. */
export const JOIN_PATH = '/raft/members';
/** Longest wait for the list of members. */
const MEMBERS_TIMEOUT_MS = 10_000;
/** Path that a manager answers to show that it can be reached. */
export const PROBE_PATH = '/raft/probe';

const PROBE_TIMEOUT_MS = 5000;
/** The leader waits for the new member to catch up; the answer comes after that. */
const JOIN_TIMEOUT_MS = 70_000;
const REPLY_LIMIT_BYTES = 64 * 1024;

/** Body of the join request. */
export interface JoinBody {
  readonly raftId: number;
  readonly address: string;
}

/** @throws ApiError INVALID_ARGUMENT */
export function readJoinBody(body: unknown): JoinBody {
  const { raftId, address } = (typeof body === 'object' && body !== null ? body : {}) as Record<
    string,
    unknown
  >;
  if (!Number.isSafeInteger(raftId) || (raftId as number) <= 0) {
    throw new ApiError('INVALID_ARGUMENT', '"raftId" must be a positive integer');
  }
  if (typeof address !== 'string' || splitAddress(address) === undefined) {
    throw new ApiError('INVALID_ARGUMENT', '"address" must be host:port');
  }
  return { raftId: raftId as number, address };
}

/**
 * The leader's part: makes a node a voter. First it looks whether the node answers at the address that
 * it gave; a member that nobody reaches would only cost the group its majority.
 * @throws ApiError FAILED_PRECONDITION when it does not answer
 */
export async function admitMember(
  raft: RaftNode,
  self: LocalManager,
  member: MemberInfo,
  logger: Logger,
): Promise<void> {
  if (member.nodeId !== self.nodeId) await probe(self, member);
  const earlier = raft.status().members.find(({ info }) => info.nodeId === member.nodeId);
  if (earlier !== undefined && earlier.info.id !== member.id) {
    // The node lost its log and comes back under a new id: the old one can never vote again.
    logger.warn(
      { nodeId: member.nodeId, old: earlier.info.id, new: member.id },
      'a member comes back under a new id',
    );
    await raft.removeMember(earlier.info.id);
  }
  await raft.addMember(member);
}

async function probe(self: LocalManager, member: MemberInfo): Promise<void> {
  try {
    await call(self, member.address, 'GET', PROBE_PATH, PROBE_TIMEOUT_MS, undefined, member.nodeId);
  } catch (error) {
    throw new ApiError(
      'FAILED_PRECONDITION',
      `the manager at ${self.advertiseAddress} can not reach the new one at ${member.address} ` +
        `(${(error as Error).message}): give the right address with --advertise-addr and open port ${splitAddress(member.address)?.port ?? 2377}/tcp`,
    );
  }
}

/** The new member's part: asks any manager; that one has the leader answer. */
export async function askToJoin(
  self: LocalManager,
  manager: string,
  body: JoinBody,
): Promise<void> {
  await call(self, manager, 'POST', JOIN_PATH, JOIN_TIMEOUT_MS, body);
}

/** A member's wish to leave the group; the leader answers when it is out. */
export async function askToLeave(self: LocalManager, leader: string): Promise<void> {
  await call(self, leader, 'DELETE', JOIN_PATH, MEMBERS_TIMEOUT_MS);
}

/** The members of the group that a manager is in: whom a joining member may answer. */
export async function fetchMembers(
  self: LocalManager,
  manager: string,
): Promise<readonly MemberInfo[]> {
  const reply = await call(self, manager, 'GET', JOIN_PATH, MEMBERS_TIMEOUT_MS);
  return JSON.parse(reply) as readonly MemberInfo[];
}

function call(
  self: LocalManager,
  address: string,
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  timeoutMs: number,
  body?: JoinBody,
  expectedNodeId?: string,
): Promise<string> {
  const target = splitAddress(address);
  if (target === undefined)
    throw new ApiError('INVALID_ARGUMENT', `"${address}" is not an address: host:port is needed`);
  const text = body === undefined ? undefined : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const outgoing = httpsRequest(
      {
        ...tlsClientOptions(self.identity(), expectedNodeId),
        ...target,
        method,
        path,
        agent: false,
        signal: AbortSignal.timeout(timeoutMs),
        headers:
          text === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) },
      },
      (incoming) => {
        let reply = '';
        incoming.setEncoding('utf8');
        incoming.on('data', (chunk: string) => {
          reply += chunk;
          if (reply.length > REPLY_LIMIT_BYTES)
            incoming.destroy(new Error('the reply is too long'));
        });
        incoming.on('error', reject);
        incoming.on('end', () => {
          if ((incoming.statusCode ?? 500) < 300) resolve(reply);
          else reject(new ApiError('FAILED_PRECONDITION', messageOf(reply)));
        });
      },
    );
    outgoing.on('error', reject);
    outgoing.end(text);
  });
}

function messageOf(reply: string): string {
  try {
    return String((JSON.parse(reply) as { message?: unknown }).message ?? reply);
  } catch {
    return reply;
  }
}
