import type { Cluster, ClusterSpec } from '@swarm/api';
import {
  ANY,
  BOOL,
  DURATION,
  INT,
  mapOf,
  pointerTo,
  STRING,
  STRINGS,
  sliceOf,
  struct,
} from '../../template/types.js';
import { ANNOTATIONS, type Common, META, TLS_INFO } from './common.js';

const SPEC = struct<Omit<ClusterSpec, 'Name' | 'Labels'>>(
  'ClusterSpec',
  {
    '...Annotations': ANNOTATIONS,
    Orchestration: struct<ClusterSpec['Orchestration']>('OrchestrationConfig', {
      TaskHistoryRetentionLimit: pointerTo(INT),
    }),
    Raft: struct<ClusterSpec['Raft']>('RaftConfig', {
      SnapshotInterval: INT,
      KeepOldSnapshots: pointerTo(INT),
      LogEntriesForSlowFollowers: INT,
      ElectionTick: INT,
      HeartbeatTick: INT,
    }),
    Dispatcher: struct<ClusterSpec['Dispatcher']>('DispatcherConfig', {
      HeartbeatPeriod: DURATION,
    }),
    CAConfig: struct<ClusterSpec['CAConfig']>('CAConfig', {
      NodeCertExpiry: DURATION,
      ExternalCAs: sliceOf(pointerTo(mapOf(ANY))),
      SigningCACert: STRING,
      SigningCAKey: STRING,
      ForceRotate: INT,
    }),
    TaskDefaults: struct('TaskDefaults', {
      LogDriver: pointerTo(struct('Driver', { Name: STRING, Options: mapOf(STRING) })),
    }),
    EncryptionConfig: struct<ClusterSpec['EncryptionConfig']>('EncryptionConfig', {
      AutoLockManagers: BOOL,
    }),
    HostPrivileges: STRING,
  },
  { ours: ['HostPrivileges'] },
);

/** What `info` says of the cluster on a manager. `HostPrivileges` of the spec is ours. */
export const CLUSTER_INFO = struct<
  Omit<
    Cluster,
    Common | 'Private' | 'JoinTokens' | 'FeatureLevel' | 'IngressRemoved' | 'IngressSubnet'
  >
>('ClusterInfo', {
  ID: STRING,
  '...Meta': META,
  Spec: SPEC,
  TLSInfo: TLS_INFO,
  RootRotationInProgress: BOOL,
  DefaultAddrPool: STRINGS,
  SubnetSize: INT,
  DataPathPort: INT,
});
