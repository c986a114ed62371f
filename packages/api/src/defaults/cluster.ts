import type { ClusterSpec } from '../objects/cluster.js';
import { SECOND } from '../objects/common.js';

/** Docker's is 5 s; ours is shorter, so that a lost node is noticed within 3 s. */
export const HEARTBEAT_PERIOD_DEFAULT = SECOND;
/** 90 days. */
export const NODE_CERT_EXPIRY_DEFAULT = 90 * 24 * 3600 * SECOND;

/** The spec of a new cluster. Stored whole, so that `GET /swarm` shows what is in force. */
export function clusterDefaults(): ClusterSpec {
  return {
    Name: 'default',
    Labels: {},
    Orchestration: { TaskHistoryRetentionLimit: 5 },
    Raft: {
      SnapshotInterval: 10_000,
      KeepOldSnapshots: 0,
      LogEntriesForSlowFollowers: 500,
      ElectionTick: 10,
      HeartbeatTick: 1,
    },
    Dispatcher: { HeartbeatPeriod: HEARTBEAT_PERIOD_DEFAULT },
    CAConfig: { NodeCertExpiry: NODE_CERT_EXPIRY_DEFAULT },
    TaskDefaults: {},
    EncryptionConfig: { AutoLockManagers: false },
    HostPrivileges: 'none',
  };
}
