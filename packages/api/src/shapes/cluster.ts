import type {
  Cluster,
  ClusterSpec,
  HostPrivileges,
  JoinTokens,
  TLSInfo,
} from '../objects/cluster.js';
import {
  choice,
  cidr,
  count,
  duration,
  flag,
  integer,
  jsonObject,
  list,
  map,
  objectId,
  optional,
  record,
  signed,
  text,
  timestamp,
} from '../wire/shape.js';
import { VERSION_LIMIT } from '../program.js';
import { CLIENT_VERSIONED, labelsShape, META } from './common.js';

/** Longest certificate or key in PEM, or Base64 of a part of one, in characters. */
export const PEM_LIMIT = 64 * 1024;
const JOIN_TOKEN_LIMIT = 256;
/** Removed nodes remembered: every certificate of the last 90 days at a thousand nodes a day. */
export const REMOVED_NODES_LIMIT = 100_000;

const pem = text(PEM_LIMIT);

export const tlsInfoShape = record<TLSInfo>({
  TrustRoot: pem,
  CertIssuerSubject: pem,
  CertIssuerPublicKey: pem,
});

export const hostPrivilegesShape = choice<HostPrivileges>({
  none: true,
  capabilities: true,
  root: true,
});

export const clusterSpecShape = record<ClusterSpec>({
  Name: text(),
  Labels: labelsShape,
  Orchestration: record<ClusterSpec['Orchestration']>({
    TaskHistoryRetentionLimit: optional(signed),
  }),
  Raft: record<ClusterSpec['Raft']>({
    SnapshotInterval: optional(count),
    KeepOldSnapshots: optional(count),
    LogEntriesForSlowFollowers: optional(count),
    ElectionTick: optional(count),
    HeartbeatTick: optional(count),
  }),
  Dispatcher: record<ClusterSpec['Dispatcher']>({ HeartbeatPeriod: optional(duration) }),
  CAConfig: record<ClusterSpec['CAConfig']>({ NodeCertExpiry: optional(duration) }),
  TaskDefaults: jsonObject,
  EncryptionConfig: record<ClusterSpec['EncryptionConfig']>({ AutoLockManagers: flag }),
  HostPrivileges: optional(hostPrivilegesShape),
});

export const clusterShape = record<Cluster>({
  ...META,
  ...CLIENT_VERSIONED,
  Spec: clusterSpecShape,
  TLSInfo: tlsInfoShape,
  RootRotationInProgress: flag,
  DefaultAddrPool: list(cidr),
  SubnetSize: integer(0, 128),
  DataPathPort: integer(0, 65_535),
  IngressRemoved: optional(flag),
  IngressSubnet: optional(cidr),
  JoinTokens: record<JoinTokens>({
    Worker: text(JOIN_TOKEN_LIMIT),
    Manager: text(JOIN_TOKEN_LIMIT),
  }),
  FeatureLevel: optional(integer(1, VERSION_LIMIT)),
  Private: record<Cluster['Private']>({
    CAKey: pem,
    CACert: pem,
    RemovedNodes: map(record<{ readonly Until: string }>({ Until: timestamp }), {
      max: REMOVED_NODES_LIMIT,
      key: objectId,
    }),
  }),
});
