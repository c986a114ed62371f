import { readFileSync } from 'node:fs';
import os from 'node:os';
import type { NodeControl } from '../node-control.js';
import { presentClusterInfo } from './cluster.js';
import { presentFeatureLevel } from './feature-level.js';

/** The `Swarm` part of `GET /info`. From what is known here: it must answer without a leader too. */
export function swarmInfo(control: NodeControl): Record<string, unknown> {
  const info = control.info();
  const manager = control.manager();
  const cluster = manager?.store.cluster();
  const members = manager?.members() ?? [];
  return {
    NodeID: info.nodeId,
    NodeAddr: info.nodeAddr,
    LocalNodeState: info.state,
    ControlAvailable: info.controlAvailable,
    Error: info.error,
    RemoteManagers:
      info.remoteManagers.length === 0
        ? null
        : info.remoteManagers.map(({ nodeId, address }) => ({ NodeID: nodeId, Addr: address })),
    ...(manager !== undefined && {
      Nodes: manager.store.count('node'),
      Managers: members.length,
    }),
    ...(manager !== undefined &&
      cluster !== undefined && {
        Cluster: presentClusterInfo(cluster),
        FeatureLevel: presentFeatureLevel(manager.store),
      }),
    ...(manager === undefined &&
      info.featureLevel !== undefined && { FeatureLevel: { Current: info.featureLevel } }),
    ...(members.length === 2 && {
      Warnings: [
        'WARNING: Running Swarm in a two-manager configuration. This configuration provides no fault ' +
          'tolerance: when either manager is lost, the cluster can not be changed. Add a third manager.',
      ],
    }),
  };
}

/** What `docker info` prints of a node without an engine; fields it would fail without included. */
export function hostInfo(nodeId: string, version: string): Record<string, unknown> {
  const release = osRelease();
  return {
    ID: nodeId,
    Containers: 0,
    ContainersRunning: 0,
    ContainersPaused: 0,
    ContainersStopped: 0,
    Images: 0,
    Driver: '',
    DriverStatus: [],
    Plugins: { Volume: [], Network: ['overlay'], Authorization: null, Log: [] },
    MemoryLimit: true,
    SwapLimit: true,
    CpuCfsPeriod: true,
    CpuCfsQuota: true,
    CPUShares: true,
    CPUSet: true,
    PidsLimit: true,
    IPv4Forwarding: true,
    BridgeNfIptables: true,
    BridgeNfIp6tables: true,
    Debug: false,
    NFd: 0,
    OomKillDisable: false,
    NGoroutines: 0,
    SystemTime: new Date().toISOString(),
    LoggingDriver: '',
    CgroupDriver: 'none',
    CgroupVersion: '2',
    NEventsListener: 0,
    KernelVersion: os.release(),
    OperatingSystem: release.PRETTY_NAME ?? os.type(),
    OSVersion: release.VERSION_ID ?? '',
    OSType: 'linux',
    Architecture: os.machine(),
    IndexServerAddress: '',
    RegistryConfig: null,
    NCPU: os.availableParallelism(),
    MemTotal: os.totalmem(),
    GenericResources: null,
    DockerRootDir: '',
    HttpProxy: '',
    HttpsProxy: '',
    NoProxy: '',
    Name: os.hostname(),
    Labels: [],
    ExperimentalBuild: false,
    ServerVersion: version,
    Runtimes: {},
    DefaultRuntime: '',
    LiveRestoreEnabled: false,
    Isolation: '',
    InitBinary: '',
    ContainerdCommit: { ID: '' },
    RuncCommit: { ID: '' },
    InitCommit: { ID: '' },
    SecurityOptions: [],
    Warnings: null,
  };
}

/** The node's architecture as Go names it. */
export function goArch(): string {
  return { x64: 'amd64', ia32: '386' }[os.arch() as string] ?? os.arch();
}

function osRelease(): Record<string, string> {
  try {
    const lines = readFileSync('/etc/os-release', 'utf8').matchAll(/^(\w+)="?([^"\n]*)"?$/gm);
    return Object.fromEntries([...lines].map(([, name, value]) => [name, value]));
  } catch {
    return {};
  }
}
