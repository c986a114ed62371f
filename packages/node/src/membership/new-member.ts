import { ApiError, type InitRequest, type JoinRequest, newId, newRaftId } from '@swarm/api';
import type { RootCA } from '@swarm/manager';
import { certificateSubject, type NodeIdentity } from '@swarm/identity';
import {
  advertiseAddress,
  dataPathAddress,
  listenAddress,
  listenFor,
  localAddressTowards,
  withPort,
} from './addresses.js';
import { originsOf } from './address-origins.js';
import { foundIdentity, joinIdentity } from './first-certificate.js';
import { firstOf } from './first-of.js';
import type { MemberHost } from './member-host.js';
import type { LocalState } from '../files/local-state.js';

const DEFAULT_DATA_PATH_PORT = 4789;

/** What a node keeps when it enters a cluster. */
export interface NewMember {
  readonly state: LocalState;
  readonly identity: NodeIdentity;
}

/**
 * Makes a new cluster's first node and the cluster's root. Writes nothing.
 * @throws ApiError INVALID_ARGUMENT for an address
 */
export async function newFounder(
  request: InitRequest,
  host: MemberHost,
): Promise<NewMember & { readonly root: RootCA }> {
  const { randomBytes } = host;
  const interfaces = host.networkInterfaces();
  const listen = listenAddress(request.listenAddr, interfaces);
  const advertise = advertiseAddress(request.advertiseAddr, listen, interfaces);
  const clusterId = newId(randomBytes);
  const nodeId = newId(randomBytes);
  const state: LocalState = {
    clusterId,
    nodeId,
    advertiseAddress: advertise,
    listen: listenFor(listen, advertise),
    dataPathAddress: dataPathAddress(request.dataPathAddr, advertise, interfaces),
    dataPathPort: request.dataPathPort || DEFAULT_DATA_PATH_PORT,
    addressOrigins: originsOf(request, interfaces),
    raftId: newRaftId(randomBytes),
    raftJoined: true,
    managers: [{ nodeId, address: advertise }],
  };
  const { root, identity } = await foundIdentity(host, request, { nodeId, clusterId });
  return { state, identity, root };
}

/**
 * Makes a node that a manager has certified. Checks the addresses before that, so that a mistake in them
 * leaves no node behind in the cluster.
 * @param signal when aborted, asks no further manager
 * @throws ApiError
 */
export async function newJoiner(
  request: JoinRequest,
  host: MemberHost,
  signal: AbortSignal,
): Promise<NewMember> {
  const interfaces = host.networkInterfaces();
  const listen = listenAddress(request.listenAddr, interfaces);
  const remotes = request.remoteAddrs.map(withPort);
  if (remotes.length === 0)
    throw new ApiError('INVALID_ARGUMENT', 'at least 1 RemoteAddr is required to join');
  return firstOf(
    remotes,
    async (remote) => {
      let advertise = '';
      let dataPath = '';
      const { nodeId, identity, dataPathPort } = await joinIdentity(
        host,
        remote,
        request,
        async () => {
          // Of several addresses, the one on the route to the manager is right.
          const given = request.advertiseAddr || (await localAddressTowards(remote));
          advertise = advertiseAddress(given, listen, interfaces);
          dataPath = dataPathAddress(request.dataPathAddr, advertise, interfaces);
        },
      );
      const state: LocalState = {
        clusterId: certificateSubject(identity.certificate).clusterId,
        nodeId,
        advertiseAddress: advertise,
        listen: listenFor(listen, advertise),
        dataPathAddress: dataPath,
        // A manager of an earlier version does not say it.
        dataPathPort: dataPathPort ?? DEFAULT_DATA_PATH_PORT,
        // The route to the manager found it, whatever this node listens on.
        addressOrigins: {
          ...originsOf(request, interfaces),
          ...(request.advertiseAddr === '' && { advertise: 'detected' }),
        },
        managers: [{ nodeId: '', address: remote }],
      };
      return { state, identity };
    },
    signal,
  );
}
