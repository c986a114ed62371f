import {
  ANY,
  BOOL,
  INT,
  mapOf,
  pointerTo,
  STRING,
  STRINGS,
  sliceOf,
  struct,
} from '../../template/types.js';
import { CLUSTER_INFO } from './cluster.js';

const FEATURE_LEVEL = struct('FeatureLevel', {
  Current: INT,
  Highest: INT,
  WaitsFor: sliceOf(struct('WaitsFor', { NodeID: STRING, Hostname: STRING, Newest: INT })),
});

const SWARM = struct(
  'SwarmInfo',
  {
    NodeID: STRING,
    NodeAddr: STRING,
    LocalNodeState: STRING,
    ControlAvailable: BOOL,
    Error: STRING,
    RemoteManagers: sliceOf(struct('Peer', { NodeID: STRING, Addr: STRING })),
    Nodes: INT,
    Managers: INT,
    Cluster: pointerTo(CLUSTER_INFO),
    Warnings: STRINGS,
    FeatureLevel: pointerTo(FEATURE_LEVEL),
    Version: STRING,
    Sandboxes: pointerTo(struct('Sandboxes', { InUse: INT, Spare: INT })),
    Strangers: sliceOf(struct('Stranger', { NodeID: STRING, Addr: STRING, LastSeen: STRING })),
  },
  { ours: ['FeatureLevel', 'Version', 'Sandboxes', 'Strangers'] },
);

const COMMIT = struct('Commit', { ID: STRING, Expected: STRING });

/** What `info` shows, with Docker's names: of an engine, and of a node without one. */
export const INFO = struct('Info', {
  ID: STRING,
  Containers: INT,
  ContainersRunning: INT,
  ContainersPaused: INT,
  ContainersStopped: INT,
  Images: INT,
  Driver: STRING,
  DriverStatus: sliceOf(STRINGS),
  SystemStatus: sliceOf(STRINGS),
  Plugins: struct('PluginsInfo', {
    Volume: STRINGS,
    Network: STRINGS,
    Authorization: STRINGS,
    Log: STRINGS,
  }),
  MemoryLimit: BOOL,
  SwapLimit: BOOL,
  CPUCfsPeriod: { type: BOOL, key: 'CpuCfsPeriod' },
  CPUCfsQuota: { type: BOOL, key: 'CpuCfsQuota' },
  CPUShares: BOOL,
  CPUSet: BOOL,
  PidsLimit: BOOL,
  IPv4Forwarding: BOOL,
  Debug: BOOL,
  NFd: INT,
  OomKillDisable: BOOL,
  NGoroutines: INT,
  SystemTime: STRING,
  LoggingDriver: STRING,
  CgroupDriver: STRING,
  CgroupVersion: STRING,
  NEventsListener: INT,
  KernelVersion: STRING,
  OperatingSystem: STRING,
  OSVersion: STRING,
  OSType: STRING,
  Architecture: STRING,
  IndexServerAddress: STRING,
  RegistryConfig: pointerTo(mapOf(ANY)),
  NCPU: INT,
  MemTotal: INT,
  GenericResources: sliceOf(ANY),
  DockerRootDir: STRING,
  HTTPProxy: { type: STRING, key: 'HttpProxy' },
  HTTPSProxy: { type: STRING, key: 'HttpsProxy' },
  NoProxy: STRING,
  Name: STRING,
  Labels: STRINGS,
  ExperimentalBuild: BOOL,
  ServerVersion: STRING,
  Runtimes: mapOf(ANY),
  DefaultRuntime: STRING,
  Swarm: SWARM,
  LiveRestoreEnabled: BOOL,
  Isolation: STRING,
  InitBinary: STRING,
  ContainerdCommit: COMMIT,
  RuncCommit: COMMIT,
  InitCommit: COMMIT,
  SecurityOptions: STRINGS,
  ProductLicense: STRING,
  DefaultAddressPools: sliceOf(struct('NetworkAddressPool', { Base: STRING, Size: INT })),
  CDISpecDirs: STRINGS,
  Warnings: STRINGS,
});

const CLIENT = struct('ClientVersion', {
  Version: STRING,
  Node: STRING,
  Os: STRING,
  Arch: STRING,
});

const SERVER = struct('ServerVersion', {
  Platform: struct('Platform', { Name: STRING }),
  Components: sliceOf(
    struct('ComponentVersion', { Name: STRING, Version: STRING, Details: mapOf(STRING) }),
  ),
  Version: STRING,
  APIVersion: { type: STRING, key: 'ApiVersion' },
  MinAPIVersion: STRING,
  GitCommit: STRING,
  GoVersion: STRING,
  Os: STRING,
  Arch: STRING,
  KernelVersion: STRING,
  Experimental: BOOL,
  BuildTime: STRING,
});

/** What `version` shows. The server is absent where no daemon responds. */
export const VERSIONS = struct('Versions', { Client: CLIENT, Server: pointerTo(SERVER) });
