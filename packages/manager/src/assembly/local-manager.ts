import type { MemberInfo } from '@swarm/raft';
import type { NodeIdentity } from '@swarm/identity';

/** What a manager is told about itself. */
export interface LocalManager {
  readonly nodeId: string;
  readonly clusterId: string;
  readonly raftId: number;
  /** `host:port` that the other managers and all nodes reach this one at. */
  readonly advertiseAddress: string;
  /** Where it listens. */
  readonly listen: { readonly host: string; readonly port: number };
  /** Folder for log and state; made when missing. */
  readonly folder: string;
  /** The certificate in use now; asked again for each connection, for it is renewed. */
  readonly identity: () => NodeIdentity;
}

/** Where a joining member finds the group; nothing for the first member and after a restart. */
export type Start =
  | { readonly kind: 'found' }
  | { readonly kind: 'join'; readonly seeds: readonly MemberInfo[] }
  | { readonly kind: 'restart' };

export function selfInfo(
  self: Pick<LocalManager, 'raftId' | 'advertiseAddress' | 'nodeId'>,
): MemberInfo {
  return { id: self.raftId, address: self.advertiseAddress, nodeId: self.nodeId };
}
