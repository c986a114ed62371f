import { ApiError, decodeInitRequest, decodeJoinRequest, decodeReconnectRequest } from '@swarm/api';
import { flagOf, sendEmpty, sendJson, within } from '@swarm/http';
import type { ManagerAccess } from '@swarm/manager';
import type { LocalCall, LocalRoute } from '../local-call.js';

function requireOutside(call: LocalCall): void {
  const { state } = call.services.control.info();
  if (state === 'inactive' || state === 'error') return;
  throw new ApiError(
    'ALREADY_IN_SWARM',
    'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join ' +
      'another one.',
  );
}

async function init(call: LocalCall): Promise<void> {
  const { control, bodies } = call.services;
  const request = decodeInitRequest(await bodies.readJson(call.request));
  // With `ForceNewCluster` a manager that lost its quorum goes on as a cluster of one.
  if (!request.forceNewCluster) requireOutside(call);
  sendJson(call.response, await control.init(request));
}

async function join(call: LocalCall): Promise<void> {
  const { control, bodies, clock, joinMs } = call.services;
  const request = decodeJoinRequest(await bodies.readJson(call.request));
  requireOutside(call);
  await within(
    clock,
    joinMs,
    control.join(request),
    () =>
      new ApiError(
        'TIMEOUT',
        'Timeout was reached before node joined. The attempt to join the swarm will continue in the ' +
          'background. Use the "docker info" command to see the current swarm status of your node.',
      ),
  );
  sendEmpty(call.response);
}

async function reconnect(call: LocalCall): Promise<void> {
  const { control, bodies } = call.services;
  const request = decodeReconnectRequest(await bodies.readJson(call.request));
  if (control.reconnect === undefined)
    throw new ApiError('UNIMPLEMENTED', 'this daemon cannot change its addresses');
  await control.reconnect(request);
  sendEmpty(call.response);
}

async function leave(call: LocalCall): Promise<void> {
  const { control } = call.services;
  const force = flagOf(call.target.query, 'force');
  const { state } = control.info();
  if (state === 'inactive') {
    throw new ApiError('NOT_IN_SWARM', 'This node is not part of a swarm');
  }
  const manager = control.manager();
  if (!force && manager !== undefined) {
    // Updates what this member knows about the others from the leader.
    await manager.leaderAnswers();
    throw mayNotLeave(manager);
  }
  await control.leave({ force });
  sendEmpty(call.response);
}

/** Why a manager should not just leave, in Docker's words and for the same cases. */
function mayNotLeave(manager: Pick<ManagerAccess, 'members' | 'otherLeader'>): ApiError {
  const members = manager.members();
  const reachable = members.filter((member) => member.reachability !== 'unreachable').length;
  let message =
    'You are attempting to leave the swarm on a node that is participating as a manager. ';
  const other = manager.otherLeader?.();
  if (other !== undefined) {
    // Also a copy of a manager's folder: what counts its group's managers would be wrong, and demoting the
    // node would take the one that lives.
    message +=
      `The other managers have a leader, node ${other.nodeId} at ${other.address}, and go on without this one: ` +
      'leaving takes nothing from them. Use `docker swarm leave --force`; or wait, if this node should stay a ' +
      'manager: "docker info" says what it waits for.';
  } else if (members.length <= 1) {
    message +=
      'Removing the last manager erases all current state of the swarm. Use `--force` to ignore this ' +
      'message.';
  } else {
    if (reachable - 1 <= members.length / 2) {
      message +=
        `Removing this node leaves ${reachable - 1} managers out of ${members.length}. Without a Raft ` +
        'quorum your swarm will be inaccessible. The only way to restore a swarm that has lost ' +
        'consensus is to reinitialize it with `--force-new-cluster`. ';
    }
    message += 'Demote the node first, or use `--force` to suppress this message.';
  }
  return new ApiError('NOT_IN_SWARM', message);
}

export const swarmRoutes: readonly LocalRoute[] = [
  { method: 'POST', pattern: '/swarm/init', handle: init },
  { method: 'POST', pattern: '/swarm/join', handle: join },
  { method: 'POST', pattern: '/swarm/leave', handle: leave },
  { method: 'POST', pattern: '/x/reconnect', handle: reconnect },
];
