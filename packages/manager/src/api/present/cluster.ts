import { type Cluster, clientVersion } from '@swarm/api';

/** The cluster for `GET /swarm`. The join tokens come last, as in Docker. */
export function presentCluster(cluster: Cluster): Omit<Cluster, 'Private'> {
  return { ...presentClusterInfo(cluster), JoinTokens: cluster.JoinTokens };
}

/**
 * The cluster for `GET /info`, without join tokens. Names each field, so that a new one is not shown by
 * accident.
 */
export function presentClusterInfo(cluster: Cluster): Omit<Cluster, 'Private' | 'JoinTokens'> {
  return {
    ID: cluster.ID,
    Version: clientVersion(cluster),
    CreatedAt: cluster.CreatedAt,
    UpdatedAt: cluster.UpdatedAt,
    Spec: cluster.Spec,
    TLSInfo: cluster.TLSInfo,
    RootRotationInProgress: cluster.RootRotationInProgress,
    DefaultAddrPool: cluster.DefaultAddrPool,
    SubnetSize: cluster.SubnetSize,
    DataPathPort: cluster.DataPathPort,
  };
}
