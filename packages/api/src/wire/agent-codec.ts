import { instanceShape, nodeDescriptionShape } from '../shapes/node.js';
import { reportedStatusShape } from '../shapes/task.js';
import type { AgentAssignmentsAck } from './assignments.js';
import type {
  AgentDescription,
  AgentHeartbeat,
  AgentHello,
  AgentLog,
  AgentLogEnd,
  AgentMeshAck,
  AgentMessage,
  AgentStatus,
  LogLine,
} from './dispatch.js';
import { readFrame } from './frames.js';
import { MalformedMessage } from './malformed.js';
import { MSGPACK_DEPTH_LIMIT, type Msgpack, type MsgpackLimits } from './msgpack.js';
import {
  bytes,
  choice,
  count,
  cut,
  flag,
  list,
  literal,
  maybeIpAddress,
  objectId,
  optional,
  record,
  text,
  timestamp,
  variants,
} from './shape.js';

/** Largest description of a node, encoded. */
export const DESCRIPTION_LIMIT_BYTES = 64 * 1024;
/** Statuses in one message. */
export const STATUS_UPDATES_LIMIT = 1_000;
/** Bytes of one piece of a line of a log. Runtimes cut lines at 16 KiB. */
export const LOG_PIECE_LIMIT_BYTES = 32 * 1024;
/** Lines in one message. */
export const LOG_LINES_LIMIT = 1_000;
/** Most bytes of the reason why a log ended; longer ones are cut. */
export const LOG_ERROR_LIMIT_BYTES = 4 * 1024;
/** Most characters of a position in a log. */
export const LOG_POSITION_LIMIT = 64;
/** Most characters of a subscription's id. */
export const SUBSCRIPTION_ID_LIMIT = 128;

/** Largest frame of each message of an agent, in bytes. Small ones leave room for fields of later versions. */
export const AGENT_FRAME_LIMITS_BYTES: Readonly<Record<AgentMessage['type'], number>> = {
  hello: DESCRIPTION_LIMIT_BYTES + 1024,
  heartbeat: 1024,
  status: 1024 * 1024,
  'mesh-ack': 1024,
  'assignments-ack': 1024,
  description: DESCRIPTION_LIMIT_BYTES + 1024,
  log: 256 * 1024,
  'log-end': 8 * 1024,
};

/** Limits of any frame of an agent. A status with all its fields and ports is 30 values and 10 a port. */
const AGENT_LIMITS: MsgpackLimits = {
  bytes: Math.max(...Object.values(AGENT_FRAME_LIMITS_BYTES)),
  values: 1 << 17,
  depth: MSGPACK_DEPTH_LIMIT,
};

const subscription = text(SUBSCRIPTION_ID_LIMIT);
/** One stream's part of a LogPlace. */
export const logPosition = text(LOG_POSITION_LIMIT);

export const logLineShape = record<LogLine>({
  taskId: objectId,
  stream: choice<LogLine['stream']>({ stdout: true, stderr: true }),
  timestamp,
  data: bytes(LOG_PIECE_LIMIT_BYTES),
  partial: optional(flag),
  position: optional(logPosition),
});

const agentMessage = variants<AgentMessage>({
  hello: record<AgentHello>({
    type: literal('hello'),
    protocol: optional(count),
    description: nodeDescriptionShape,
    dataPathAddr: maybeIpAddress,
    meshGeneration: count,
    instance: optional(instanceShape),
  }),
  heartbeat: record<AgentHeartbeat>({ type: literal('heartbeat') }),
  status: record<AgentStatus>({
    type: literal('status'),
    sequence: count,
    updates: list(
      record<AgentStatus['updates'][number]>({ taskId: objectId, status: reportedStatusShape }),
      STATUS_UPDATES_LIMIT,
    ),
  }),
  'mesh-ack': record<AgentMeshAck>({ type: literal('mesh-ack'), generation: count }),
  'assignments-ack': record<AgentAssignmentsAck>({
    type: literal('assignments-ack'),
    resultsIn: count,
  }),
  description: record<AgentDescription>({
    type: literal('description'),
    description: nodeDescriptionShape,
  }),
  log: record<AgentLog>({
    type: literal('log'),
    subscription,
    lines: list(logLineShape, LOG_LINES_LIMIT),
  }),
  'log-end': record<AgentLogEnd>({
    type: literal('log-end'),
    subscription,
    error: optional(cut(LOG_ERROR_LIMIT_BYTES)),
  }),
});

/** Reads what an agent sent. @throws MalformedMessage */
export function readAgentFrame(msgpack: Msgpack, frame: Uint8Array): AgentMessage {
  const message = readFrame(msgpack, frame, AGENT_LIMITS, agentMessage.read);
  const limitBytes = AGENT_FRAME_LIMITS_BYTES[message.type];
  if (frame.byteLength > limitBytes) {
    throw new MalformedMessage(`a ${message.type} of more than ${limitBytes} bytes`);
  }
  // Bytes that are not UTF-8 take more room once decoded.
  if ('description' in message) {
    const { byteLength } = msgpack.pack(message.description);
    if (byteLength > DESCRIPTION_LIMIT_BYTES) {
      throw new MalformedMessage(`a description of more than ${DESCRIPTION_LIMIT_BYTES} bytes`);
    }
  }
  return message;
}
