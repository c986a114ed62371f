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
import { serviceInTheWay } from '../allocator/cluster-ports.js';
import { levelOf } from '../store/feature-levels.js';
import type { Store } from '../store/store.js';
import type { LocalManager } from './local-manager.js';

/** Requests to other managers, with this node's certificate. */
export interface ManagerCalls {
  /**
   * @param expectedNodeId refuse every other node
   * @throws ApiError what the manager answered, or why it could not be reached
   */
  call(call: Omit<ManagerCall, 'tls'>, expectedNodeId?: string): Promise<unknown>;
}

/** Path of the requests that list the members of the Raft group, add one, or remove one. */
export const JOIN_PATH = '/raft/members';
/** Path that a manager answers to show that it can be reached. */
export const PROBE_PATH = '/raft/probe';
/**
 * Header of a connection to another member: `host:port` at which the connecting manager is reached now. Its
 * certificate proves who says so, and it speaks for itself only.
 */
export const ADDRESS_HEADER = 'x-swarm-manager-address';
/** Longest wait for the list of members, and for the removal of a member. */
const MEMBERS_TIMEOUT_MS = 10_000;
const PROBE_TIMEOUT_MS = 5000;
/** Members read from a reply; a larger group would never agree in time. */
const MEMBERS_LIMIT = 64;
/** The leader answers only after the new member has caught up. */
const JOIN_TIMEOUT_MS = 70_000;

/** Body of the join request. */
export interface JoinBody {
  readonly raftId: number;
  readonly address: string;
  /** The program that the new member runs. */
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
 * The leader's part of a join: makes a node a voter. First checks that the node answers at the address it
 * gave, since a member that nobody reaches only costs the group its majority. Removes a member that does
 * not catch up in time.
 * @throws ApiError FAILED_PRECONDITION when it does not answer, PERMISSION_DENIED when the cluster does not
 *   want it as a manager, WRONG_VERSION when its program is too old for what the cluster stores, CONFLICT
 *   when another node has its member id, or a service publishes the port that it listens on
 * @throws RaftError when the group does not take it
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
      `node ${member.nodeId} is not meant to be a manager: promote it first`,
    );
  }
  const name = `node ${member.nodeId}`;
  const problem = featureLevelProblem(name, program, levelOf(store.cluster()));
  if (problem !== undefined) throw new ApiError('WRONG_VERSION', problem);
  const members = () => raft.status().members;
  if (members().some(({ info }) => info.id === member.id && info.nodeId !== member.nodeId))
    throw new ApiError(
      'CONFLICT',
      `member id ${member.id} belongs to another node: take a new one`,
    );
  refuseTakenPorts(store, member);
  if (member.nodeId !== self.nodeId) await probe(self, calls, member);
  // The node lost its log and comes back under a new id: the old member can never vote again. There may be
  // several: a join whose leader died leaves a learner.
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
    dropLearner(raft, member.id, logger);
    throw error;
  }
}

/** A service keeps the port that it publishes: the node has not begun to serve others there. */
function refuseTakenPorts(store: Store, { nodeId, address }: MemberInfo): void {
  const ports = [
    parseHostPort(address)?.port ?? 0,
    store.get('node', nodeId)?.Description?.ListenPort ?? 0,
  ];
  const taken = serviceInTheWay(store, ports);
  if (taken === undefined) return;
  const { service, port } = taken;
  throw new ApiError(
    'CONFLICT',
    `node ${nodeId} cannot become a manager: it listens on port ${port}/tcp, which service ` +
      `'${service.Spec.Name}' publishes; remove the port from the service, or leave and join again ` +
      'with another --listen-addr',
  );
}

/**
 * Removes a member that did not become a voter, in the background: nobody else would. Its node needs another
 * id for its next try.
 */
export function dropLearner(
  raft: Pick<RaftNode, 'status' | 'removeMember'>,
  raftId: number,
  logger: Logger,
): void {
  const stuck = raft.status().members.find(({ info }) => info.id === raftId);
  if (stuck?.role !== 'learner') return;
  raft.removeMember(raftId).catch((error: unknown) => {
    logger.warn({ err: error, raftId }, 'a learner that did not join could not be removed');
  });
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
      `the leader (${self.advertiseAddress}) cannot reach the new manager at ${address} ` +
        `(${(error as Error).message}): give the right address with --advertise-addr and open port ` +
        `${parseHostPort(address)?.port ?? 2377}/tcp on it`,
    );
  }
}

/** The new member's part of a join: asks any manager, which forwards to the leader. */
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

/** Body of the request to leave the Raft group; absent from older versions. */
export interface LeaveBody {
  /** The node undoes its join and forgets its key: the cluster should forget it too, not keep it as a worker. */
  readonly withdraws: boolean;
}

/** @throws ApiError BAD_REQUEST */
export function readLeaveBody({ raw, json }: { raw: Buffer; json(): unknown }): LeaveBody {
  const body = raw.byteLength === 0 ? undefined : json();
  const { withdraws } = (typeof body === 'object' && body !== null ? body : {}) as Readonly<
    Record<string, unknown>
  >;
  return { withdraws: withdraws === true };
}

/**
 * Asks to leave the Raft group. When this resolves, the member is removed and its node is a worker, or is not
 * in the cluster any more. Any manager takes the request and forwards it to the leader.
 */
export async function askToLeave(
  calls: ManagerCalls,
  manager: string,
  timeoutMs = MEMBERS_TIMEOUT_MS,
  body?: LeaveBody,
): Promise<void> {
  await calls.call({
    ...{ address: manager, method: 'DELETE', path: JOIN_PATH, timeoutMs },
    ...(body === undefined ? {} : { body }),
  });
}

/** Fetches the members of a manager's group: those that a joining member may answer. */
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
