import type { Message, SnapshotMessage } from '../core/message.js';
import type { MemberId, MemberInfo, SnapshotMeta } from '../core/types.js';

/** What happens to a snapshot on its way out. */
export type SnapshotStep =
  /** So many bytes leave, perhaps not for the first time. */
  | { readonly kind: 'sent'; readonly bytes: number }
  /** The receiver has more of it than ever before. */
  | { readonly kind: 'arrived' }
  /** Its connection broke, and it goes on over another where the receiver is. */
  | { readonly kind: 'resumed' };

/** What a transport tells the host. Called synchronously, one at a time. */
export interface TransportHandler {
  receive(message: Message): void;
  /** A message to this member was dropped, or its connection broke. */
  unreachable(id: MemberId): void;
  /** The state sent with `sendSnapshot` was taken over (`ok`) or was not. */
  snapshotSent(id: MemberId, ok: boolean): void;
  /** Tells of the snapshot that is being sent to this member, before `snapshotSent`. */
  snapshotMoved(id: MemberId, step: SnapshotStep): void;
  /**
   * A peer streams a snapshot to us. Resolves when the state machine has it; rejects to refuse it.
   * `chunks` may stop for a while when a connection breaks, and goes on without a gap or throws.
   */
  receiveSnapshot(message: SnapshotMessage, chunks: AsyncIterable<Uint8Array>): Promise<void>;
}

/**
 * Sends and receives messages for one member. Never blocks, never throws, drops rather than queues
 * without limit. `transportContract` of `@swarm/raft/contract` checks an implementation.
 */
export interface Transport {
  start(handler: TransportHandler): void;
  /** Peers as of now, without oneself; connections to others are closed. */
  setMembers(members: readonly MemberInfo[]): void;
  send(messages: readonly Message[]): void;
  /**
   * Streams `chunks` after `message` (type Snapshot) over a connection of its own. `chunks` is read
   * once, also when connections break. A newer one to the same member takes the place of the one
   * under way, of which nothing more is told.
   */
  sendSnapshot(
    message: SnapshotMessage,
    meta: SnapshotMeta,
    chunks: AsyncIterable<Uint8Array>,
  ): void;
  /** Ends the snapshot that is being sent to this member, if any; nothing more is told of it. */
  endSnapshot(to: MemberId, reason: string): void;
  close(): Promise<void>;
}
