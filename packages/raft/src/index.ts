export * from './core/types.js';
export * from './core/message.js';
export { RaftConfigError, ReadMode } from './core/config.js';
export { RaftFaultError } from './core/assert.js';
export { Role } from './core/raft.js';
export * from './host/clock.js';
export * from './host/errors.js';
export type { LeadershipListener, LeadershipState } from './host/leadership.js';
export * from './host/options.js';
export type { ProposalDone } from './host/proposals.js';
export * from './host/raft-node.js';
export * from './host/state-machine.js';
export * from './inspect/index.js';
export {
  Histogram,
  LATENCY_BOUNDS_SECONDS,
  type Metric,
  metricsText,
  type MetricValue,
} from './metrics.js';
export * from './recovery/index.js';
export type { RecordCipher } from './storage/cipher.js';
export {
  StorageFailedError,
  StorageIdentityError,
  StorageLockedError,
  StorageUnreadableError,
} from './storage/errors.js';
export { type Identity, IdentityDamagedError, readIdentity } from './storage/identity-file.js';
export * from './storage/storage.js';
export { LevelStorage, type LevelStorageOptions } from './storage/level-storage.js';
export { MemoryDisk, MemoryStorage, type MemoryStorageOptions } from './storage/memory-storage.js';
export type {
  TraceEvent,
  TraceEventName,
  TraceMessage,
  TraceProperties,
  TraceSink,
  TraceTerms,
} from './trace.js';
export * from './transport/transport.js';
export { MemoryNetwork, type MemoryNetworkOptions } from './transport/memory-transport.js';
export { RAFT_PATH, RAFT_SNAPSHOT_PATH } from './transport/hello.js';
export { DEFAULT_TRANSPORT_LIMITS, type TransportLimits } from './transport/limits.js';
export { plainConnect, socketOptions, tlsConnect } from './transport/ws-connect.js';
export {
  type AcceptedPeer,
  WsTransport,
  type WsTransportOptions,
} from './transport/ws-transport.js';
