import { isObjectId, isTimestamp } from '@swarm/api';
import type { Kind } from './store.js';

/** What replaces a bad part of a stored object. */
export interface Mend {
  /** Names from the object inwards, joined by dots. */
  readonly path: string;
  /** Undefined leaves the part out. */
  readonly replace: (old: unknown) => unknown;
}

const EPOCH = '1970-01-01T00:00:00.000Z';
/** Until when a removed node is refused whose own term cannot be read: for good. */
const NEVER = '9999-12-31T23:59:59.000Z';

function leaveOut(...paths: readonly string[]): Mend[] {
  return paths.map((path) => ({ path, replace: () => undefined }));
}

function put(path: string, value: unknown): Mend {
  return { path, replace: () => value };
}

/** The texts among the entries. */
function texts(path: string): Mend {
  return {
    path,
    replace: (old) =>
      Object.fromEntries(entries(old).filter(([, value]) => typeof value === 'string')),
  };
}

function entries(value: unknown): [string, unknown][] {
  return typeof value === 'object' && value !== null
    ? Object.entries(value).filter(([key]) => key !== '__proto__')
    : [];
}

function removedNodes(old: unknown): unknown {
  const kept = entries(old).filter(([id]) => isObjectId(id));
  return Object.fromEntries(
    kept.map(([id, node]) => {
      const until = (node as { readonly Until?: unknown } | null)?.Until;
      return [id, { Until: isTimestamp(until) ? until : NEVER }];
    }),
  );
}

const META = [put('CreatedAt', EPOCH), put('UpdatedAt', EPOCH)];
/** Clients then read the version of the last write. */
const CLIENT_VERSION = leaveOut('ClientVersion');
/** A repetition of the request that made the object then finds the name taken. */
const CREATION = leaveOut('Creation');

/**
 * The parts that can be spared, inner ones before those that contain them: what nodes reported and will report
 * again, what the cluster allocates, counts or explains, and what is only shown. Everything else is what a
 * user asked for, or an identity, and cannot be replaced. That includes a task's addresses and ports: without
 * them it would keep running without traffic, while a task that is set aside is replaced.
 */
export const MENDS: Readonly<Record<Kind, readonly Mend[]>> = {
  cluster: [
    ...META,
    ...CLIENT_VERSION,
    texts('Spec.Labels'),
    put('Spec.Name', 'default'),
    put('Spec.Orchestration', {}),
    put('Spec.Raft', {}),
    put('Spec.Dispatcher', {}),
    put('Spec.CAConfig', {}),
    put('Spec.TaskDefaults', {}),
    put('Spec.EncryptionConfig', { AutoLockManagers: false }),
    // Absent means none.
    ...leaveOut('Spec.HostPrivileges'),
    put('RootRotationInProgress', false),
    put('DefaultAddrPool', []),
    put('SubnetSize', 24),
    put('DataPathPort', 4789),
    { path: 'Private.RemovedNodes', replace: removedNodes },
  ],
  node: [
    ...META,
    ...CLIENT_VERSION,
    ...leaveOut(
      'Spec.Name',
      'Description.TLSInfo',
      'Description.Runtime',
      'Description.RuntimeCapabilities',
      'Description.MeshBackend',
      'Description.ListenPort',
      'Description.Encryption',
      'Description.PortConflicts',
      'Description.Paths',
      'Description.Ipv6Addresses',
    ),
    texts('Spec.Labels'),
    texts('Description.Engine.Labels'),
    ...leaveOut('Description.Engine.Plugins'),
    put('Description.Engine', { EngineVersion: '' }),
    put('Description.Resources', {}),
    put('Description.Platform', { Architecture: '', OS: '' }),
    put('Description.Hostname', ''),
    ...leaveOut('Description', 'Status.Message'),
    put('Status.Addr', ''),
    put('Status', { State: 'unknown', Addr: '' }),
    ...leaveOut('ManagerStatus', 'Mesh', 'RaftID', 'ManagerAddr', 'CertificateExpiresAt'),
  ],
  service: [
    ...META,
    ...CLIENT_VERSION,
    ...CREATION,
    ...leaveOut(
      'PreviousSpec',
      'PreviousSpecVersion',
      'Revisions',
      'UpdateStatus',
      'ServiceStatus',
    ),
    ...leaveOut('AllocationError', 'Endpoint.VirtualIPs', 'JobStatus.LastExecution'),
    put('Endpoint', { Spec: {} }),
    put('SpecVersion', { Index: 0 }),
    texts('Spec.Labels'),
  ],
  task: [
    ...META,
    put('Name', ''),
    put('ServiceName', ''),
    texts('Labels'),
    texts('ServiceLabels'),
    ...leaveOut('Status.ContainerStatus', 'Status.PortStatus', 'Status.Address', 'Status.Err'),
    ...leaveOut('Status.Ipv6'),
    ...leaveOut('Status.AppliedAt', 'Status.StartedAt', 'Restart', 'HostPrivileges', 'Stop'),
    put('Status.Message', ''),
    put('Status.Timestamp', EPOCH),
    // Absent would count as ready.
    put('Status.Ready', false),
    put('SpecVersion', { Index: 0 }),
  ],
  network: [...META, texts('Spec.Labels'), texts('Spec.DriverOpts'), ...leaveOut('Spec.IPAM')],
  secret: [...META, texts('Spec.Labels')],
  config: [...META, texts('Spec.Labels')],
  revision: [
    ...META,
    put('Cause', 'update'),
    put('StartedAt', EPOCH),
    // Without a time of completion the cluster does not fall back to it by itself.
    ...leaveOut('Outcome', 'Message', 'EndedAt', 'CompletedAt'),
    texts('Spec.Labels'),
  ],
  // To forget a removed node too early would let it in again.
  'removed-node': [...META, put('Until', NEVER)],
};
