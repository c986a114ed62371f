import type { MemberInfo, Role } from '@swarm/raft';
import type { OpKind } from '@swarm/sim';
import type { NodeIdentity } from '@swarm/identity';

/**
 * Faults that a member can be given, to see that the torture finds them: reads are answered without
 * asking anybody; writes of the log are acknowledged some time before they are made.
 */
export const Breakage = { None: 'none', StaleReads: 'stale reads', LateLog: 'late log' } as const;
export type Breakage = (typeof Breakage)[keyof typeof Breakage];

/** What a member is started with. */
export interface MemberStart {
  readonly self: MemberInfo;
  /** The founders, for one of them on an empty log. */
  readonly founders?: readonly MemberInfo[];
  /** Whom a joining member may answer before it knows the group. */
  readonly seeds?: readonly MemberInfo[];
  readonly folder: string;
  readonly identity: NodeIdentity;
  /** Node id to the local port on which the way to that node begins. */
  readonly routes: Readonly<Record<string, number>>;
  readonly breakage: Breakage;
}

/** Refused: what the log's `open` said, as it does of a damaged log. */
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
      /** The key's value: a read's answer; else what it was before. */
      readonly before: number;
      readonly succeeded: boolean;
      /** The write's entry; a read: how far the state had come. */
      readonly index: number;
    }
  | { readonly outcome: 'refused' | 'unknown'; readonly code: string; readonly leader?: number };

/** What became of a change that a leader was asked for: `done`, or the code of its error. */
export interface ChangeAnswer {
  readonly code: string;
  readonly message: string;
}

/** One applied entry: index, term, id of the operation (0: none), fingerprint of the log up to it. */
export type AppliedLine = readonly [index: number, term: number, operation: number, chain: string];

/** Everything a member's state machine has. */
export interface StateImage {
  readonly index: number;
  readonly chain: string;
  readonly values: readonly (readonly [key: number, value: number])[];
}

/** What a member tells by itself. */
export type Told =
  | { readonly kind: 'applied'; readonly lines: readonly AppliedLine[] }
  | { readonly kind: 'opened'; readonly state: StateImage }
  | { readonly kind: 'restored'; readonly state: StateImage }
  | { readonly kind: 'leads'; readonly term: number };
