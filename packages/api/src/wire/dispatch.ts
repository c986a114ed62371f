/**
 * Messages of a dispatcher session: one WebSocket from a node's agent to the leader, path
 * `/dispatcher`, one msgpack map a frame. The node id comes from the certificate, never from a message.
 * The protocol is the WebSocket's subprotocol, agreed on before the first message. These are the messages of
 * the newest one; how an earlier one has them is in protocols.ts.
 */
import type { Node, NodeDescription } from '../objects/node.js';
import type { TaskStatus } from '../objects/task.js';
import type { AgentAssignmentsAck, Assignments } from './assignments.js';
import type { MeshDelta } from './mesh.js';
import type { TaskAssignments } from './task-assignments.js';

/** Largest frame either side accepts. */
export const DISPATCH_FRAME_LIMIT_BYTES = 4 * 1024 * 1024;

export interface ManagerAddress {
  readonly nodeId: string;
  /** `host:port`. */
  readonly address: string;
}

/** First message of an agent. */
export interface AgentHello {
  readonly type: 'hello';
  /** In sessions of protocol 1 only: see `helloInProtocol`. */
  readonly protocol?: number;
  readonly description: NodeDescription;
  /**
   * Where tunnel packets for this node should go; a request, see `Node.Mesh.Address`. Empty: no preference.
   */
  readonly dataPathAddr: string;
  /** Last mesh generation that the kernel holds; 0 before the first. */
  readonly meshGeneration: number;
  /**
   * Random, of this run of the daemon: tells apart two hosts with one node's identity. Programs before it sent
   * none.
   */
  readonly instance?: string;
}

/** Sent every `heartbeatMs` of the welcome; the node is down after three missed. */
export interface AgentHeartbeat {
  readonly type: 'heartbeat';
}

/** Statuses of tasks, only the newest of each. On a new session the agent reports all its tasks again. */
export interface AgentStatus {
  readonly type: 'status';
  /** Rises by one with each message of the session. */
  readonly sequence: number;
  readonly updates: readonly { readonly taskId: string; readonly status: TaskStatus }[];
}

/** The kernel of this node holds the mesh as of `generation`. */
export interface AgentMeshAck {
  readonly type: 'mesh-ack';
  readonly generation: number;
}

export interface AgentDescription {
  readonly type: 'description';
  readonly description: NodeDescription;
}

export interface LogLine {
  readonly taskId: string;
  readonly stream: 'stdout' | 'stderr';
  /** RFC 3339 with nanoseconds. */
  readonly timestamp: string;
  /** With its line feed, if it has one. At most LOG_PIECE_LIMIT_BYTES: a longer line comes in pieces. */
  readonly data: Uint8Array;
  /** More of the same line follows, in the next piece of this task's stream. Programs before it sent none. */
  readonly partial?: boolean;
  /** Where the log goes on after this piece: a {@link LogPlace} of its stream. */
  readonly position?: string;
}

/**
 * A place in a task's log, by stream, as its runtime names it; only that runtime can read it. A stream without
 * one begins as `LogOptions` say.
 */
export interface LogPlace {
  readonly stdout?: string;
  readonly stderr?: string;
}

/** Where the log of one task goes on. */
export interface LogResume extends LogPlace {
  readonly taskId: string;
}

/** At most 64 KiB of lines per message. */
export interface AgentLog {
  readonly type: 'log';
  readonly subscription: string;
  readonly lines: readonly LogLine[];
}

/** The last message of a subscription from this node. */
export interface AgentLogEnd {
  readonly type: 'log-end';
  readonly subscription: string;
  readonly error?: string;
}

export type AgentMessage =
  | AgentHello
  | AgentHeartbeat
  | AgentStatus
  | AgentMeshAck
  | AgentAssignmentsAck
  | AgentDescription
  | AgentLog
  | AgentLogEnd;

/** The session stands. The agent then gets a complete assignment set and mesh state. */
export interface Welcome {
  readonly type: 'welcome';
  readonly sessionId: string;
  readonly heartbeatMs: number;
  readonly node: Node;
  readonly managers: readonly ManagerAddress[];
  /** The cluster's. From protocol 2 on. */
  readonly featureLevel?: number;
}

/** This manager does not lead. The agent tries `leader`, or another manager after a pause. */
export interface NotLeader {
  readonly type: 'not-leader';
  readonly leader?: ManagerAddress;
  readonly managers: readonly ManagerAddress[];
}

export interface HeartbeatAck {
  readonly type: 'heartbeat-ack';
  readonly heartbeatMs: number;
}

/** Everything up to this sequence is stored. */
export interface StatusAck {
  readonly type: 'status-ack';
  readonly sequence: number;
}

/** The node object (desired role, labels), the managers or the feature level changed. */
export interface NodeUpdate {
  readonly type: 'node';
  readonly node: Node;
  readonly managers: readonly ManagerAddress[];
  /** As in {@link Welcome}. */
  readonly featureLevel?: number;
}

export interface MeshUpdate {
  readonly type: 'mesh';
  readonly delta: MeshDelta;
  /**
   * Another piece of the same generation follows, based on that generation; a port in several pieces has the
   * endpoints of all of them. The agent applies the last piece together with those before.
   */
  readonly more?: boolean;
}

export interface LogOptions {
  readonly follow: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Lines from the end of each task's log; -1 is all. */
  readonly tail: number;
  /** Only lines at or after; RFC 3339. */
  readonly since?: string;
}

/** What a log line counts in addition to its data. */
export const LOG_LINE_COST_BYTES = 128;

export interface LogSubscribe {
  readonly type: 'log-subscribe';
  readonly subscription: string;
  readonly taskIds: readonly string[];
  readonly options: LogOptions;
  /**
   * Bytes the agent may send before it waits for `log-credit`, so that a slow reader delays this log and
   * not the session. A line counts its data and LOG_LINE_COST_BYTES. The agent sends while any credit is
   * left, so its last message may go beyond. Absent: no limit.
   */
  readonly creditBytes?: number;
  /**
   * Where logs go on; the options' `tail` and `since` count for the rest. Its presence, even when it is empty,
   * says that this manager joins pieces, and takes empty ones as marks of a position.
   */
  readonly resume?: readonly LogResume[];
}

/** The agent may send this many more bytes of this subscription. */
export interface LogCredit {
  readonly type: 'log-credit';
  readonly subscription: string;
  readonly bytes: number;
}

export interface LogUnsubscribe {
  readonly type: 'log-unsubscribe';
  readonly subscription: string;
}

/** The manager ends the session; `fatal` means that reconnecting is pointless (the node was removed). */
export interface SessionEnd {
  readonly type: 'session-end';
  readonly reason: string;
  readonly fatal: boolean;
  /** Another host runs as this node: the agent must start none of the node's tasks meanwhile. */
  readonly isCopy?: boolean;
}

export type ManagerMessage =
  | Welcome
  | NotLeader
  | HeartbeatAck
  | StatusAck
  | NodeUpdate
  | Assignments
  | TaskAssignments
  | MeshUpdate
  | LogSubscribe
  | LogCredit
  | LogUnsubscribe
  | SessionEnd;
