import type { MemberInfo, Role } from '@swarm/raft';
import type { OpKind } from '@swarm/sim';
import type { NodeIdentity } from '@swarm/identity';

/**
 * Faults that a member can be given, to check that the torture finds them: it answers reads without
 * asking anybody, or acknowledges writes of the log some time before it makes them.
 */
export const Breakage = { None: 'none', StaleReads: 'stale reads', LateLog: 'late log' } as const;
export type Breakage = (typeof Breakage)[keyof typeof Breakage];

/** What a member is started with. */
export interface MemberStart {
  readonly self: MemberInfo;
  /** The founders, for one of them with an empty log. */
  readonly founders?: readonly MemberInfo[];
  /** The members that a joining member may answer before it knows the group. */
  readonly seeds?: readonly MemberInfo[];
  readonly folder: string;
  readonly identity: NodeIdentity;
  /** Node id to the local port of the way to that node. */
  readonly routes: Readonly<Record<string, number>>;
  readonly breakage: Breakage;
}

/** Refused: the error of the log's `open`, for example about a damaged log. */
export type Started =
  | { readonly port: number }
  | { readonly refused: string; readonly why: string };

export interface MemberState {
  readonly id: number;
  readonly role: Role;
  readonly term: number;
  readonly leader: number | undefined;
  readonly commit: number;
  readonly applied: number;
  readonly lastIndex: number;
  readonly voters: readonly number[];
}

export interface OperationRequest {
  readonly id: number;
  readonly kind: OpKind;
  readonly key: number;
  readonly value: number;
  readonly expected: number;
}

export type OperationAnswer =
  | {
      readonly outcome: 'done';
      /** A read: the key's value. Otherwise: its value before. */
      readonly before: number;
      readonly succeeded: boolean;
      /** A write: its entry. A read: the index of the state. */
      readonly index: number;
    }
  | { readonly outcome: 'refused' | 'unknown'; readonly code: string; readonly leader?: number };

/** The outcome of a requested change: `done`, or the code of its error. */
export interface ChangeAnswer {
  readonly code: string;
  readonly message: string;
}

/** One applied entry: index, term, id of the operation (0: none), fingerprint of the log up to it. */
export type AppliedLine = readonly [index: number, term: number, operation: number, chain: string];

/** Everything in a member's state machine. */
export interface StateImage {
  readonly index: number;
  readonly chain: string;
  readonly values: readonly (readonly [key: number, value: number])[];
}

/** What a member reports without being asked. */
export type Told =
  | { readonly kind: 'applied'; readonly lines: readonly AppliedLine[] }
  | { readonly kind: 'opened'; readonly state: StateImage }
  | { readonly kind: 'restored'; readonly state: StateImage }
  | { readonly kind: 'leads'; readonly term: number };
