import type { Message, SnapshotMessage } from '../core/message.js';
import type { MemberId, MemberInfo, SnapshotMeta } from '../core/types.js';

/** What happens to an outgoing snapshot. */
export type SnapshotStep =
  /** This many bytes leave, perhaps not for the first time. */
  | { readonly kind: 'sent'; readonly bytes: number }
  /** The receiver has more of it than ever before. */
  | { readonly kind: 'arrived' }
  /** Its connection broke, and it continues over another where the receiver is. */
  | { readonly kind: 'resumed' };

/** What a transport reports to the host. Called synchronously, one call at a time. */
export interface TransportHandler {
  receive(message: Message): void;
  /** A message to this member was dropped, or its connection broke. */
  unreachable(id: MemberId): void;
  /** The receiver installed the state sent with `sendSnapshot` (`ok`), or did not. */
  snapshotSent(id: MemberId, ok: boolean): void;
  /** Reports progress of the snapshot to this member, before `snapshotSent`. */
  snapshotMoved(id: MemberId, step: SnapshotStep): void;
  /**
   * A peer streams a snapshot to us. Resolves when the state machine has it; rejects to refuse it.
   * `chunks` may stall when a connection breaks, and then continues without a gap or throws.
   */
  receiveSnapshot(message: SnapshotMessage, chunks: AsyncIterable<Uint8Array>): Promise<void>;
}

/**
 * Sends and receives messages for one member. Never blocks, never throws, and drops rather than
 * queue without limit. `transportContract` of `@swarm/raft/contract` checks an implementation.
 */
export interface Transport {
  start(handler: TransportHandler): void;
  /** Sets the current peers, without this member. Closes connections to all others. */
  setMembers(members: readonly MemberInfo[]): void;
  send(messages: readonly Message[]): void;
  /**
   * Streams `chunks` after `message` (type Snapshot) over a connection of its own. Reads `chunks`
   * once, even if connections break. A newer snapshot to the same member replaces the one under
   * way, about which nothing more is reported.
   */
  sendSnapshot(
    message: SnapshotMessage,
    meta: SnapshotMeta,
    chunks: AsyncIterable<Uint8Array>,
  ): void;
  /** Ends the outgoing snapshot to this member, if any. Nothing more is reported about it. */
  endSnapshot(to: MemberId, reason: string): void;
  close(): Promise<void>;
}
