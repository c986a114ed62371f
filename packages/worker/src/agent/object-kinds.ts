import type { Shape } from '@swarm/api';
import { ASSIGNED_KINDS, type AssignedKindCodec, type AssignedKindCodecs } from '@swarm/api/wire';

/** A kind of object that tasks need. */
export interface ObjectKind {
  readonly kind: string;
  readonly codec: AssignedKindCodec<{ readonly ID: string }>;
  /** `disk`: the next life of the daemon has it before any manager is reached. `none`: memory only. */
  readonly persistence: 'none' | 'disk';
  /** Whether a task waits for it before it is prepared. */
  readonly awaited: boolean;
}

/**
 * All kinds besides tasks, whose life is in TaskSet. A kind that is added is one more line here.
 *
 * Secrets never touch the disk: their store has no storage. A task attaches to a network by the address that
 * its own attachment has, so it need not wait for the network.
 */
export const OBJECT_KINDS: readonly ObjectKind[] = [
  { kind: 'network', codec: ASSIGNED_KINDS.network, persistence: 'disk', awaited: false },
  { kind: 'secret', codec: ASSIGNED_KINDS.secret, persistence: 'none', awaited: true },
  { kind: 'config', codec: ASSIGNED_KINDS.config, persistence: 'disk', awaited: true },
];

/** How frames of managers are read. */
export function codecsOf(kinds: readonly ObjectKind[]): AssignedKindCodecs {
  return {
    task: ASSIGNED_KINDS.task,
    ...Object.fromEntries(kinds.map(({ kind, codec }) => [kind, codec])),
  };
}

/** How records of the kinds that are kept are read. */
export function keptShapes(
  kinds: readonly ObjectKind[],
): ReadonlyMap<string, Shape<{ readonly ID: string }>> {
  const kept = kinds.filter(({ persistence }) => persistence === 'disk');
  return new Map(kept.map(({ kind, codec }) => [kind, codec.shape]));
}
