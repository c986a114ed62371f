import type { Timestamp } from './common.js';

/**
 * - `blocked`: no packet gets through the tunnel and back.
 * - `mtu`: small ones do, those of full size do not.
 */
export type PathProblemKind = 'blocked' | 'mtu';

/** What is wrong with the way of a node's packets through the tunnel to another node. */
export interface PathProblem {
  /** The node that it does not reach. */
  readonly NodeID: string;
  readonly Kind: PathProblemKind;
  readonly Since: Timestamp;
}

/** Whose rules they are: `other` is known only by chains that drop. */
export type FirewallKind = 'firewalld' | 'ufw' | 'docker' | 'other';
export type FirewallHook = 'input' | 'forward';

/** A firewall of a node's host that drops packets which it has no rule for. Its rules are not read. */
export interface ForeignFirewall {
  readonly Kind: FirewallKind;
  /** Family and name: `ip filter`. */
  readonly Table: string;
  readonly Hooks: readonly FirewallHook[];
}

/** What a node finds when it looks at the paths to the others. */
export interface NodePaths {
  /** Empty when it reaches all that it has looked at. Names the first ones only when there are many. */
  readonly Problems: readonly PathProblem[];
  /** It reaches fewer nodes than it does not: the scheduler takes other nodes first. */
  readonly CutOff?: boolean;
  /** Absent without any. */
  readonly Firewalls?: readonly ForeignFirewall[];
}
