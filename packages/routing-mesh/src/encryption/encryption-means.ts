import type { EncryptionMeansName, IpAddress } from '@swarm/api';
import type { CheckedPeer } from '../checked.js';
import type { LinkName } from '../layout.js';
import type { PairEnd, TunnelKeyPair } from './keys.js';

/** A node to which packets leave encrypted, and from which they come so. */
export interface EncryptedPeer extends PairEnd {
  readonly peer: CheckedPeer;
  /** Of its tasks on encrypted networks: only these lead to it, and only these are taken from it. */
  readonly addresses: ReadonlySet<IpAddress>;
}

/** What this node is to the others. */
export interface EncryptedSelf {
  readonly self: CheckedPeer;
  readonly keys: TunnelKeyPair;
  readonly epoch: string;
  /** Largest packet that fits when encrypted. */
  readonly mtuBytes: number;
}

/**
 * One way to encrypt what nodes send each other: a device, whose packets leave encrypted to the node that has their
 * target, and through which comes only what was encrypted by the node that has their source.
 *
 * Calls must not overlap.
 */
export interface EncryptionMeans {
  readonly name: EncryptionMeansName;
  readonly device: LinkName;

  /** Why this node cannot, as the end of a sentence; undefined when it can. Leaves nothing behind. */
  probe(): Promise<string | undefined>;

  /** The epoch in which an earlier process with this key counted its packets, if the kernel still has them counted. */
  earlierEpoch(keys: TunnelKeyPair): Promise<string | undefined>;

  /** Makes the device, or takes over what an earlier process left of it. Again with other keys: changes them. */
  start(own: EncryptedSelf): Promise<void>;

  /** Set by `hold` when the node has to count its packets anew, under another epoch, to lead to all of them. */
  readonly needsEpoch: boolean;

  /**
   * Leads to exactly these peers and addresses.
   * @param known ids of all nodes: what is agreed with one that has no member now stays for the next
   * @returns why, by node id, for peers that it cannot lead to
   */
  hold(
    peers: ReadonlyMap<string, EncryptedPeer>,
    known: ReadonlySet<string>,
  ): Promise<ReadonlyMap<string, string>>;

  /**
   * Looks for what somebody removed; the next `hold` restores it.
   * @returns `gone` when the node has to count its packets anew, under a new epoch
   */
  check(): Promise<'whole' | 'damaged' | 'gone'>;

  /** Removes everything. */
  close(): Promise<void>;
}
