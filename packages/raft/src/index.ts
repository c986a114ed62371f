export * from './core/types.js';
export * from './core/message.js';
export { RaftConfigError } from './core/config.js';
export { RaftFaultError } from './core/assert.js';
export { Role } from './core/raft.js';
export * from './host/clock.js';
export * from './host/errors.js';
export type { LeadershipListener, LeadershipState } from './host/leadership.js';
export * from './host/options.js';
export type { ProposalDone } from './host/proposals.js';
export * from './host/raft-node.js';
export * from './host/state-machine.js';
export {
  StorageFailedError,
  StorageIdentityError,
  StorageLockedError,
  StorageUnreadableError,
} from './storage/errors.js';
export * from './storage/storage.js';
export * from './transport/transport.js';
export { LevelStorage, type LevelStorageOptions } from './storage/level-storage.js';
export { RAFT_PATH, RAFT_SNAPSHOT_PATH } from './transport/hello.js';
export { socketOptions, tlsConnect } from './transport/ws-connect.js';
export {
  type AcceptedPeer,
  WsTransport,
  type WsTransportOptions,
} from './transport/ws-transport.js';
