import type { Timer } from '@swarm/api';
import { RaftNode } from '@swarm/raft';
import { selfInfo } from './local-manager.js';
import type { ManagerOptions } from './manager-options.js';
import { raftLogger } from './raft-logger.js';

/** Opens a manager's Raft member, as the cluster's settings say. @throws the error of the log */
export function openRaft(options: ManagerOptions): Promise<RaftNode> {
  const { self, start, clock, logger, state } = options;
  const spec = state.memory.view.cluster()?.Spec.Raft ?? {};
  return RaftNode.open({
    id: self.raftId,
    ...(start.kind === 'found' ? { members: [selfInfo(self)] } : {}),
    ...(start.kind === 'join' ? { seeds: start.seeds } : {}),
    ...(start.kind === 'restart' ? { returns: true } : {}),
    storage: options.log,
    transport: options.transport,
    stateMachine: state,
    clock: {
      now: () => clock.monotonicMs(),
      setTimeout: (callback, delayMs) => clock.setTimeout(callback, delayMs),
      clearTimeout: (timer) => clock.clearTimeout(timer as Timer | undefined),
      setImmediate: (callback) => clock.setImmediate(callback),
    },
    random: options.random,
    limits: {
      ...(spec.SnapshotInterval ? { snapshotInterval: spec.SnapshotInterval } : {}),
      ...(spec.LogEntriesForSlowFollowers
        ? { trailingEntries: spec.LogEntriesForSlowFollowers }
        : {}),
    },
    ...(spec.ElectionTick ? { electionTicks: spec.ElectionTick } : {}),
    ...(spec.HeartbeatTick ? { heartbeatTicks: spec.HeartbeatTick } : {}),
    logger: raftLogger(logger),
    onFatal: options.onFatal,
  });
}
