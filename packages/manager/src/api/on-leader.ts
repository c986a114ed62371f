import type { IncomingMessage } from 'node:http';
import {
  ApiError,
  type Clock,
  type ErrorCode,
  formatIdempotencyKey,
  IDEMPOTENCY_KEY_HEADER,
  pause,
} from '@swarm/api';
import { AnswerLostError } from '@swarm/http';
import { OUT_OF_SEQUENCE } from '../store/errors.js';
import { freshState, LEADER_POLL_MS, noQuorum, stopping } from './gate.js';
import type { ManagerAccess } from './manager-access.js';
import type { Call, Route } from './router.js';

/** Carries `Call.localPart` to the leader. */
const LOCAL_PART_HEADER = 'X-Swarm-Local-Part';
/** Attempts that may be lost before the client hears of it. */
const LOST_LIMIT = 3;
/** Errors of a manager that stops or does not lead: it certainly did nothing of what it was asked. */
const NOT_DONE: readonly string[] = ['NOT_IN_SWARM', 'NO_QUORUM'];
/** What the next attempt meets when a lost one was done after all; or when somebody else was faster. */
const SIGNS_OF_DONE: readonly string[] = ['OUT_OF_SEQUENCE', 'NOT_FOUND'];

/**
 * Lets the leader answer: calls `here` on the leader, and forwards to it elsewhere. Waits for an election, asks
 * the next leader when one certainly did nothing, and also when its answer was lost, if the route says that
 * this is safe. Otherwise the error says that the change may have been made.
 * @throws ApiError NO_QUORUM after limits.leaderMs, or when the manager closes, if nothing was done; TIMEOUT if
 *   something may have been
 */
export async function onLeader(
  call: Call,
  manager: ManagerAccess,
  repeat: Route['repeat'],
  here: () => Promise<void> | void,
): Promise<void> {
  const { clock, limits, closing } = call.services;
  const isForwarded = call.caller.forwardedBy !== undefined;
  let until = clock.monotonicMs() + limits.leaderMs;
  let lost = 0;
  let notDone: ApiError | undefined;
  while (!call.response.destroyed) {
    // A request that waits here would only delay the end of the process.
    if (closing.aborted) throw lost > 0 ? unanswered(call) : stopping();
    // The manager that forwarded it knows the next leader, or soon will.
    if (isForwarded && !manager.isLeader())
      throw new ApiError('NO_QUORUM', 'this manager does not lead any more: try again');
    const isRepeatable = !isForwarded && repeat !== undefined;
    if (manager.quorum().state === 'ok') {
      const wasLeader = manager.isLeader();
      try {
        const keepsBack = (code: string): boolean =>
          NOT_DONE.includes(code) ||
          (isRepeatable && code === 'TIMEOUT') ||
          (lost > 0 && SIGNS_OF_DONE.includes(code));
        if (await attempt(call, manager, { isForwarded, until, keepsBack }, here)) return;
      } catch (error) {
        const isOurs = error instanceof ApiError && !isForwarded && !call.response.headersSent;
        if (!isOurs) throw error;
        if (isNotDone(error)) notDone ??= error;
        else if (error.code === 'TIMEOUT') {
          // A leader that is slow stays slow.
          if (!isRepeatable || (wasLeader && manager.isLeader())) throw error;
          lost += 1;
          if (lost === LOST_LIMIT) throw unanswered(call);
          until = clock.monotonicMs() + limits.leaderMs;
        } else if (lost > 0 && SIGNS_OF_DONE.includes(error.code)) throw afterLoss(error.code);
        else throw error;
      }
    }
    if (clock.monotonicMs() >= until) {
      if (lost > 0) throw unanswered(call);
      throw notDone !== undefined && manager.quorum().state === 'ok' ? notDone : noQuorum(manager);
    }
    await pause(clock, LEADER_POLL_MS);
  }
}

interface Attempt {
  readonly isForwarded: boolean;
  readonly until: number;
  readonly keepsBack: (code: string) => boolean;
}

/**
 * One attempt, if there is a leader to ask.
 * @returns whether the client has its answer
 * @throws ApiError the leader's answer if it was kept back
 */
async function attempt(
  call: Call,
  manager: ManagerAccess,
  { isForwarded, until, keepsBack }: Attempt,
  here: () => Promise<void> | void,
): Promise<boolean> {
  const { clock } = call.services;
  if (manager.isLeader()) {
    // A new leader may not have applied everything yet, and an old one may not know that it lost.
    const fresh = freshState(call.services, manager, until);
    // If we stop leading, the manager that forwarded it asks the next leader at once.
    await (isForwarded ? whileLeading(clock, manager, fresh) : fresh);
    if (!manager.isLeader()) return false;
    await here();
    return true;
  }
  if (isForwarded || !(await manager.leaderAnswers())) return false;
  const body = await call.services.bodies.read(call.request);
  const { idempotencyKey: key, localPart } = call;
  const headers = {
    ...(key !== undefined && { [IDEMPOTENCY_KEY_HEADER]: formatIdempotencyKey(key) }),
    ...(localPart !== undefined && { [LOCAL_PART_HEADER]: localPart }),
  };
  const kept = await manager.forward(call, body, { headers, keepsBack });
  if (kept === undefined) return true;
  throw new ApiError(kept as ErrorCode, 'the leader refused: try again');
}

/** What the manager that forwarded the request did on its own node. */
export function localPartOf({ headers }: IncomingMessage): string | undefined {
  const value = headers[LOCAL_PART_HEADER.toLowerCase()];
  return typeof value === 'string' ? value : undefined;
}

/** Settles as `work` does, or resolves as soon as this manager stops leading. */
async function whileLeading(clock: Clock, manager: ManagerAccess, work: Promise<void>) {
  let isOver = false;
  const lost = async (): Promise<void> => {
    while (!isOver && manager.isLeader()) await pause(clock, LEADER_POLL_MS);
  };
  try {
    await Promise.race([work, lost()]);
  } finally {
    isOver = true;
  }
}

function isNotDone(error: ApiError): boolean {
  return error instanceof AnswerLostError ? !error.mayBeDone : NOT_DONE.includes(error.code);
}

function unanswered({ request }: Call): ApiError {
  const hasKey = request.headers[IDEMPOTENCY_KEY_HEADER.toLowerCase()] !== undefined;
  return new ApiError(
    'TIMEOUT',
    'the leader was lost before it answered, and no other one could be asked in time: the change may have been ' +
      `made; look before you try again${hasKey ? ', or send the same request with the same Idempotency-Key' : ''}`,
  );
}

function afterLoss(code: ErrorCode): ApiError {
  const what = code === 'NOT_FOUND' ? 'the object is not found' : OUT_OF_SEQUENCE;
  const done = code === 'NOT_FOUND' ? 'have removed it' : 'have made this change';
  return new ApiError(
    code,
    `${what}: the leader was lost during the first attempt, which may ${done}; look before you try again`,
  );
}
