import type { CheckedPeer } from '../checked.js';

/**
 * What the parts of one node's mesh write to the kernel together. Parts say what changed as they are told
 * of a state; `commit` writes all of it at once.
 */
export interface Transaction {
  /**
   * Takes the node's own place. Nothing is written yet.
   * @returns whether the table of an earlier process stands: it works on untouched until the first commit
   */
  start(self: CheckedPeer): Promise<boolean>;
  /**
   * Makes the kernel hold what all parts want, in one transaction: all or nothing.
   * @throws when the kernel refuses; the next commit then writes everything
   */
  commit(): Promise<void>;
  /** Writes everything again when someone else changed it. Leaves an earlier process's table alone. */
  repair(): Promise<void>;
  /** `keep` leaves the kernel as it is. */
  close(options: { readonly keep: boolean }): Promise<void>;
}

/** Of a mesh whose parts write nothing together: each has done its work when it says so. */
export const noTransaction: Transaction = {
  start: async () => false,
  commit: async () => {},
  repair: async () => {},
  close: async () => {},
};
