import type {
  ConfigReference,
  ContainerSpec,
  HealthConfig,
  Mount,
  SecretReference,
} from '@swarm/api';
import {
  ANY,
  BOOL,
  DURATION,
  INT,
  mapOf,
  pointerTo,
  STRING,
  STRING_MAP,
  STRINGS,
  sliceOf,
  struct,
} from '../../template/types.js';

const DRIVER = struct('Driver', { Name: STRING, Options: STRING_MAP });

const MOUNT = struct<Mount>('Mount', {
  Type: STRING,
  Source: STRING,
  Target: STRING,
  ReadOnly: BOOL,
  Consistency: STRING,
  BindOptions: pointerTo(
    struct<NonNullable<Mount['BindOptions']>>('BindOptions', {
      Propagation: STRING,
      NonRecursive: BOOL,
      CreateMountpoint: BOOL,
      ReadOnlyNonRecursive: BOOL,
      ReadOnlyForceRecursive: BOOL,
    }),
  ),
  VolumeOptions: pointerTo(
    struct<NonNullable<Mount['VolumeOptions']>>('VolumeOptions', {
      NoCopy: BOOL,
      Labels: STRING_MAP,
      Subpath: STRING,
      DriverConfig: pointerTo(DRIVER),
    }),
  ),
  ImageOptions: pointerTo(struct('ImageOptions', { Subpath: STRING })),
  TmpfsOptions: pointerTo(
    struct<NonNullable<Mount['TmpfsOptions']>>('TmpfsOptions', {
      SizeBytes: INT,
      Mode: INT,
      Options: sliceOf(STRINGS),
    }),
  ),
  ClusterOptions: pointerTo(struct('ClusterOptions', {})),
});

const HEALTH = struct<HealthConfig>('HealthConfig', {
  Test: STRINGS,
  Interval: DURATION,
  Timeout: DURATION,
  StartPeriod: DURATION,
  StartInterval: DURATION,
  Retries: INT,
});

const FILE = struct<NonNullable<SecretReference['File']>>('FileTarget', {
  Name: STRING,
  UID: STRING,
  GID: STRING,
  Mode: INT,
});

const SECRET = struct<SecretReference>('SecretReference', {
  File: pointerTo(FILE),
  SecretID: STRING,
  SecretName: STRING,
});

const CONFIG = struct<ConfigReference>('ConfigReference', {
  File: pointerTo(FILE),
  Runtime: pointerTo(struct('ConfigReferenceRuntimeTarget', {})),
  ConfigID: STRING,
  ConfigName: STRING,
});

const DNS = struct<NonNullable<ContainerSpec['DNSConfig']>>('DNSConfig', {
  Nameservers: STRINGS,
  Search: STRINGS,
  Options: STRINGS,
});

const ULIMIT = struct('Ulimit', { Name: STRING, Hard: INT, Soft: INT });

const PRIVILEGES = struct('Privileges', {
  CredentialSpec: pointerTo(mapOf(ANY)),
  SELinuxContext: pointerTo(mapOf(ANY)),
  Seccomp: pointerTo(mapOf(ANY)),
  AppArmor: pointerTo(mapOf(ANY)),
  NoNewPrivileges: BOOL,
});

export const CONTAINER_SPEC = struct<ContainerSpec>('ContainerSpec', {
  Image: STRING,
  Labels: STRING_MAP,
  Command: STRINGS,
  Args: STRINGS,
  Hostname: STRING,
  Env: STRINGS,
  Dir: STRING,
  User: STRING,
  Groups: STRINGS,
  Privileges: pointerTo(PRIVILEGES),
  Init: pointerTo(BOOL),
  StopSignal: STRING,
  TTY: BOOL,
  OpenStdin: BOOL,
  ReadOnly: BOOL,
  Mounts: sliceOf(MOUNT),
  StopGracePeriod: pointerTo(DURATION),
  Healthcheck: pointerTo(HEALTH),
  Hosts: STRINGS,
  DNSConfig: pointerTo(DNS),
  Secrets: sliceOf(pointerTo(SECRET)),
  Configs: sliceOf(pointerTo(CONFIG)),
  Isolation: STRING,
  Sysctls: STRING_MAP,
  CapabilityAdd: STRINGS,
  CapabilityDrop: STRINGS,
  Ulimits: sliceOf(pointerTo(ULIMIT)),
  OomScoreAdj: INT,
});
