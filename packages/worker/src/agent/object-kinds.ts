import type { Shape } from '@swarm/api';
import { ASSIGNED_KINDS, type AssignedKindCodec, type AssignedKindCodecs } from '@swarm/api/wire';

/** A kind of object that tasks need. */
export interface ObjectKind {
  readonly kind: string;
  readonly codec: AssignedKindCodec<{ readonly ID: string }>;
  /** `disk`: the next run of the daemon has it before it reaches a manager. `none`: kept in memory only. */
  readonly persistence: 'none' | 'disk';
  /** Whether a task waits for it before it is prepared. */
  readonly awaited: boolean;
}

/**
 * All kinds besides tasks, which `TaskSet` manages. To add a kind, add a line.
 *
 * Secrets never touch the disk: their store has no storage.
 */
export const OBJECT_KINDS: readonly ObjectKind[] = [
  { kind: 'network', codec: ASSIGNED_KINDS.network, persistence: 'disk', awaited: true },
  { kind: 'secret', codec: ASSIGNED_KINDS.secret, persistence: 'none', awaited: true },
  { kind: 'config', codec: ASSIGNED_KINDS.config, persistence: 'disk', awaited: true },
];

/** The codecs for frames from managers. */
export function codecsOf(kinds: readonly ObjectKind[]): AssignedKindCodecs {
  return {
    task: ASSIGNED_KINDS.task,
    ...Object.fromEntries(kinds.map(({ kind, codec }) => [kind, codec])),
  };
}

/** The shapes for records of the persisted kinds. */
export function keptShapes(
  kinds: readonly ObjectKind[],
): ReadonlyMap<string, Shape<{ readonly ID: string }>> {
  const kept = kinds.filter(({ persistence }) => persistence === 'disk');
  return new Map(kept.map(({ kind, codec }) => [kind, codec.shape]));
}
