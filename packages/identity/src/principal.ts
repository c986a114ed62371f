import type { Proof } from './identify.js';

/**
 * Who makes a request, by the current state of the store. A certificate proves the node's id and nothing
 * else.
 *
 * | kind | who |
 * | --- | --- |
 * | nobody | no certificate; may want to join |
 * | local | a client that may open the daemon's own socket |
 * | unknown | a node with a valid certificate that is not in the store |
 * | worker | a node of the cluster |
 * | demoted | a worker that still holds a manager's certificate |
 * | departing | a demoted manager that is still in the Raft group |
 * | newcomer | possibly a manager that this one does not know yet, see `Authority` |
 * | manager | should be a manager, and is certified as one |
 */
export type Principal =
  | { readonly kind: 'nobody' }
  | { readonly kind: 'local' }
  | { readonly kind: NodeKind; readonly nodeId: string };

export type NodeKind = 'unknown' | 'worker' | 'demoted' | 'departing' | 'newcomer' | 'manager';
export type PrincipalKind = Principal['kind'];

export const NOBODY: Principal = { kind: 'nobody' };
export const LOCAL: Principal = { kind: 'local' };

/** Who sent a request: known by the mode of the socket's file, or by certificate and store. */
export interface Caller {
  readonly principal: Principal;
  /** What the certificate proved, to check it against the store again; absent for local clients. */
  readonly proof?: Proof;
  /** The manager that received this request first and forwarded it. It is not forwarded again. */
  readonly forwardedBy?: string;
}
