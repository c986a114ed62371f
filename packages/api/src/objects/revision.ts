import type { Meta, ObjectVersion, Timestamp } from './common.js';
import type { ServiceSpec } from './service.js';

/** What rolled a revision out last. */
export type RevisionCause = 'create' | 'update' | 'rollback' | 'automatic rollback';

/** How a revision's last roll-out ended. `replaced`: by another one, before it ended. */
export type RevisionOutcome = 'completed' | 'failed' | 'replaced';

/** What a service was asked to be at one time: its spec, and what became of it. */
export interface Revision extends Meta {
  readonly ServiceID: string;
  /** From 1, in the order in which a service's revisions were made. */
  readonly Number: number;
  /** The number of replicas and the settings of updates and rollbacks belong to the service instead. */
  readonly Spec: ServiceSpec;
  /** That of the tasks made from it. Two revisions have the same if only labels differ. */
  readonly SpecVersion: ObjectVersion;
  readonly Cause: RevisionCause;
  /** When its last roll-out began. */
  readonly StartedAt: Timestamp;
  /** Absent while the service's UpdateStatus says it. */
  readonly Outcome?: RevisionOutcome;
  /** Why it failed. */
  readonly Message?: string;
  readonly EndedAt?: Timestamp;
  /** When it last completed, in whichever roll-out; only then may the cluster fall back to it. */
  readonly CompletedAt?: Timestamp;
}

/** One row of `GET /x/services/{id}/history`. */
export interface RevisionReport {
  readonly Number: number;
  readonly IsCurrent: boolean;
  /** Whether `service rollback` without a number would go there. */
  readonly IsRollbackTarget: boolean;
  readonly State: RevisionOutcome | 'in progress' | 'paused';
  readonly Cause: RevisionCause;
  readonly CreatedAt: Timestamp;
  readonly StartedAt: Timestamp;
  readonly EndedAt?: Timestamp;
  readonly CompletedAt?: Timestamp;
  readonly Message?: string;
  readonly Spec: ServiceSpec;
}
