import type { MemberInfo } from '@swarm/raft';
import type { NodeIdentity } from '@swarm/identity';

/** A manager's own identity, addresses and folder. */
export interface LocalManager {
  readonly nodeId: string;
  readonly clusterId: string;
  readonly raftId: number;
  /** Random, of this run of the daemon: see MemberInstances. */
  readonly instance: string;
  /** `host:port` at which other managers and all nodes reach this one. */
  readonly advertiseAddress: string;
  /** Where it listens. */
  readonly listen: { readonly host: string; readonly port: number };
  /** Folder for log and state; created when missing. */
  readonly folder: string;
  /** Returns the current certificate. Called for each connection, since certificates are renewed. */
  readonly identity: () => NodeIdentity;
}

/**
 * How a member starts: as the first of a new group, as one that joins the group of `seeds`, or again from
 * its own log.
 */
export type Start =
  | { readonly kind: 'found' }
  | { readonly kind: 'join'; readonly seeds: readonly MemberInfo[] }
  | { readonly kind: 'restart' };

export function selfInfo(
  self: Pick<LocalManager, 'raftId' | 'advertiseAddress' | 'nodeId'>,
): MemberInfo {
  return { id: self.raftId, address: self.advertiseAddress, nodeId: self.nodeId };
}
