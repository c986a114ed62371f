import { NODE_INDEX_FIRST, NODE_INDEX_LAST } from '../network/layout.js';
import type {
  ManagerStatus,
  Node,
  NodeAvailability,
  NodeDescription,
  NodeEncryption,
  NodeMesh,
  NodeRole,
  NodeSpec,
  NodeState,
  NodeStatus,
  Platform,
  Resources,
} from '../objects/node.js';
import type {
  FirewallHook,
  FirewallKind,
  ForeignFirewall,
  NodePaths,
  PathProblem,
  PathProblemKind,
} from '../objects/node-paths.js';
import type { PortConflict } from '../objects/port-conflict.js';
import { type Program, VERSION_LIMIT, type VersionWindow } from '../program.js';
import {
  choice,
  cidr,
  count,
  cut,
  type FieldShapes,
  flag,
  integer,
  ipAddress,
  list,
  map,
  objectId,
  optional,
  port,
  record,
  signed,
  text,
  timestamp,
} from '../wire/shape.js';
import { tlsInfoShape } from './cluster.js';
import {
  CLIENT_VERSIONED,
  labelsShape,
  META,
  NAME_LIMIT,
  NODE_IPV6_LIMIT,
  portProtocolShape,
  shownAddress,
} from './common.js';

/** Most bytes of a host name, a version or another short text of a description; longer ones are cut. */
export const DESCRIPTION_TEXT_LIMIT_BYTES = 256;
/** Most bytes of a label of an engine; longer ones are cut. */
export const ENGINE_LABEL_LIMIT_BYTES = 1024;
/** Most labels and plugins of an engine. */
export const ENGINE_ITEMS_LIMIT = 256;

export const nodeRoleShape = choice<NodeRole>({ worker: true, manager: true });

export const nodeSpecShape = record<NodeSpec>({
  Name: optional(text(NAME_LIMIT)),
  Labels: labelsShape,
  Role: nodeRoleShape,
  Availability: choice<NodeAvailability>({ active: true, pause: true, drain: true }),
});

const shortText = cut(DESCRIPTION_TEXT_LIMIT_BYTES);

export const platformShape = record<Platform>({ Architecture: shortText, OS: shortText });

export const resourcesShape = record<Resources>({
  NanoCPUs: optional(signed),
  MemoryBytes: optional(signed),
});

const engineShape = record<NodeDescription['Engine']>({
  EngineVersion: shortText,
  Labels: optional(
    map(cut(ENGINE_LABEL_LIMIT_BYTES), {
      max: ENGINE_ITEMS_LIMIT,
      key: text(DESCRIPTION_TEXT_LIMIT_BYTES),
    }),
  ),
  Plugins: optional(
    list(
      record<{ readonly Type: string; readonly Name: string }>({
        Type: shortText,
        Name: shortText,
      }),
      ENGINE_ITEMS_LIMIT,
    ),
  ),
});

/** Most bytes of the name of a capability, and most capabilities of a runtime. */
export const CAPABILITY_LIMIT_BYTES = 64;
export const CAPABILITIES_LIMIT = 64;

export const capabilityShape = text(CAPABILITY_LIMIT_BYTES);
const versionNumber = integer(1, VERSION_LIMIT);
const versionWindowShape = record<VersionWindow>({
  Oldest: versionNumber,
  Newest: versionNumber,
});

export const programShape = record<Program>({
  Version: shortText,
  Protocol: versionWindowShape,
  FeatureLevel: versionWindowShape,
});

/** Most published ports of which a node says that it does not serve them. */
export const PORT_CONFLICTS_LIMIT = 64;

export const portConflictShape = record<PortConflict>({
  Protocol: portProtocolShape,
  PublishedPort: port,
  Reason: shortText,
});

/** Most nodes of which a node says that it does not reach them. */
export const PATH_PROBLEMS_LIMIT = 64;

export const pathProblemShape = record<PathProblem>({
  NodeID: objectId,
  Kind: choice<PathProblemKind>({ blocked: true, mtu: true }),
  Since: timestamp,
});

/** Most firewalls that a node reports. */
export const FIREWALLS_LIMIT = 8;

export const foreignFirewallShape = record<ForeignFirewall>({
  Kind: choice<FirewallKind>({ firewalld: true, ufw: true, docker: true, other: true }),
  Table: shortText,
  Hooks: list(choice<FirewallHook>({ input: true, forward: true }), 2),
});

const nodePathsShape = record<NodePaths>({
  Problems: list(pathProblemShape, PATH_PROBLEMS_LIMIT),
  CutOff: optional(flag),
  Firewalls: optional(list(foreignFirewallShape, FIREWALLS_LIMIT)),
});

/** Most ways to encrypt that a node names. */
const MEANS_LIMIT = 8;

export const nodeEncryptionShape = record<NodeEncryption>({
  PublicKey: shortText,
  Epoch: shortText,
  Means: list(capabilityShape, MEANS_LIMIT),
});

/** Cuts long texts. Refuses a description with too many labels, plugins or capabilities. */
export const nodeDescriptionShape = record<NodeDescription>({
  Hostname: shortText,
  Platform: platformShape,
  Resources: resourcesShape,
  Engine: engineShape,
  TLSInfo: optional(tlsInfoShape),
  Runtime: optional(shortText),
  RuntimeCapabilities: optional(list(capabilityShape, CAPABILITIES_LIMIT)),
  MeshBackend: optional(shortText),
  Program: optional(programShape),
  ListenPort: optional(port),
  Encryption: optional(nodeEncryptionShape),
  PortConflicts: optional(list(portConflictShape, PORT_CONFLICTS_LIMIT)),
  Paths: optional(nodePathsShape),
  Ipv6Addresses: optional(list(ipAddress, NODE_IPV6_LIMIT)),
});

/** Most characters of the name of a run of a daemon. */
export const INSTANCE_LIMIT = 64;
export const instanceShape = text(INSTANCE_LIMIT);

export const nodeStatusShape = record<NodeStatus>({
  State: choice<NodeState>({ unknown: true, down: true, ready: true, disconnected: true }),
  Message: optional(text()),
  Addr: shownAddress,
  Protocol: optional(versionNumber),
  Instance: optional(instanceShape),
});

export const managerStatusShape = record<ManagerStatus>({
  Leader: optional(flag),
  Reachability: choice<ManagerStatus['Reachability']>({
    unknown: true,
    unreachable: true,
    reachable: true,
  }),
  Addr: shownAddress,
});

export const nodeMeshShape = record<NodeMesh>({
  Index: integer(NODE_INDEX_FIRST, NODE_INDEX_LAST),
  Address: shownAddress,
  Subnet: cidr,
});

type OwnNode = Omit<Node, 'Description' | 'ManagerStatus' | 'ClientVersion'>;

const NODE: FieldShapes<OwnNode> = {
  ...META,
  Spec: nodeSpecShape,
  Status: nodeStatusShape,
  Role: nodeRoleShape,
  Mesh: optional(nodeMeshShape),
  RaftID: optional(count),
  ManagerAddr: optional(shownAddress),
  CertificateExpiresAt: optional(timestamp),
};

export const nodeShape = record<Node>({
  ...NODE,
  ...CLIENT_VERSIONED,
  Description: optional(nodeDescriptionShape),
  ManagerStatus: optional(managerStatusShape),
});

/** A node as its own agent needs it: without the description, which the agent reported itself, and
 * without the version for clients. */
export const ownNodeShape = record<OwnNode>(NODE);
