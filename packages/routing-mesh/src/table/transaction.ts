import type { CheckedPeer } from '../checked.js';
import type { CheckedIngress } from '../ingress.js';

/** What the kernel should hold, as the text that writes all of it. */
export interface TableDescription {
  readonly text: string;
  /** Whether the kernel still has the rules. Elements are not listed: that would cost as much as all of them. */
  readonly isAsWritten: boolean;
}

/**
 * What the parts of one node's mesh write to the kernel together. Parts collect their changes as they receive a
 * state; `commit` writes all of it at once.
 */
export interface Transaction {
  /**
   * Takes the node's own place. Writes nothing yet.
   * @returns whether an earlier process's table exists: it keeps working untouched until the first commit
   */
  start(self: CheckedPeer, ingress: CheckedIngress): Promise<boolean>;
  /**
   * Makes the kernel hold what all parts want, in one transaction: all or nothing.
   * @returns whether it wrote everything: packets may have passed without rules before
   * @throws when the kernel refuses; the next commit then writes everything
   */
  commit(): Promise<boolean>;
  /**
   * Writes everything again if somebody changed it. Leaves an earlier process's table alone.
   * @returns as `commit`
   */
  repair(): Promise<boolean>;
  /** Undefined when there is no table. */
  describe(): Promise<TableDescription | undefined>;
  /** `keep` leaves the kernel as it is. */
  close(options: { readonly keep: boolean }): Promise<void>;
}

/** For a mesh whose parts write nothing together: each has finished when its own call resolves. */
export const noTransaction: Transaction = {
  start: async () => false,
  commit: async () => false,
  repair: async () => false,
  describe: async () => undefined,
  close: async () => {},
};
