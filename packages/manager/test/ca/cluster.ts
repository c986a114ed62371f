import { randomBytes } from 'node:crypto';
import { type Cluster, type ClusterSpec, makeJoinToken, PROGRAM } from '@swarm/api';
import {
  createKeyRequest,
  type NodeIdentity,
  readRequest,
  type Subject,
  tlsInfo,
} from '@swarm/identity';
import { certificateDer, createRootCA, issueCertificate, type RootCA } from '../../src/ca/index.js';
import type { Draft } from '../../src/store/store.js';

export const DAY_MS = 24 * 60 * 60 * 1000;
export const CLUSTER_ID = 'cluster';

/** What the CA is given: real randomness, a clock that stands. */
export function caContext(nowMs: number) {
  return { clock: { now: () => nowMs }, randomBytes };
}

/** A root made at `nowMs`. */
export function root(nowMs: number): Promise<RootCA> {
  return createRootCA(caContext(nowMs));
}

/** The cluster object of a fresh cluster with this root. */
export async function clusterDraft(
  authority: RootCA,
  spec: Partial<ClusterSpec> = {},
): Promise<Draft<'cluster'>> {
  const der = certificateDer(authority.certificate);
  const TLSInfo = tlsInfo(authority.certificate);
  const object: Omit<Cluster, 'ID' | 'Version' | 'CreatedAt' | 'UpdatedAt'> = {
    Spec: {
      Name: 'default',
      Labels: {},
      Orchestration: {},
      Raft: {},
      Dispatcher: {},
      CAConfig: {},
      TaskDefaults: {},
      EncryptionConfig: { AutoLockManagers: false },
      ...spec,
    },
    TLSInfo,
    RootRotationInProgress: false,
    FeatureLevel: PROGRAM.FeatureLevel.Newest,
    DefaultAddrPool: [],
    SubnetSize: 24,
    DataPathPort: 4789,
    JoinTokens: {
      Worker: makeJoinToken(der, randomBytes),
      Manager: makeJoinToken(der, randomBytes),
    },
    Private: { CAKey: authority.key, CACert: authority.certificate, RemovedNodes: {} },
  };
  return { ID: CLUSTER_ID, ...object };
}

/** A node's identity signed by the root at `nowMs`. */
export async function identity(
  authority: RootCA,
  nowMs: number,
  subject: Partial<Subject> = {},
  lifeMs: number = 90 * DAY_MS,
): Promise<NodeIdentity> {
  const request = await createKeyRequest();
  const issued = await issueCertificate(
    caContext(nowMs),
    authority,
    await readRequest(request.csr),
    { nodeId: 'node', role: 'worker', clusterId: CLUSTER_ID, ...subject },
    lifeMs,
  );
  return {
    rootCertificate: authority.certificate,
    certificate: issued.certificate,
    key: request.key,
  };
}
