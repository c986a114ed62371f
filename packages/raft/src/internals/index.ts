/**
 * PRIVATE. What Raft's own simulation (packages/raft-sim) inspects and builds on: its invariants
 * read the state of the core, and its transport and disk run the product's parts over simulated
 * ones. Nothing here is API: it may change without notice, in any release.
 */
export { decodeFrame, encodeFrame } from '../codec/message-codec.js';
export { until } from '../contract/until.js';
export {
  allMembers,
  allVoters,
  type ConfChange,
  ConfChangeOp,
  changeConf,
  decodeConfChange,
  EMPTY_CONF,
  isJoint,
  isVoter,
  type MemberChange,
} from '../core/conf-change.js';
export { describeConf, describeMessage } from '../core/describe.js';
export { leaseRemainingMs } from '../core/leader.js';
export { ProgressState } from '../core/progress.js';
export { majority, quorumVote, VoteResult } from '../core/quorum.js';
export { type Raft, Role } from '../core/raft.js';
export type { AppendWork, RaftCore } from '../core/raw-node.js';
export { LogWriter, mergeWrites, type WriteMeter } from '../host/log-writer.js';
export type { Membership } from '../host/membership.js';
export { PLAIN } from '../storage/cipher.js';
export { type Database, type OpenDatabase, openLevelDatabase } from '../storage/database.js';
export { INCARNATION_KEY, META_KEY, recordKey, sequenceOf } from '../storage/keys.js';
export { inspectLogFile } from '../storage/leveldb-log-file.js';
export { decodeIncarnation, decodeLogMeta } from '../storage/log-meta.js';
export { decodeRecord } from '../storage/record.js';
export { EMPTY_META } from '../storage/recovery.js';
export type { TransportEnvironment } from '../transport/environment.js';
export { decodeHello } from '../transport/hello.js';
export { OutgoingSnapshots } from '../transport/outgoing-snapshots.js';
export { PairedLine } from '../transport/paired-line.js';
export { SnapshotIntake } from '../transport/snapshot-intake.js';
export { LineEnd } from '../transport/snapshot-line.js';
export { SnapshotReceiver } from '../transport/snapshot-receiver.js';
export * from './node-internals.js';
