import {
  MESH_ENDPOINTS_LIMIT,
  MESH_MEMBERS_LIMIT,
  MESH_PEERS_LIMIT,
  MESH_PORTS_LIMIT,
  MESH_SERVICES_LIMIT,
  meshEndpointShape,
  meshIngressShape,
  meshMemberShape,
  meshPeerShape,
  meshPortKeyShape,
  meshPortShape,
  meshServiceShape,
} from '../shapes/mesh.js';
import { VERSION_LIMIT } from '../program.js';
import { ownNodeShape } from '../shapes/node.js';
import { ASSIGNED_KINDS, type AssignedKindCodecs } from './assigned-kinds.js';
import { assignmentsShape, type UnreadAssignment } from './assignments-codec.js';
import {
  DISPATCH_FRAME_LIMIT_BYTES,
  type HeartbeatAck,
  type LogCredit,
  type LogOptions,
  type LogResume,
  type LogSubscribe,
  type LogUnsubscribe,
  type ManagerAddress,
  type ManagerMessage,
  type MeshUpdate,
  type NodeUpdate,
  type NotLeader,
  type SessionEnd,
  type StatusAck,
  type Welcome,
} from './dispatch.js';
import { readFrame } from './frames.js';
import type { MeshDelta, MeshPort } from './mesh.js';
import { MSGPACK_DEPTH_LIMIT, type Msgpack, type MsgpackLimits } from './msgpack.js';
import {
  count,
  flag,
  hostPort,
  integer,
  isFields,
  list,
  literal,
  objectId,
  optional,
  readEach,
  record,
  type Shape,
  text,
  timestamp,
  tryRead,
  variants,
} from './shape.js';
import { logPosition, SUBSCRIPTION_ID_LIMIT } from './agent-codec.js';

/** Managers that a message names. */
export const MANAGERS_NAMED_LIMIT = 1_000;
/** Longest period of heartbeats, in milliseconds. */
const HEARTBEAT_LIMIT_MS = 3_600_000;
const REASON_LIMIT = 64 * 1024;

/**
 * Limits of any frame of a manager. In tasks and mesh endpoints every value takes eight bytes or more on
 * average.
 */
const MANAGER_LIMITS: MsgpackLimits = {
  bytes: DISPATCH_FRAME_LIMIT_BYTES,
  values: DISPATCH_FRAME_LIMIT_BYTES / 8,
  depth: MSGPACK_DEPTH_LIMIT,
};

/** A part of a message that could not be read and was left out; the rest of the message holds. */
export type SetAside =
  | UnreadAssignment
  | {
      readonly what:
        | 'mesh peer'
        | 'mesh port'
        | 'mesh endpoint'
        | 'mesh service'
        | 'mesh member'
        | 'manager';
      readonly id: string | undefined;
      readonly problem: string;
    };

type SetAsideListener = (part: SetAside) => void;

/** A message of a manager, and the parts of it that were left out. */
export interface ManagerFrame {
  readonly message: ManagerMessage;
  readonly setAside: readonly SetAside[];
}

/**
 * Makes the reader of what managers send.
 * @param kinds of objects that are assigned
 * @returns a function that throws MalformedMessage when a message is unusable as a whole
 */
export function managerFrameReader(
  msgpack: Msgpack,
  kinds: AssignedKindCodecs = ASSIGNED_KINDS,
): (frame: Uint8Array) => ManagerFrame {
  let setAside: SetAside[] = [];
  const shape = managerMessage(kinds, (part) => setAside.push(part));
  return (frame) => {
    setAside = [];
    const message = readFrame(msgpack, frame, MANAGER_LIMITS, shape.read);
    return { message, setAside };
  };
}

const heartbeatMs = integer(1, HEARTBEAT_LIMIT_MS);
const featureLevel = optional(integer(1, VERSION_LIMIT));
const subscription = text(SUBSCRIPTION_ID_LIMIT);

const managerAddress = record<ManagerAddress>({
  nodeId: text(SUBSCRIPTION_ID_LIMIT),
  address: hostPort,
});

const logOptions = record<LogOptions>({
  follow: flag,
  stdout: flag,
  stderr: flag,
  tail: integer(-1),
  since: optional(timestamp),
});

const logResume = record<LogResume>({
  taskId: objectId,
  stdout: optional(logPosition),
  stderr: optional(logPosition),
});

