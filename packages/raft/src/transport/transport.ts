import type { Message } from '../core/message.js';
import type { MemberId, MemberInfo, SnapshotMeta } from '../core/types.js';

/** What a transport tells the host. Called synchronously, one at a time. */
export interface TransportHandler {
  receive(message: Message): void;
  /** A message to this member was dropped, or its connection broke. */
  unreachable(id: MemberId): void;
  /** The state sent with `sendSnapshot` was taken over (`ok`) or was not. */
  snapshotSent(id: MemberId, ok: boolean): void;
  /** A peer streams a snapshot to us. Resolves when the state machine has it; rejects to refuse it. */
  receiveSnapshot(message: Message, chunks: AsyncIterable<Uint8Array>): Promise<void>;
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
  /** Streams `chunks` after `message` (type Snapshot) over a connection of its own. */
  sendSnapshot(message: Message, meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>): void;
  close(): Promise<void>;
}
