import type { Proof } from './identify.js';

/**
 * Who asks, as the store vouches for it now. A certificate proves the node's id and nothing else.
 *
 * | kind | who |
 * | --- | --- |
 * | nobody | no certificate: may want to join |
 * | local | whoever may open the daemon's own socket |
 * | unknown | a node with a certificate that the store does not know |
 * | worker | a node of the cluster |
 * | demoted | a worker that still holds a manager's certificate |
 * | departing | a demoted manager that is not out of the Raft group yet |
 * | newcomer | may be a manager that this one has not heard of yet, see `Authority` |
 * | manager | wanted as a manager, and certified as one |
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
  /** What the certificate proved, so that the store can be asked again; absent for local clients. */
  readonly proof?: Proof;
  /** The manager that had this request first and sent it on: it is not sent on again. */
  readonly forwardedBy?: string;
}
