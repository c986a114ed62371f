import type { MeshEncryption } from '@swarm/api';
import type { CheckedOverlay, CheckedPeer } from '../checked.js';
import type { LinkName, TaskId } from '../layout.js';
import type { FoundLink } from '../links/task-links.js';
import type { OverlaySlice } from '../overlay/overlay-networks.js';
import type { TunnelKeyPair } from './keys.js';

/**
 * Encrypts what tasks of encrypted networks send to other nodes.
 *
 * Calls must not overlap; the mesh that owns the parts ensures that. For each state, and whenever a task comes or goes, it
 * calls `reach` before anything leads to the networks' members.
 */
export interface TrafficEncryption {
  /** What other nodes need of this one; undefined when it cannot encrypt. Known at once. */
  readonly offer: MeshEncryption | undefined;

  /** Why this node cannot encrypt, as the end of a sentence; empty when it can. */
  readonly problem: string;

  /** Reports that `offer` changed: managers must hear of it. Returns what ends that. */
  watch(listener: () => void): () => void;

  /** @param mtuBytes of the tunnel */
  start(self: CheckedPeer, mtuBytes: number): Promise<void>;

  /** Largest packet that fits; the links to encrypted networks have the same limit. 0 before `start`. */
  readonly mtuBytes: number;

  /**
   * Leads, encrypted, to exactly the members of encrypted networks that other nodes have, and lets nothing of these
   * networks out or in otherwise.
   * @throws when the kernel does not hold the rules for that
   */
  reach(slice: OverlaySlice): Promise<void>;

  /**
   * The device that leads to a node's members of encrypted networks; a route to each goes there, without a gateway.
   * Undefined when this node and that one have no means in common: nothing may lead there.
   */
  deviceTo(peer: CheckedPeer): LinkName | undefined;

  /**
   * Keeps packets of a task's encrypted networks from leaving in clear: from before it has links to them, until
   * `uncover`, since a task may send all that time, whatever else is known of its networks.
   * @param overlays all that it has links to, or is about to have
   * @throws when one is encrypted and this node cannot, or when the kernel does not hold the rules for that
   */
  cover(taskId: TaskId, overlays: readonly CheckedOverlay[]): Promise<void>;

  /** These tasks have no links any more. */
  uncover(taskIds: readonly TaskId[]): Promise<void>;

  /** Goes on covering tasks of an earlier process, by what its rules say: nobody else may know their networks yet. */
  adopt(links: readonly FoundLink[]): Promise<void>;

  /** Goes over to another key pair. Connections go on; packets of the moment until others know it are lost. */
  changeKeys(keys: TunnelKeyPair): Promise<void>;

  /**
   * Looks for what somebody removed.
   * @returns whether `reach` has to be called again
   */
  repair(): Promise<boolean>;

  /** `keep` leaves the kernel as it is. */
  close(options: { readonly keep: boolean }): Promise<void>;
}

/** For nodes that cannot encrypt: a task on an encrypted network is refused. @param problem why not */
export function noEncryption(problem: string): TrafficEncryption {
  return {
    offer: undefined,
    problem,
    watch: () => () => {},
    start: async () => {},
    mtuBytes: 0,
    reach: async () => {},
    deviceTo: () => undefined,
    cover: async (taskId, overlays) => refuseEncrypted(taskId, overlays, problem),
    uncover: async () => {},
    adopt: async () => {},
    changeKeys: async () => {},
    repair: async () => false,
    close: async () => {},
  };
}

/** @throws when one of the task's networks is encrypted */
function refuseEncrypted(
  taskId: TaskId,
  overlays: readonly CheckedOverlay[],
  problem: string,
): void {
  const network = overlays.find(({ isEncrypted }) => isEncrypted);
  if (network === undefined) return;
  throw new Error(
    `mesh: task ${taskId} cannot have the encrypted network ${network.name}: this node cannot encrypt: ${problem}`,
  );
}
