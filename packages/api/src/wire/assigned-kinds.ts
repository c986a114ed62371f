import { configShape, networkShape, secretShape } from '../shapes/others.js';
import { taskShape } from '../shapes/task.js';
import type { AssignedKind, AssignedObjects } from './assignments.js';
import type { Shape } from './shape.js';

const KIB = 1024;

/** How a kind of object travels to a node. */
export interface AssignedKindCodec<T> {
  readonly shape: Shape<T>;
  /** Largest size of one object, as `sizeBytes` estimates it. */
  readonly limitBytes: number;
}

/** By kind. A manager stores no object larger than a log entry, 1.5 MiB. */
export type AssignedKindCodecs = Readonly<
  Record<string, AssignedKindCodec<{ readonly ID: string }>>
>;

/**
 * All kinds that managers send. A secret holds at most 500 KiB and a config 1000 KiB, which Base64 makes a
 * third longer.
 */
export const ASSIGNED_KINDS: {
  readonly [K in AssignedKind]: AssignedKindCodec<AssignedObjects[K]>;
} = {
  network: { shape: networkShape, limitBytes: 256 * KIB },
  secret: { shape: secretShape, limitBytes: 768 * KIB },
  config: { shape: configShape, limitBytes: 1536 * KIB },
  task: { shape: taskShape, limitBytes: 2048 * KIB },
};
