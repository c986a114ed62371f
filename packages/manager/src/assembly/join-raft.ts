import {
  ApiError,
  featureLevelProblem,
  formatHostPort,
  isObjectId,
  type Logger,
  parseHostPort,
  type Program,
} from '@swarm/api';
import type { MemberInfo, MemberStatus, RaftNode } from '@swarm/raft';
import type { ManagerCall } from '@swarm/identity';
import { readProgram } from '../ca/read-program.js';
import { levelOf } from '../store/feature-levels.js';
import type { Store } from '../store/store.js';
import type { LocalManager } from './local-manager.js';

/** How a node asks other managers, with its own certificate. */
export interface ManagerCalls {
  /**
   * @param expectedNodeId refuse every other node
   * @throws ApiError what the manager answered, or why it could not be asked
   */
  call(call: Omit<ManagerCall, 'tls'>, expectedNodeId?: string): Promise<unknown>;
}

/** Path of the request that makes a manager a member of the Raft group, or takes it out. */
export const JOIN_PATH = '/raft/members';
/** Path that a manager answers to show that it can be reached. */
export const PROBE_PATH = '/raft/probe';
/** Longest wait for the list of members, and for being let go. */
const MEMBERS_TIMEOUT_MS = 10_000;
const PROBE_TIMEOUT_MS = 5000;
/** Members that are read from a reply; a group of more would never agree in time. */
const MEMBERS_LIMIT = 64;
/** The leader waits for the new member to catch up; the answer comes after that. */
const JOIN_TIMEOUT_MS = 70_000;

/** Body of the join request. */
export interface JoinBody {
  readonly raftId: number;
  readonly address: string;
  /** What the new member runs. */
  readonly program: Program;
}

/** @throws ApiError INVALID_ARGUMENT */
export function readJoinBody(body: unknown): JoinBody {
  const { raftId, address, program } = (
    typeof body === 'object' && body !== null ? body : {}
  ) as Record<string, unknown>;
  if (!Number.isSafeInteger(raftId) || (raftId as number) <= 0) {
    throw new ApiError('INVALID_ARGUMENT', '"raftId" must be a positive integer');
  }
  const parsed = parseHostPort(address);
  if (parsed === undefined) throw new ApiError('INVALID_ARGUMENT', '"address" must be host:port');
  return {
    raftId: raftId as number,
    address: formatHostPort(parsed),
    program: readProgram(program),
  };
}

/**
 * The leader's part: makes a node a voter. First it looks whether the node answers at the address that
 * it gave; a member that nobody reaches would only cost the group its majority. A member that does not
 * catch up in time is taken out again.
 * @throws ApiError FAILED_PRECONDITION when it does not answer, PERMISSION_DENIED when it shall be none,
 *   WRONG_VERSION when its program cannot do what the cluster stores
 */
export async function admitMember(
  raft: RaftNode,
  store: Store,
  self: Pick<LocalManager, 'nodeId' | 'advertiseAddress'>,
  calls: ManagerCalls,
  member: MemberInfo,
  program: Program,
  logger: Logger,
): Promise<void> {
  if (store.get('node', member.nodeId)?.Spec.Role !== 'manager') {
    throw new ApiError(
      'PERMISSION_DENIED',
      `node ${member.nodeId} shall be no manager: promote it first`,
    );
  }
  const name = `node ${member.nodeId}`;
  const problem = featureLevelProblem(name, program, levelOf(store.cluster()));
  if (problem !== undefined) throw new ApiError('WRONG_VERSION', problem);
  const members = () => raft.status().members;
  if (members().some(({ info }) => info.id === member.id && info.nodeId !== member.nodeId))
    throw new ApiError('CONFLICT', `member id ${member.id} is of another node: take a new one`);
  if (member.nodeId !== self.nodeId) await probe(self, calls, member);
  // The node lost its log and comes back under a new id: the old one can never vote again. There may be
  // more than one: an attempt that its leader did not survive has left a learner.
  const isEarlier = ({ info }: MemberStatus) =>
    info.nodeId === member.nodeId && info.id !== member.id;
  const earlier = members().filter(isEarlier);
  const voter = earlier.find(({ role }) => role === 'voter');
  const old = (voter ?? earlier[0])?.info.id;
  for (const { info } of earlier) if (info.id !== old) await raft.removeMember(info.id);
  if (old !== undefined) {
    logger.warn(
      { nodeId: member.nodeId, old, new: member.id },
      'a member comes back under a new id',
    );
  }
  try {
    if (old === undefined) await raft.addMember(member);
    else await raft.replaceMember(old, member);
  } catch (error) {
    const stuck = members().find(({ info }) => info.id === member.id);
    if (stuck?.role === 'learner') {
      raft.removeMember(member.id).catch((failure: unknown) => {
        logger.warn({ err: failure, raftId: member.id }, 'a learner that never joined is left');
      });
    }
    throw error;
  }
}

async function probe(
  self: Pick<LocalManager, 'advertiseAddress'>,
  calls: ManagerCalls,
  { address, nodeId }: MemberInfo,
): Promise<void> {
  try {
    await calls.call(
      { address, method: 'GET', path: PROBE_PATH, timeoutMs: PROBE_TIMEOUT_MS },
      nodeId,
    );
  } catch (error) {
    throw new ApiError(
      'FAILED_PRECONDITION',
      `the leader (${self.advertiseAddress}) can not reach the new manager at ${address} ` +
        `(${(error as Error).message}): give the right address with --advertise-addr and open port ` +
        `${parseHostPort(address)?.port ?? 2377}/tcp on it`,
    );
  }
}

/** The new member's part: asks any manager; that one has the leader answer. */
export async function askToJoin(
  calls: ManagerCalls,
  manager: string,
  body: JoinBody,
  signal?: AbortSignal,
): Promise<void> {
  await calls.call({
    address: manager,
    method: 'POST',
    path: JOIN_PATH,
    timeoutMs: JOIN_TIMEOUT_MS,
    body,
    signal,
  });
}

/**
 * A manager's wish to be none any more: it is out of the group, and its node a worker's, when this
 * resolves. Any manager may be asked; the leader does it.
 */
export async function askToLeave(
  calls: ManagerCalls,
  manager: string,
  timeoutMs = MEMBERS_TIMEOUT_MS,
): Promise<void> {
  await calls.call({
    address: manager,
    method: 'DELETE',
    path: JOIN_PATH,
    timeoutMs,
  });
}

/** The members of the group that a manager is in: whom a joining member may answer. */
export async function fetchMembers(
  calls: ManagerCalls,
  manager: string,
  signal?: AbortSignal,
): Promise<readonly MemberInfo[]> {
  const reply = await calls.call({
    address: manager,
    method: 'GET',
    path: JOIN_PATH,
    timeoutMs: MEMBERS_TIMEOUT_MS,
    signal,
  });
  const members = Array.isArray(reply)
    ? reply.slice(0, MEMBERS_LIMIT).map(readMember)
    : [undefined];
  return members.map((member) => {
    if (member !== undefined) return member;
    throw new ApiError('INTERNAL', `${manager} did not answer with members of a Raft group`);
  });
}

function readMember(said: unknown): MemberInfo | undefined {
  if (typeof said !== 'object' || said === null) return undefined;
  const { id, nodeId, address } = said as Readonly<Record<string, unknown>>;
  const parsed = parseHostPort(address);
  if (!Number.isSafeInteger(id) || !isObjectId(nodeId) || parsed === undefined) return undefined;
  return { id: id as number, nodeId, address: formatHostPort(parsed) };
}