function managerMessage(
  kinds: AssignedKindCodecs,
  setAside: SetAsideListener,
): Shape<ManagerMessage> {
  const managers = lenient(managerAddress, MANAGERS_NAMED_LIMIT, (value, problem) =>
    setAside({ what: 'manager', id: idIn(value, 'nodeId'), problem }),
  );
  return variants<ManagerMessage>({
    welcome: record<Welcome>({
      type: literal('welcome'),
      sessionId: text(SUBSCRIPTION_ID_LIMIT),
      heartbeatMs,
      node: ownNodeShape,
      managers,
      featureLevel,
    }),
    'not-leader': record<NotLeader>({
      type: literal('not-leader'),
      leader: optional(managerAddress),
      managers,
    }),
    'heartbeat-ack': record<HeartbeatAck>({ type: literal('heartbeat-ack'), heartbeatMs }),
    'status-ack': record<StatusAck>({ type: literal('status-ack'), sequence: count }),
    node: record<NodeUpdate>({
      type: literal('node'),
      node: ownNodeShape,
      managers,
      featureLevel,
    }),
    assignments: assignmentsShape(kinds, setAside),
    mesh: record<MeshUpdate>({
      type: literal('mesh'),
      delta: meshDelta(setAside),
      more: optional(flag),
    }),
    'log-subscribe': record<LogSubscribe>({
      type: literal('log-subscribe'),
      subscription,
      taskIds: list(objectId),
      options: logOptions,
      creditBytes: optional(count),
      resume: optional(list(logResume)),
    }),
    'log-credit': record<LogCredit>({ type: literal('log-credit'), subscription, bytes: count }),
    'log-unsubscribe': record<LogUnsubscribe>({ type: literal('log-unsubscribe'), subscription }),
    'session-end': record<SessionEnd>({
      type: literal('session-end'),
      reason: text(REASON_LIMIT),
      fatal: flag,
      isCopy: optional(flag),
    }),
  });
}

/** A list whose bad elements are left out. */
function lenient<T>(
  item: Shape<T>,
  max: number,
  bad: (value: unknown, problem: string) => void,
): Shape<readonly T[]> {
  return {
    read: (value) => readEach(item, value, max, ({ value: one, error }) => bad(one, error.message)),
  };
}

/**
 * A peer, port, service or member that cannot be read also removes the one that the agent has under its name: that one is
 * out of date, and traffic must not go where no manager said.
 */
function meshDelta(setAside: SetAsideListener): Shape<MeshDelta> {
  let droppedPeers: string[] = [];
  let droppedPorts: MeshDelta['removedPorts'][number][] = [];
  let droppedServices: string[] = [];
  let droppedMembers: string[] = [];
  const shape = record<MeshDelta>({
    base: count,
    generation: count,
    ingress: optional(meshIngressShape),
    peers: lenient(meshPeerShape, MESH_PEERS_LIMIT, (value, problem) => {
      const id = idIn(value, 'nodeId');
      setAside({ what: 'mesh peer', id, problem });
      if (id !== undefined) droppedPeers.push(id);
    }),
    removedPeers: list(objectId, MESH_PEERS_LIMIT),
    ports: lenient(meshPort(setAside), MESH_PORTS_LIMIT, (value, problem) => {
      setAside({ what: 'mesh port', id: idIn(value, 'serviceId'), problem });
      const key = tryRead(meshPortKeyShape, value);
      if (key !== undefined) droppedPorts.push(key);
    }),
    removedPorts: list(meshPortKeyShape, MESH_PORTS_LIMIT),
    services: optional(
      lenient(meshServiceShape, MESH_SERVICES_LIMIT, (value, problem) => {
        const id = idIn(value, 'serviceId');
        setAside({ what: 'mesh service', id, problem });
        if (id !== undefined) droppedServices.push(id);
      }),
    ),
    removedServices: optional(list(objectId, MESH_SERVICES_LIMIT)),
    members: optional(
      lenient(meshMemberShape, MESH_MEMBERS_LIMIT, (value, problem) => {
        const id = idIn(value, 'taskId');
        setAside({ what: 'mesh member', id, problem });
        if (id !== undefined) droppedMembers.push(id);
      }),
    ),
    removedMembers: optional(list(objectId, MESH_MEMBERS_LIMIT)),
  });
  return {
    read(value) {
      droppedPeers = [];
      droppedPorts = [];
      droppedServices = [];
      droppedMembers = [];
      const delta = shape.read(value);
      return {
        ...delta,
        removedPeers: [...delta.removedPeers, ...droppedPeers],
        removedPorts: [...delta.removedPorts, ...droppedPorts],
        ...(droppedServices.length > 0 && {
          removedServices: [...(delta.removedServices ?? []), ...droppedServices],
        }),
        ...(droppedMembers.length > 0 && {
          removedMembers: [...(delta.removedMembers ?? []), ...droppedMembers],
        }),
      };
    },
  };
}

function meshPort(setAside: SetAsideListener): Shape<MeshPort> {
  return record<MeshPort>({
    ...meshPortShape.fields,
    endpoints: lenient(meshEndpointShape, MESH_ENDPOINTS_LIMIT, (one, problem) =>
      setAside({ what: 'mesh endpoint', id: idIn(one, 'taskId'), problem }),
    ),
  });
}

function idIn(value: unknown, field: string): string | undefined {
  return isFields(value) ? tryRead(objectId, value[field]) : undefined;
}
