import { X509Certificate } from 'node:crypto';
import {
  type AddressPools,
  type ClusterSpec,
  makeJoinToken,
  type NodeAvailability,
  PROGRAM,
} from '@swarm/api';
import { expiresAt, tlsInfo } from '@swarm/identity';
import { neverSeen } from '../dispatcher/node-states.js';
import type { RootCA } from '../ca/certificate-issuer.js';
import type { Store } from '../store/store.js';
import type { LocalManager } from './local-manager.js';

export interface FoundingRequest {
  readonly self: Pick<
    LocalManager,
    'nodeId' | 'clusterId' | 'raftId' | 'advertiseAddress' | 'identity'
  >;
  readonly root: RootCA;
  readonly spec: ClusterSpec;
  readonly availability: NodeAvailability;
  readonly hostname: string;
  readonly dataPathPort: number;
  readonly addressPools: AddressPools;
  readonly randomBytes: (size: number) => Uint8Array;
}

/** Writes the first objects of a new cluster, the cluster and its first node, in one log entry. */
export async function foundCluster(store: Store, request: FoundingRequest): Promise<void> {
  const { self, root, spec, randomBytes } = request;
  const certificate = self.identity().certificate;
  const info = tlsInfo(root.certificate);
  const rootDer = new X509Certificate(root.certificate).raw;
  const host = self.advertiseAddress
    .slice(0, self.advertiseAddress.lastIndexOf(':'))
    .replace(/^\[|\]$/g, '');
  await store.transact((transaction) => {
    transaction.create('cluster', {
      ID: self.clusterId,
      Spec: spec,
      TLSInfo: info,
      RootRotationInProgress: false,
      DefaultAddrPool: request.addressPools.pools,
      SubnetSize: request.addressPools.subnetSize,
      DataPathPort: request.dataPathPort,
      JoinTokens: {
        Worker: makeJoinToken(rootDer, randomBytes),
        Manager: makeJoinToken(rootDer, randomBytes),
      },
      FeatureLevel: PROGRAM.FeatureLevel.Newest,
      Private: { CAKey: root.key, CACert: root.certificate, RemovedNodes: {} },
    });
    transaction.create('node', {
      ID: self.nodeId,
      Spec: { Labels: {}, Role: 'manager', Availability: request.availability },
      Role: 'manager',
      RaftID: self.raftId,
      ManagerAddr: self.advertiseAddress,
      Status: neverSeen(host),
      CertificateExpiresAt: new Date(expiresAt(new X509Certificate(certificate))).toISOString(),
      Description: {
        Hostname: request.hostname,
        Platform: { Architecture: '', OS: '' },
        Resources: {},
        Engine: { EngineVersion: '' },
        Program: PROGRAM,
      },
    });
  });
}
