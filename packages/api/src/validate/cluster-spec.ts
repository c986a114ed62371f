import { clusterDefaults } from '../defaults/cluster.js';
import { ApiError } from '../errors.js';
import type { ClusterSpec, HostPrivileges } from '../objects/cluster.js';
import { SECOND } from '../objects/common.js';
import {
  anything,
  type Decoded,
  duration,
  flag,
  integer,
  list,
  map,
  object,
  text,
  unserved,
} from './field.js';
import { type AddressPools, addressPools } from './address-pools.js';
import { HOST_PRIVILEGES } from './host-privileges.js';

/** Shortest life of a node certificate. */
export const NODE_CERT_EXPIRY_MIN = 3600 * SECOND;
/** Shortest and longest period of a node's heartbeat. */
export const HEARTBEAT_PERIOD_MIN = SECOND / 10;
export const HEARTBEAT_PERIOD_MAX = 3600 * SECOND;

const noRootRotation = unserved('the root certificate cannot be replaced yet');

const clusterBody = object({
  Name: text(),
  Labels: map(text()),
  Orchestration: object({
    TaskHistoryRetentionLimit: integer({ min: Number.MIN_SAFE_INTEGER }),
  }),
  Raft: object({
    SnapshotInterval: integer(),
    KeepOldSnapshots: unserved('old snapshots are not kept; the newest is always there'),
    LogEntriesForSlowFollowers: integer(),
    ElectionTick: integer(),
    HeartbeatTick: integer(),
  }),
  Dispatcher: object({ HeartbeatPeriod: duration() }),
  CAConfig: object({
    NodeCertExpiry: duration(),
    ExternalCAs: unserved('external CAs are not served; the managers sign node certificates'),
    SigningCACert: noRootRotation,
    SigningCAKey: noRootRotation,
    ForceRotate: noRootRotation,
  }),
  TaskDefaults: object({
    LogDriver: unserved('a default log driver is not served; give each service its own'),
  }),
  EncryptionConfig: object({ AutoLockManagers: flag() }),
  HostPrivileges: text(),
});

export type ClusterSpecInput = Decoded<typeof clusterBody>;

/**
 * Reads a whole cluster spec from a body; fields that are not given keep their value in `base` (the current
 * spec, or the defaults).
 * @throws ApiError BAD_REQUEST, INVALID_ARGUMENT, UNIMPLEMENTED
 */
export function decodeClusterSpec(
  body: unknown,
  base: ClusterSpec = clusterDefaults(),
): ClusterSpec {
  return fillClusterSpec(clusterBody.read(body ?? {}, '') ?? {}, base);
}

/** See decodeClusterSpec. */
export function fillClusterSpec(input: ClusterSpecInput, base: ClusterSpec): ClusterSpec {
  const spec: ClusterSpec = {
    Name: input.Name === undefined || input.Name === '' ? base.Name : input.Name,
    Labels: input.Labels ?? base.Labels,
    Orchestration: { ...base.Orchestration, ...input.Orchestration },
    Raft: { ...base.Raft, ...withoutZeros(input.Raft ?? {}) },
    Dispatcher: { ...base.Dispatcher, ...withoutZeros(input.Dispatcher ?? {}) },
    CAConfig: { ...base.CAConfig, ...withoutZeros(input.CAConfig ?? {}) },
    TaskDefaults: {},
    EncryptionConfig: {
      AutoLockManagers:
        input.EncryptionConfig?.AutoLockManagers ?? base.EncryptionConfig.AutoLockManagers,
    },
    HostPrivileges: hostPrivilegesOf(input.HostPrivileges) ?? base.HostPrivileges ?? 'none',
  };
  checkClusterSpec(spec, base);
  return spec;
}

/** Undefined when not given: Docker's clients drop the field when they write a spec back. */
function hostPrivilegesOf(given: string | undefined): HostPrivileges | undefined {
  if (given === undefined || given === '') return undefined;
  const known = HOST_PRIVILEGES.find((level) => level === given);
  if (known !== undefined) return known;
  throw new ApiError(
    'INVALID_ARGUMENT',
    `HostPrivileges: must be one of ${HOST_PRIVILEGES.join(', ')}, not "${given}"`,
  );
}

