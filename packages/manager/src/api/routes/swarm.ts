import { X509Certificate } from 'node:crypto';
import {
  ApiError,
  decodeClusterSpec,
  decodeInitRequest,
  decodeJoinRequest,
  makeJoinToken,
  parseObjectVersion,
} from '@swarm/api';
import { within } from '../deadline.js';
import { requireManager, write } from '../gate.js';
import type { ManagerAccess } from '../node-control.js';
import { presentCluster } from '../present/cluster.js';
import { flagOf } from '../query.js';
import { sendEmpty, sendJson } from '../reply.js';
import type { Call, Route } from '../router.js';

function requireOutside(call: Call): void {
  const { state } = call.services.control.info();
  if (state === 'inactive' || state === 'error') return;
  throw new ApiError(
    'ALREADY_IN_SWARM',
    'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join ' +
      'another one.',
  );
}

async function init(call: Call): Promise<void> {
  const { control, bodies } = call.services;
  const request = decodeInitRequest(await bodies.readJson(call.request));
  // A manager that lost its quorum is made a cluster of its own again.
  if (!request.forceNewCluster) requireOutside(call);
  sendJson(call.response, await control.init(request));
}

async function join(call: Call): Promise<void> {
  const { control, bodies, clock, limits } = call.services;
  const request = decodeJoinRequest(await bodies.readJson(call.request));
  requireOutside(call);
  await within(
    clock,
    limits.joinMs,
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

async function leave(call: Call): Promise<void> {
  const { control } = call.services;
  const force = flagOf(call.target.query, 'force');
  const { state } = control.info();
  if (state === 'inactive') {
    throw new ApiError('NOT_IN_SWARM', 'This node is not part of a swarm');
  }
  const manager = control.manager();
  if (!force && manager !== undefined) {
    // For what the leader knows of the others.
    await manager.leaderAnswers();
    throw mayNotLeave(manager);
  }
  await control.leave({ force });
  sendEmpty(call.response);
}

/** Why a manager should not just leave; what Docker says, by the same cases. */
function mayNotLeave(manager: ManagerAccess): ApiError {
  const members = manager.members();
  const reachable = members.filter((member) => member.reachability !== 'unreachable').length;
  let message =
    'You are attempting to leave the swarm on a node that is participating as a manager. ';
  if (members.length <= 1) {
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

function inspect(call: Call, manager: ManagerAccess): void {
  const cluster = manager.store.cluster();
  if (cluster === undefined) {
    throw new ApiError(
      'NOT_IN_SWARM',
      'This node is not a swarm manager. The cluster is being made.',
    );
  }
  sendJson(call.response, presentCluster(cluster));
}

async function update(call: Call, manager: ManagerAccess): Promise<void> {
  const { query } = call.target;
  const { services } = call;
  const version = parseObjectVersion(query.get('version'), 'swarm');
  if (flagOf(query, 'rotateManagerUnlockKey')) throw noAutolock();
  const body = await services.bodies.readJson(call.request);
  await write(services, manager, (transaction) => {
    const cluster = transaction.cluster();
    if (cluster === undefined) throw new ApiError('INTERNAL', 'there is no cluster object');
    const spec = decodeClusterSpec(body, cluster.Spec);
    if (cluster.Version.Index !== version) {
      throw new ApiError('OUT_OF_SEQUENCE', 'update out of sequence');
    }
    const token = (rotate: string, present: string): string =>
      flagOf(query, rotate)
        ? makeJoinToken(new X509Certificate(cluster.TLSInfo.TrustRoot).raw, services.randomBytes)
        : present;
    transaction.update('cluster', {
      ...cluster,
      Spec: spec,
      JoinTokens: {
        Worker: token('rotateWorkerToken', cluster.JoinTokens.Worker),
        Manager: token('rotateManagerToken', cluster.JoinTokens.Manager),
      },
    });
  });
  sendEmpty(call.response);
}

function noAutolock(): ApiError {
  return new ApiError(
    'UNIMPLEMENTED',
    'autolock is not served yet, so there is no unlock key; protect the state directory of each ' +
      'manager by an encrypted disk',
  );
}

function unlock(call: Call): never {
  requireManager(call.services.control);
  throw noAutolock();
}

export const swarmRoutes: readonly Route[] = [
  { method: 'POST', pattern: '/swarm/init', on: 'node', handle: init },
  { method: 'POST', pattern: '/swarm/join', on: 'node', handle: join },
  { method: 'POST', pattern: '/swarm/leave', on: 'node', handle: leave },
  { method: 'GET', pattern: '/swarm/unlockkey', on: 'node', handle: unlock },
  { method: 'POST', pattern: '/swarm/unlock', on: 'node', handle: unlock },
  { method: 'POST', pattern: '/swarm/update', on: 'leader', handle: update },
  { method: 'GET', pattern: '/swarm', on: 'read', handle: inspect },
];
