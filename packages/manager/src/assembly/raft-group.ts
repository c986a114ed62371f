import { ApiError, type Clock, type Logger, type ManagerAddress, pause, PROGRAM } from '@swarm/api';
import type { RaftNode } from '@swarm/raft';
import { LEADER_POLL_MS } from '../api/gate.js';
import type { ManagerMember, Quorum } from '../api/manager-access.js';
import type { Member } from '../role-manager/index.js';
import { askToJoin, askToLeave, type ManagerCalls } from './join-raft.js';
import type { LeaderAddress, LeaderLink } from './leader-link.js';
import type { LocalManager } from './local-manager.js';

/** Errors that concern only the manager that answered (out of reach, being demoted): another one may do better. */
const ASK_ANOTHER: readonly string[] = ['TIMEOUT', 'NOT_IN_SWARM'];
/** Time without a leader after which the quorum counts as lost; an election takes 1–2 s. */
const QUORUM_LOST_AFTER_MS = 4000;

export interface RaftGroupOptions {
  readonly self: Pick<LocalManager, 'nodeId' | 'raftId' | 'advertiseAddress'>;
  readonly raft: RaftNode;
  readonly link: () => Pick<LeaderLink, 'reachable'>;
  readonly calls: ManagerCalls;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly isLeader: () => boolean;
  /** Managers that this node knows of besides the group. */
  readonly knownManagers: () => readonly ManagerAddress[];
}

/** The managers of the cluster as this one sees them, and its own way into their group and out of it. */
export class RaftGroup {
  readonly #options: RaftGroupOptions;

  constructor(options: RaftGroupOptions) {
    this.#options = options;
  }

  leader(): LeaderAddress | undefined {
    const { leader } = this.#options.raft.status();
    return leader === undefined ? undefined : { nodeId: leader.nodeId, address: leader.address };
  }

  members(): readonly Member[] {
    const { raft, link } = this.#options;
    const { members, id, role, leader } = raft.status();
    const heard = role === 'leader' ? undefined : link().reachable();
    return members.map(({ info, role: memberRole, reachable }) => ({
      raftId: info.id,
      nodeId: info.nodeId,
      address: info.address,
      voter: memberRole === 'voter',
      // Only the leader hears from all members; a follower knows itself, the leader, and the leader's last answer.
      reachable:
        info.id === id ||
        (role === 'leader' ? reachable : info.id === leader?.id || heard?.has(info.id) === true),
    }));
  }

  /** The members as the API shows them. */
  shown(): readonly ManagerMember[] {
    const leader = this.leader()?.nodeId;
    return this.members().map(({ nodeId, address, voter, reachable }) => ({
      nodeId,
      address,
      ...(voter ? {} : { learner: true }),
      reachability: reachable ? 'reachable' : 'unreachable',
      leader: nodeId === leader,
    }));
  }

  /** The members of the group, and managers that are known from elsewhere, each address once. */
  everyManager(): readonly ManagerAddress[] {
    const { raft, knownManagers } = this.#options;
    const byAddress = new Map<string, ManagerAddress>();
    const members = raft.status().members.map(({ info }) => info);
    for (const { nodeId, address } of [...members, ...knownManagers()])
      byAddress.set(address, { nodeId, address });
    return [...byAddress.values()];
  }

  quorum(): Quorum {
    const { raft, clock } = this.#options;
    const leaderlessMs = raft.leaderlessMs();
    if (leaderlessMs < QUORUM_LOST_AFTER_MS && (raft.hasQuorum() || leaderlessMs > 0))
      return { state: 'ok' };
    if (raft.hasQuorum()) return { state: 'ok' };
    return { state: 'lost', since: clock.now() - leaderlessMs };
  }

  /**
   * Becomes a voter of the group of these managers.
   * @param signal gives up early
   * @throws ApiError the leader's refusal, or why no manager could be asked
   */
  async join(managers: readonly string[], signal?: AbortSignal): Promise<void> {
    const { self, calls } = this.#options;
    const body = { raftId: self.raftId, address: self.advertiseAddress, program: PROGRAM };
    let last: unknown;
    for (const address of managers) {
      try {
        await askToJoin(calls, address, body, signal);
        return;
      } catch (error) {
        // Another manager would only repeat the leader's answer.
        const isAnswer = !(error instanceof ApiError) || !ASK_ANOTHER.includes(error.code);
        if (isAnswer || signal?.aborted) throw error;
        last = error;
      }
    }
    throw last ?? new ApiError('INVALID_ARGUMENT', 'no manager to join is known');
  }

  /**
   * Leaves the group: another leader removes this member, and its node becomes a worker.
   * @throws ApiError when too few members would remain, or NO_QUORUM when no other manager leads in time
   */
  async leave(timeoutMs: number): Promise<void> {
    const { clock, self, calls, raft, isLeader } = this.#options;
    const until = clock.monotonicMs() + timeoutMs;
    if (isLeader()) await raft.transferLeadership();
    for (;;) {
      const leader = this.leader();
      if (leader !== undefined && leader.nodeId !== self.nodeId)
        return askToLeave(calls, leader.address);
      if (clock.monotonicMs() >= until)
        throw new ApiError(
          'NO_QUORUM',
          'no other manager leads: try again, or check that the others are up',
        );
      await pause(clock, LEADER_POLL_MS);
    }
  }

  /**
   * Hands leadership to another manager while this one still answers. A failure only costs an election.
   * @returns whether this one led and another one does now
   */
  async handOver(): Promise<boolean> {
    const { raft, logger, isLeader } = this.#options;
    if (!isLeader() || raft.status().members.length < 2) return false;
    try {
      await raft.transferLeadership();
      return true;
    } catch (error) {
      logger.warn({ err: error }, 'leadership could not be handed over');
      return false;
    }
  }
}