/** Go's clients send 0 for "not given". */
function withoutZeros<T extends object>(given: T): Partial<T> {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== 0)) as Partial<T>;
}

function checkClusterSpec(spec: ClusterSpec, base: ClusterSpec): void {
  if (spec.Name !== 'default') {
    throw new ApiError(
      'INVALID_ARGUMENT',
      `swarm spec must be named "default", not "${spec.Name}"`,
    );
  }
  if (spec.EncryptionConfig.AutoLockManagers) {
    throw new ApiError(
      'UNIMPLEMENTED',
      'EncryptionConfig.AutoLockManagers: autolock is not served yet; protect the state directory ' +
        'of each manager with an encrypted disk',
    );
  }
  const expiry = spec.CAConfig.NodeCertExpiry ?? NODE_CERT_EXPIRY_MIN;
  if (expiry < NODE_CERT_EXPIRY_MIN) {
    throw new ApiError('INVALID_ARGUMENT', 'minimum certificate expiry time must be 1h0m0s');
  }
  const period = spec.Dispatcher.HeartbeatPeriod ?? SECOND;
  if (period < HEARTBEAT_PERIOD_MIN || period > HEARTBEAT_PERIOD_MAX) {
    throw new ApiError(
      'INVALID_ARGUMENT',
      'Dispatcher.HeartbeatPeriod: must be between 100ms and 1h',
    );
  }
  for (const tick of ['ElectionTick', 'HeartbeatTick'] as const) {
    if (spec.Raft[tick] !== base.Raft[tick]) {
      throw new ApiError(
        'UNIMPLEMENTED',
        `Raft.${tick}: cannot be changed; leave it out or at ${base.Raft[tick]}`,
      );
    }
  }
}

const availability = text();

const initShape = object({
  ListenAddr: text(),
  AdvertiseAddr: text(),
  DataPathAddr: text(),
  DataPathPort: integer({ max: 65_535 }),
  ForceNewCluster: flag(),
  Spec: anything(),
  AutoLockManagers: flag(),
  Availability: availability,
  DefaultAddrPool: list(text()),
  SubnetSize: integer(),
});

/** One address or a list of them. */
const addressList = {
  read(value: unknown, path: string): readonly string[] | undefined {
    const parts = Array.isArray(value) ? value : [value];
    if (parts.every((part) => typeof part === 'string')) return parts;
    throw new ApiError('BAD_REQUEST', `${path}: must be a list of addresses`);
  },
};

const reconnectShape = object({
  ListenAddr: text(),
  AdvertiseAddr: text(),
  DataPathAddr: text(),
  RemoteAddrs: addressList,
});

const joinShape = object({
  ListenAddr: text(),
  AdvertiseAddr: text(),
  DataPathAddr: text(),
  RemoteAddrs: addressList,
  JoinToken: text({ max: 512 }),
  Availability: availability,
});

/** What `swarm init` asks for. The daemon finds addresses that are empty. */
export interface InitRequest {
  readonly listenAddr: string;
  readonly advertiseAddr: string;
  readonly dataPathAddr: string;
  /** 0: the default, 4789. */
  readonly dataPathPort: number;
  readonly forceNewCluster: boolean;
  readonly availability: 'active' | 'pause' | 'drain';
  readonly addressPools: AddressPools;
  readonly spec: ClusterSpec;
}

/** What `swarm join` asks for. */
export interface JoinRequest {
  readonly listenAddr: string;
  readonly advertiseAddr: string;
  readonly dataPathAddr: string;
  readonly remoteAddrs: readonly string[];
  readonly joinToken: string;
  readonly availability: 'active' | 'pause' | 'drain';
}

