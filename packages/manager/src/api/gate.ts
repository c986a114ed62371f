import { ApiError, clientVersion, type ClientVersioned, type Meta, pause } from '@swarm/api';
import { within } from '@swarm/http';
import { OUT_OF_SEQUENCE } from '../store/errors.js';
import type { Transaction } from '../store/store.js';
import type { ManagerAccess } from './manager-access.js';
import type { ApiServices } from './router.js';

/** Names the node that forwarded the request, so that nobody forwards it again. */
export const FORWARDED_HEADER = 'x-swarm-forwarded-by';
/** How often a request that waits for a leader, or for the term of its leader to end, looks again. */
export const LEADER_POLL_MS = 50;

/** The error without a quorum: Docker's sentence, then which managers are missing and what to do. */
export function noQuorum(manager: ManagerAccess): ApiError {
  const other = manager.otherLeader?.();
  // The cluster is well, so nobody may be advised to leave it behind.
  if (other !== undefined) {
    return new ApiError(
      'NO_QUORUM',
      `This manager has lost touch with the others, which have a leader: node ${other.nodeId} at ${other.address}. ` +
        'It joins them again by itself ("docker info" here says what it waits for); until then run the command on ' +
        'another manager.',
    );
  }
  const timeProblem = manager.timeProblem?.();
  if (timeProblem !== undefined) {
    return new ApiError(
      'NO_QUORUM',
      'The swarm does not have a leader that this manager accepts, and the others may be well. ' +
        `${timeProblem} Until then run the command on another manager.`,
    );
  }
  const missing = manager.members().filter((member) => member.reachability === 'unreachable');
  const who = missing.map((member) => `${member.nodeId} (${member.address})`).join(', ');
  const what =
    'Start the managers that are down. If they have other addresses now, run "swarm reconnect ADDRESS" ' +
    'here with one of them. If they are lost for good, run ' +
    '"docker swarm init --force-new-cluster" on one that still works.';
  return new ApiError(
    'NO_QUORUM',
    "The swarm does not have a leader. It's possible that too few managers are online. " +
      'Make sure more than half of the managers are online. ' +
      (who === '' ? what : `Unreachable from here: ${who}. ${what}`),
  );
}

/**
 * Resolves when the store holds everything committed before the call.
 * @throws ApiError NO_QUORUM after limits.leaderMs, or as soon as the manager closes
 */
export async function freshState(
  services: Pick<ApiServices, 'clock' | 'limits' | 'closing'>,
  manager: ManagerAccess,
  until = services.clock.monotonicMs() + services.limits.leaderMs,
): Promise<void> {
  while (true) {
    if (services.closing.aborted) throw stopping();
    const leftMs = until - services.clock.monotonicMs();
    if (leftMs <= 0) throw noQuorum(manager);
    try {
      const barrier = untilClosing(services.closing, manager.readBarrier());
      await within(services.clock, leftMs, barrier, () => noQuorum(manager));
      return;
    } catch (error) {
      // There may be no leader for a moment, during an election.
      const retry =
        error instanceof ApiError && (error.code === 'NO_QUORUM' || error.code === 'TIMEOUT');
      if (!retry) throw error;
      await pause(services.clock, Math.min(LEADER_POLL_MS, Math.max(leftMs, 0)));
    }
  }
}

/**
 * Tells that the request has not begun: a manager that forwarded it asks the next leader, a client may ask
 * again.
 */
export function stopping(): ApiError {
  return new ApiError('NO_QUORUM', 'this manager is stopping: ask another one, or try again');
}

/** Settles as `work` does, or rejects as soon as the manager closes. */
async function untilClosing<T>(closing: AbortSignal, work: Promise<T>): Promise<T> {
  let end: () => void = () => {};
  const ended = new Promise<never>((_, reject) => {
    end = () => reject(stopping());
    closing.addEventListener('abort', end, { once: true });
  });
  try {
    return await Promise.race([work, ended]);
  } finally {
    closing.removeEventListener('abort', end);
  }
}

/**
 * Writes to the store within a time limit.
 * @param proposed is called with what becomes of the proposal, also after the limit
 * @throws ApiError TIMEOUT after limits.writeMs; otherwise what the store throws
 */
export function write<T>(
  services: ApiServices,
  manager: ManagerAccess,
  build: (transaction: Transaction) => T,
  proposed: (proposal: Promise<T>) => void = () => {},
): Promise<T> {
  const proposal = manager.store.transact(build);
  proposed(proposal);
  return within(services.clock, services.limits.writeMs, proposal, () =>
    unconfirmed(manager),
  ).catch((error: unknown) => {
    // If too few managers are up, the error says which are missing. While only the leader changes, that would
    // be a false alarm: the store's error says that the change was not made.
    const isLost = error instanceof ApiError && error.code === 'NO_QUORUM';
    throw isLost && manager.quorum().state === 'lost' ? noQuorum(manager) : error;
  });
}

/** Without a quorum, too: the change is in this manager's log, and happens if this manager leads again. */
function unconfirmed(manager: ManagerAccess): ApiError {
  const what =
    'the change was not confirmed in time and may still happen; look before you try again';
  const why = manager.quorum().state === 'lost' ? `. ${noQuorum(manager).message}` : '';
  return new ApiError('TIMEOUT', what + why);
}

/** How often a write is built again when an object changed between its build and its log entry. */
const WRITE_ATTEMPTS = 20;

/** What a client sent was made from an older spec than the one that is stored. */
class StaleVersion extends ApiError {
  constructor() {
    super('OUT_OF_SEQUENCE', OUT_OF_SEQUENCE);
  }
}

/**
 * Checks that no other client has written the object since this one read it.
 * @param version what the client sent
 * @throws ApiError OUT_OF_SEQUENCE, which `writeAgain` does not try again
 */
export function requireVersion(
  object: Pick<Meta, 'Version'> & ClientVersioned,
  version: number,
): void {
  if (clientVersion(object).Index !== version) throw new StaleVersion();
}

/**
 * As `write`, but builds the change again when an object changed between its build and its log entry. Of two
 * clients that write one object at once, the second finds the version of the first: see `requireVersion`.
 * @param build called once for each attempt
 * @param proposed as for `write`, once for each attempt
 */
export async function writeAgain<T>(
  services: ApiServices,
  manager: ManagerAccess,
  build: (transaction: Transaction) => T,
  proposed: (proposal: Promise<T>) => void = () => {},
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await write(services, manager, build, proposed);
    } catch (error) {
      const changed = error instanceof ApiError && error.code === 'OUT_OF_SEQUENCE';
      if (!changed || error instanceof StaleVersion || attempt === WRITE_ATTEMPTS) throw error;
    }
  }
}
