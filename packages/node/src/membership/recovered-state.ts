import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { ApiError, type InitRequest, newId, newRaftId } from '@swarm/api';
import type { CheckedBackup, RestoredManager } from '@swarm/manager/recovery';
import type { NodeIdentity } from '@swarm/identity';
import {
  advertiseAddress,
  DEFAULT_LISTEN,
  dataPathAddress,
  listenAddress,
  listenFor,
} from './addresses.js';
import { originsOf, withAddresses } from './address-origins.js';
import { restoredIdentity } from './first-certificate.js';
import type { MemberHost } from './member-host.js';
import type { RestoreRequest } from '../api/node-control.js';
import type { LocalState } from '../files/local-state.js';

/** The file that receives a backup; it holds the cluster's keys. */
const RECEIVED = 'restore.part';

/** A manager's state after `--force-new-cluster`: the same, with the addresses that were given. */
export function forcedState(
  state: LocalState,
  request: InitRequest,
  host: Pick<MemberHost, 'networkInterfaces'>,
): LocalState {
  if (request.dataPathPort !== 0 && request.dataPathPort !== state.dataPathPort) {
    throw new ApiError(
      'INVALID_ARGUMENT',
      `tasks run over port ${state.dataPathPort}: leave --data-path-port out with --force-new-cluster`,
    );
  }
  const { advertiseAddr, dataPathAddr } = request;
  // The flag's default says nothing about what the node listens on.
  const listenAddr = request.listenAddr === DEFAULT_LISTEN ? '' : request.listenAddr;
  const given = { listenAddr, advertiseAddr, dataPathAddr };
  const forced = withAddresses(state, given, host.networkInterfaces());
  return { ...forced, managers: [{ nodeId: state.nodeId, address: forced.advertiseAddress }] };
}

/** Everything that a node needs to become the manager of a restored cluster. */
export interface Restored {
  readonly backup: CheckedBackup;
  readonly state: LocalState;
  readonly identity: NodeIdentity;
  readonly node: Omit<RestoredManager, 'self'>;
  /** Removes the received file. */
  discard(): Promise<void>;
}

/**
 * Receives and checks a backup. The node gets a new id, Raft id and certificate, because the owner of the
 * old ones may still be running.
 * @throws ApiError INVALID_ARGUMENT, leaving nothing behind
 */
export async function receiveBackup(
  request: RestoreRequest,
  host: MemberHost,
  dataRoot: string,
): Promise<Restored> {
  const path = join(dataRoot, RECEIVED);
  const discard = (): Promise<void> => rm(path, { force: true });
  try {
    const { randomBytes } = host;
    const interfaces = host.networkInterfaces();
    const listen = listenAddress(request.listenAddr, interfaces);
    const advertise = advertiseAddress(request.advertiseAddr, listen, interfaces);
    const dataPath = dataPathAddress(request.dataPathAddr, advertise, interfaces);
    await discard();
    await pipeline(request.backup, createWriteStream(path, { mode: 0o600, flags: 'wx' }));
    const { backupFile, checkBackup } = await import('@swarm/manager/recovery');
    const backup = await checkBackup(backupFile(path));
    const { cluster } = backup;
    const nodeId = newId(randomBytes);
    const { identity, expiresAtMs } = await restoredIdentity(host, cluster, nodeId);
    const state: LocalState = {
      clusterId: cluster.ID,
      nodeId,
      advertiseAddress: advertise,
      listen: listenFor(listen, advertise),
      dataPathAddress: dataPath,
      dataPathPort: cluster.DataPathPort,
      addressOrigins: originsOf(request, interfaces),
      raftId: newRaftId(randomBytes),
      raftJoined: true,
      managers: [{ nodeId, address: advertise }],
    };
    const node = {
      hostname: host.hostname(),
      availability: 'active',
      certificateExpiresAt: new Date(expiresAtMs).toISOString(),
    } as const;
    return { backup, state, identity, node, discard };
  } catch (error) {
    await discard();
    throw error;
  }
}
