import { type Cluster, clientVersion } from '@swarm/api';

/** What `GET /swarm` shows; the join tokens come last, as in Docker. */
export function presentCluster(cluster: Cluster): Omit<Cluster, 'Private'> {
  return { ...presentClusterInfo(cluster), JoinTokens: cluster.JoinTokens };
}

/** What `GET /info` shows: no join tokens either. Fields are picked, so that new ones stay inside. */
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
