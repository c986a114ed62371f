import type {
  ForeignFirewall,
  ManagerStatus,
  Node,
  NodeDescription,
  NodeEncryption,
  NodeMesh,
  NodePaths,
  NodeSpec,
  NodeStatus,
  PathProblem,
  Platform,
  PortConflict,
  Program,
  Resources,
  VersionWindow,
} from '@swarm/api';
import {
  ANY,
  BOOL,
  INT,
  pointerTo,
  STRING,
  STRING_MAP,
  STRINGS,
  sliceOf,
  struct,
  TIME,
} from '../../template/types.js';
import { ANNOTATIONS, type Common, META, TLS_INFO } from './common.js';

const PLUGIN = struct('PluginDescription', { Type: STRING, Name: STRING });

const ENGINE = struct<NodeDescription['Engine']>('EngineDescription', {
  EngineVersion: STRING,
  Labels: STRING_MAP,
  Plugins: sliceOf(PLUGIN),
});

const WINDOW = struct<VersionWindow>('VersionWindow', { Oldest: INT, Newest: INT });

const PROGRAM = struct<Program>('Program', {
  Version: STRING,
  Protocol: WINDOW,
  FeatureLevel: WINDOW,
});

const PORT_CONFLICT = struct<PortConflict>('PortConflict', {
  Protocol: STRING,
  PublishedPort: INT,
  Reason: STRING,
});

const PATH_PROBLEM = struct<PathProblem>('PathProblem', {
  NodeID: STRING,
  Kind: STRING,
  Since: TIME,
});

const FIREWALL = struct<ForeignFirewall>('ForeignFirewall', {
  Kind: STRING,
  Table: STRING,
  Hooks: STRINGS,
});

const PATHS = struct<NodePaths>('NodePaths', {
  Problems: sliceOf(PATH_PROBLEM),
  CutOff: BOOL,
  Firewalls: sliceOf(FIREWALL),
});

const ENCRYPTION = struct<NodeEncryption>('NodeEncryption', {
  PublicKey: STRING,
  Epoch: STRING,
  Means: STRINGS,
});

const DESCRIPTION = struct<NodeDescription>(
  'NodeDescription',
  {
    Hostname: STRING,
    Platform: struct<Platform>('Platform', { Architecture: STRING, OS: STRING }),
    Resources: struct<Resources>('Resources', {
      NanoCPUs: INT,
      MemoryBytes: INT,
      GenericResources: sliceOf(ANY),
    }),
    Engine: ENGINE,
    TLSInfo: TLS_INFO,
    CSIInfo: sliceOf(ANY),
    Runtime: STRING,
    RuntimeCapabilities: STRINGS,
    MeshBackend: STRING,
    Program: pointerTo(PROGRAM),
    ListenPort: INT,
    Encryption: pointerTo(ENCRYPTION),
    PortConflicts: sliceOf(PORT_CONFLICT),
    Paths: pointerTo(PATHS),
    Ipv6Addresses: STRINGS,
  },
  {
    ours: [
      'Runtime',
      'RuntimeCapabilities',
      'MeshBackend',
      'Program',
      'ListenPort',
      'Encryption',
      'PortConflicts',
      'Paths',
      'Ipv6Addresses',
    ],
  },
);

const STATUS = struct<NodeStatus>(
  'NodeStatus',
  {
    State: STRING,
    Message: STRING,
    Addr: STRING,
    Protocol: INT,
    Instance: STRING,
  },
  { ours: ['Protocol', 'Instance'] },
);

/**
 * A node as `node inspect` shows it. Ours are the fields from `Runtime` on of the description, those from
 * `Protocol` on of the status, and those from `Role` on of the node.
 */
export const NODE = struct<Omit<Node, Common | 'RaftID'>>(
  'Node',
  {
    ID: STRING,
    '...Meta': META,
    Spec: struct<Omit<NodeSpec, 'Name' | 'Labels'>>('NodeSpec', {
      '...Annotations': ANNOTATIONS,
      Role: STRING,
      Availability: STRING,
    }),
    Description: DESCRIPTION,
    Status: STATUS,
    ManagerStatus: pointerTo(
      struct<ManagerStatus>('ManagerStatus', { Leader: BOOL, Reachability: STRING, Addr: STRING }),
    ),
    Role: STRING,
    Mesh: pointerTo(struct<NodeMesh>('NodeMesh', { Index: INT, Address: STRING, Subnet: STRING })),
    ManagerAddr: STRING,
    CertificateExpiresAt: pointerTo(TIME),
  },
  { ours: ['Role', 'Mesh', 'ManagerAddr', 'CertificateExpiresAt'] },
);
