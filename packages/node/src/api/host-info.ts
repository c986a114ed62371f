import { readFileSync } from 'node:fs';
import os from 'node:os';
import type { LocalNodeInfo } from './node-control.js';

/**
 * The `Swarm` part of `GET /info`.
 * @param ofManager what a manager adds to it
 */
export function swarmInfo(
  info: LocalNodeInfo,
  ofManager: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
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
    ...(info.featureLevel !== undefined && { FeatureLevel: { Current: info.featureLevel } }),
    ...ofManager,
  };
}

/** What `docker info` prints for a node without an engine, including fields that it fails without. */
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

/** The host's architecture, by Go's names. */
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
