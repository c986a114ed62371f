import type { MeshBackendName } from '../network/mesh-backend.js';
import type { PortProtocol } from '../objects/service.js';

/** Asks a node where its rules lead a new connection. */
export interface MeshTraceQuery {
  /** The source address. */
  readonly from: string;
  readonly to: string;
  readonly port: number;
  readonly protocol: PortProtocol;
}

/** One of the places where the connection may go, or why it goes nowhere. */
export interface MeshTraceOutcome {
  /** 0 to 1. */
  readonly Probability: number;
  /** `unreachable`: the node has no way to it. */
  readonly Fate: 'task' | 'host' | 'outside' | 'dropped' | 'rejected' | 'unreachable';
  readonly Address: string;
  readonly Port: number;
  /** The address that the other end sees. */
  readonly Source: string;
  /** The task at the address. */
  readonly TaskID?: string;
  /** Where that runs. */
  readonly NodeID?: string;
  /** Why it is dropped or rejected, or what to do. */
  readonly Reason?: string;
  /** Rules that matched, in order: `chain: rule`. */
  readonly Rules: readonly string[];
}

/** A node's answer, from what it last wrote to its kernel. */
export interface MeshTrace {
  readonly NodeID: string;
  readonly Backend: MeshBackendName;
  /** Of the state that it holds. */
  readonly Generation: number;
  /** Whether the kernel still has the rules that the node wrote. Absent without rules. */
  readonly TableAsWritten?: boolean;
  /** The likeliest first. */
  readonly Outcomes: readonly MeshTraceOutcome[];
}
