import type { ClientVersioned, Labels, Meta, Nanoseconds } from './common.js';

/** How much of a host the tasks of image `host` may ask for (docs/runtimes.md). */
export type HostPrivileges = 'none' | 'capabilities' | 'root';

export interface ClusterSpec {
  readonly Name: string;
  readonly Labels: Labels;
  readonly Orchestration: { readonly TaskHistoryRetentionLimit?: number };
  readonly Raft: {
    readonly SnapshotInterval?: number;
    readonly KeepOldSnapshots?: number;
    readonly LogEntriesForSlowFollowers?: number;
    readonly ElectionTick?: number;
    readonly HeartbeatTick?: number;
  };
  readonly Dispatcher: { readonly HeartbeatPeriod?: Nanoseconds };
  readonly CAConfig: { readonly NodeCertExpiry?: Nanoseconds };
  readonly TaskDefaults: object;
  readonly EncryptionConfig: { readonly AutoLockManagers: boolean };
  /** Ours; absent means `none`. A client that does not know the field leaves it unchanged. */
  readonly HostPrivileges?: HostPrivileges;
}

export interface TLSInfo {
  /** PEM. */
  readonly TrustRoot: string;
  /** Base64 of the issuer's DER subject and public key. */
  readonly CertIssuerSubject: string;
  readonly CertIssuerPublicKey: string;
}

export interface JoinTokens {
  readonly Worker: string;
  readonly Manager: string;
}

/** The one object of kind `cluster`. `Private` never leaves the managers. */
export interface Cluster extends Meta, ClientVersioned {
  readonly Spec: ClusterSpec;
  readonly TLSInfo: TLSInfo;
  readonly RootRotationInProgress: boolean;
  readonly DefaultAddrPool: readonly string[];
  readonly SubnetSize: number;
  readonly DataPathPort: number;
  /**
   * A user removed the ingress network: the cluster makes no other until a user does. From feature level 5 on.
   */
  readonly IngressRemoved?: boolean;
  /**
   * The subnet of the ingress network that was removed, if not INGRESS_SUBNET: nodes keep their blocks in it until
   * there is another.
   */
  readonly IngressSubnet?: string;
  readonly JoinTokens: JoinTokens;
  /**
   * What the managers may store: nothing that came with a higher level. Rises when every manager can, and
   * never falls. Absent is FIRST_FEATURE_LEVEL.
   */
  readonly FeatureLevel?: number;
  readonly Private: {
    /** PEM, PKCS #8. */
    readonly CAKey: string;
    readonly CACert: string;
    /**
     * Ids of removed nodes of a cluster from before feature level 4, until the leader makes each an object of its
     * own (RemovedNode): this one is written whole. Their certificates are refused until they expire.
     */
    readonly RemovedNodes: Readonly<Record<string, { readonly Until: string }>>;
  };
}
