import {
  ApiError,
  type Clock,
  formatHostPort,
  type Logger,
  parseHostPort,
  PROGRAM,
  type Timer,
} from '@swarm/api';
import type { MemberInfo, RaftNode } from '@swarm/raft';
import { fetchMembers, JOIN_PATH, type ManagerCalls } from './join-raft.js';
import type { MovedManagers } from './moved-managers.js';
import { probeManager } from './probe.js';

/** Wait between attempts to tell the group. */
const AGAIN_MS = 2_000;
const PROBE_TIMEOUT_MS = 2_000;
/** The leader probes the new address, then waits for the group. */
const TELL_TIMEOUT_MS = 15_000;

export interface OwnAddressOptions {
  /** This member, with the address that it has now. */
  readonly self: MemberInfo;
  readonly raft: Pick<RaftNode, 'status' | 'updateMember'>;
  readonly calls: ManagerCalls;
  readonly moved: MovedManagers;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly isLeader: () => boolean;
}

/**
 * Sees to it that the group's configuration has this manager's address, after its host got another one. Only
 * the leader can write it, and it first makes sure that the manager answers there.
 */
export class OwnAddress {
  readonly #options: OwnAddressOptions;
  readonly #self: MemberInfo;
  #timer: Timer;
  #isTelling = false;
  #isEnded = false;
  #lastProblem = '';

  constructor(options: OwnAddressOptions) {
    this.#options = options;
    this.#self = { ...options.self, address: canonical(options.self.address) };
  }

  /** Compares, and tells the group if it must. Called when anything changed that matters. */
  check(): void {
    const { clock } = this.#options;
    if (this.#isEnded || this.#isTelling || !this.#isUnknown()) return;
    clock.clearTimeout(this.#timer);
    this.#isTelling = true;
    this.#tell()
      .catch((error: unknown) => this.#failed((error as Error).message))
      .finally(() => {
        this.#isTelling = false;
        if (this.#isEnded || !this.#isUnknown()) return;
        this.#timer = clock.setTimeout(() => this.check(), AGAIN_MS);
      });
  }

  /**
   * Looks for another member of the group at an address, and takes over where that one knows others to be.
   * @throws ApiError when no member answers there
   */
  async meet(address: string): Promise<void> {
    const { calls, raft, moved } = this.#options;
    const { nodeId } = await probeManager(calls, address, PROBE_TIMEOUT_MS);
    const isMember = raft.status().members.some(({ info }) => info.nodeId === nodeId);
    if (nodeId === undefined || !isMember || nodeId === this.#self.nodeId)
      throw new ApiError(
        'INVALID_ARGUMENT',
        `no other manager that this one knows is at ${address}: give the address of another`,
      );
    moved.note(nodeId, address);
    await this.#learn(address);
    this.check();
  }

  close(): void {
    this.#isEnded = true;
    this.#options.clock.clearTimeout(this.#timer);
  }

  /**
   * Whether the configuration has another address. A member that is not in it joins with its address; one
   * that is alone leads first.
   */
  #isUnknown(): boolean {
    const { raft, isLeader } = this.#options;
    const { members } = raft.status();
    if (members.length === 1 && !isLeader()) return false;
    const known = members.find(({ info }) => info.id === this.#self.id);
    return known !== undefined && canonical(known.info.address) !== this.#self.address;
  }

  async #tell(): Promise<void> {
    const { raft, calls, logger, isLeader } = this.#options;
    const { address, id: raftId } = this.#self;
    if (isLeader()) await raft.updateMember(this.#self);
    else {
      const manager = await this.#anyManager();
      await this.#learn(manager);
      const body = { raftId, address, program: PROGRAM };
      await calls.call({
        address: manager,
        method: 'POST',
        path: JOIN_PATH,
        timeoutMs: TELL_TIMEOUT_MS,
        body,
      });
    }
    logger.info({ address }, 'the managers know the new address of this one');
  }

  /** @throws when no other manager answers */
  async #anyManager(): Promise<string> {
    const { raft, moved, calls } = this.#options;
    const others = raft.status().members.filter(({ info }) => info.id !== this.#self.id);
    const asked = others.flatMap(({ info }) =>
      moved.addressesOf(info).map(async (address) => {
        await probeManager(calls, address, PROBE_TIMEOUT_MS, info.nodeId);
        return address;
      }),
    );
    return Promise.any(asked).catch((error: AggregateError) => {
      throw new Error(
        `no other manager answers: ${String((error.errors[0] as Error | undefined)?.message)}`,
      );
    });
  }

  /** Takes over where that manager knows others to be: they may have moved too. */
  async #learn(manager: string): Promise<void> {
    const { calls, moved, raft } = this.#options;
    const known = new Map(raft.status().members.map(({ info }) => [info.nodeId, info.address]));
    for (const { nodeId, address } of await fetchMembers(calls, manager)) {
      const isNews = nodeId !== this.#self.nodeId && known.get(nodeId) !== address;
      if (isNews) moved.hear(nodeId, address);
    }
  }

  #failed(problem: string): void {
    if (this.#isEnded || problem === this.#lastProblem) return;
    this.#lastProblem = problem;
    const { address } = this.#self;
    this.#options.logger.warn(
      { address, problem },
      'the managers do not know the new address of this one yet; it tries again',
    );
  }
}

function canonical(address: string): string {
  const parsed = parseHostPort(address);
  return parsed === undefined ? address : formatHostPort(parsed);
}
