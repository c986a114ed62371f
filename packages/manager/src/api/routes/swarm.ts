import { X509Certificate } from 'node:crypto';
import { ApiError, decodeClusterSpec, makeJoinToken, parseObjectVersion } from '@swarm/api';
import { flagOf, sendEmpty, sendJson } from '@swarm/http';
import { requireVersion, writeAgain } from '../gate.js';
import type { ManagerAccess } from '../manager-access.js';
import { presentCluster } from '../present/cluster.js';
import type { Call, Route } from '../router.js';

function inspect(call: Call, manager: ManagerAccess): void {
  const cluster = manager.store.cluster();
  if (cluster === undefined) {
    throw new ApiError(
      'NOT_IN_SWARM',
      'This node is not a swarm manager. The cluster is being created; try again.',
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
  await writeAgain(services, manager, (transaction) => {
    const cluster = transaction.cluster();
    if (cluster === undefined) throw new ApiError('INTERNAL', 'there is no cluster object');
    const spec = decodeClusterSpec(body, cluster.Spec);
    requireVersion(cluster, version);
    const token = (rotate: string, present: string): string =>
      flagOf(query, rotate)
        ? makeJoinToken(new X509Certificate(cluster.TLSInfo.TrustRoot).raw, services.randomBytes)
        : present;
    transaction.updateSpec('cluster', {
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
      'manager with an encrypted disk',
  );
}

function unlock(): never {
  throw noAutolock();
}

export const swarmRoutes: readonly Route[] = [
  { method: 'GET', pattern: '/swarm/unlockkey', on: 'node', handle: unlock },
  { method: 'POST', pattern: '/swarm/unlock', on: 'node', handle: unlock },
  { method: 'POST', pattern: '/swarm/update', on: 'leader', repeat: 'version', handle: update },
  { method: 'GET', pattern: '/swarm', on: 'read', handle: inspect },
];
