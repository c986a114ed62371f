import type { Meta, Timestamp } from './common.js';

/**
 * A node that was removed from the cluster, under its id. Its certificates are refused while this exists, so
 * managers keep it until the last of them has expired.
 */
export interface RemovedNode extends Meta {
  readonly Until: Timestamp;
}