/** What `swarm reconnect` asks for. Addresses of the node that are empty stay as they are. */
export interface ReconnectRequest {
  readonly listenAddr: string;
  readonly advertiseAddr: string;
  readonly dataPathAddr: string;
  /** Where managers are now. */
  readonly remoteAddrs: readonly string[];
}

/** More than the managers of any cluster. */
const REMOTES_LIMIT = 64;

function availabilityOf(given: string | undefined): 'active' | 'pause' | 'drain' {
  if (given === undefined || given === '') return 'active';
  if (given === 'active' || given === 'pause' || given === 'drain') return given;
  throw new ApiError('INVALID_ARGUMENT', `invalid Availability: "${given}"`);
}

/** @throws ApiError BAD_REQUEST, INVALID_ARGUMENT, UNIMPLEMENTED */
export function decodeInitRequest(body: unknown): InitRequest {
  const input = initShape.read(body ?? {}, '') ?? {};
  const port = input.DataPathPort ?? 0;
  if (port !== 0 && (port < 1024 || port > 49_151)) {
    throw new ApiError(
      'INVALID_ARGUMENT',
      `invalid data path port ${port}: it must be between 1024 and 49151`,
    );
  }
  if (input.ForceNewCluster === true && (input.DefaultAddrPool ?? []).length > 0) {
    throw new ApiError(
      'INVALID_ARGUMENT',
      'DefaultAddrPool: ForceNewCluster keeps the pools of the cluster; leave it out',
    );
  }
  const base = clusterDefaults();
  return {
    listenAddr: input.ListenAddr ?? '',
    advertiseAddr: input.AdvertiseAddr ?? '',
    dataPathAddr: input.DataPathAddr ?? '',
    dataPathPort: port,
    forceNewCluster: input.ForceNewCluster ?? false,
    availability: availabilityOf(input.Availability),
    addressPools: addressPools(input.DefaultAddrPool, input.SubnetSize),
    spec: fillClusterSpec(
      {
        ...clusterBody.read(input.Spec ?? {}, 'Spec'),
        ...(input.AutoLockManagers === true && { EncryptionConfig: { AutoLockManagers: true } }),
      },
      base,
    ),
  };
}

/** @throws ApiError BAD_REQUEST, INVALID_ARGUMENT */
export function decodeJoinRequest(body: unknown): JoinRequest {
  const input = joinShape.read(body ?? {}, '') ?? {};
  const remoteAddrs = (input.RemoteAddrs ?? []).filter((address) => address !== '');
  if (remoteAddrs.length === 0) {
    throw new ApiError('INVALID_ARGUMENT', 'at least 1 RemoteAddr is required to join');
  }
  return {
    listenAddr: input.ListenAddr ?? '',
    advertiseAddr: input.AdvertiseAddr ?? '',
    dataPathAddr: input.DataPathAddr ?? '',
    remoteAddrs,
    joinToken: input.JoinToken ?? '',
    availability: availabilityOf(input.Availability),
  };
}

/** @throws ApiError BAD_REQUEST, INVALID_ARGUMENT */
export function decodeReconnectRequest(body: unknown): ReconnectRequest {
  const input = reconnectShape.read(body ?? {}, '') ?? {};
  const request = {
    listenAddr: input.ListenAddr ?? '',
    advertiseAddr: input.AdvertiseAddr ?? '',
    dataPathAddr: input.DataPathAddr ?? '',
    remoteAddrs: (input.RemoteAddrs ?? []).filter((address) => address !== ''),
  };
  if (request.remoteAddrs.length > REMOTES_LIMIT)
    throw new ApiError('INVALID_ARGUMENT', `at most ${REMOTES_LIMIT} RemoteAddrs can be given`);
  const { listenAddr, advertiseAddr, dataPathAddr, remoteAddrs } = request;
  if (listenAddr + advertiseAddr + dataPathAddr === '' && remoteAddrs.length === 0)
    throw new ApiError(
      'INVALID_ARGUMENT',
      'give the address of a manager, or another address of this node',
    );
  return request;
}
