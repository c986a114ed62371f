import { ApiError, type Clock, type Logger } from '@swarm/api';
import type { MemberInfo } from '@swarm/raft';
import type { ManagerCalls } from './join-raft.js';
import type { MovedManagers } from './moved-managers.js';
import { probeManager, readInstance } from './probe.js';

/** Header of what a manager asks of another one, and of its Raft connections: the run of its daemon. */
export const INSTANCE_HEADER = 'x-swarm-instance';
/** Shorter than the time that a Raft connection may take (2 s): where nobody is, this much of it goes by. */
const PROBE_TIMEOUT_MS = 1_000;
/** A copy tries twice a second, for as long as nobody stops it; the log names it this often. */
const LOG_MS = 60_000;

export interface MemberInstancesOptions {
  readonly members: () => readonly MemberInfo[];
  readonly moved: Pick<MovedManagers, 'addressesOf'>;
  readonly calls: ManagerCalls;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Keeps out the copy of a manager: a second host with its certificate, Raft id and log. Raft must never see two
 * logs with one id: a copy that voted, or acknowledged entries, could undo what the group has committed. Their
 * certificates are the same, so only the one that is where the group knows it tells them apart: when another run
 * of a daemon speaks for a member, asks at the member's addresses. Believes the newcomer when it answers there
 * itself, or nobody does: then the member has moved, or its host is gone.
 */
export class MemberInstances {
  readonly #options: MemberInstancesOptions;
  /** The run that was believed last, by node. */
  readonly #known = new Map<string, string>();
  /** Open Raft connections, by node and run. */
  readonly #open = new Map<string, Map<string, number>>();
  /** When a copy was logged last, by node. */
  readonly #loggedAtMs = new Map<string, number>();
  /** Questions under way, by node and run. */
  readonly #asking = new Map<string, Promise<void>>();

  constructor(options: MemberInstancesOptions) {
    this.#options = options;
  }

  /**
   * Checks that a node speaks for its member. Programs before it name no instance, and are believed.
   * @param header of the request
   * @throws ApiError FAILED_PRECONDITION for a copy
   */
  async check(nodeId: string, header: unknown): Promise<void> {
    const instance = readInstance(header);
    if (instance === undefined || this.#known.get(nodeId) === instance) return;
    const key = `${nodeId} ${instance}`;
    let asking = this.#asking.get(key);
    if (asking === undefined) {
      asking = this.#ask(nodeId, instance).finally(() => this.#asking.delete(key));
      this.#asking.set(key, asking);
    }
    await asking;
  }

  /** Counts a Raft connection of a node that was checked. @returns what to call when it closes */
  opened(nodeId: string, header: unknown): () => void {
    const instance = readInstance(header) ?? '';
    const open = this.#open.get(nodeId) ?? new Map<string, number>();
    this.#open.set(nodeId, open);
    open.set(instance, (open.get(instance) ?? 0) + 1);
    return () => {
      const left = (open.get(instance) ?? 1) - 1;
      if (left > 0) open.set(instance, left);
      else open.delete(instance);
      if (open.size === 0 && this.#open.get(nodeId) === open) this.#open.delete(nodeId);
    };
  }

  async #ask(nodeId: string, instance: string): Promise<void> {
    const { members, moved, clock, logger } = this.#options;
    const infos = members().filter((info) => info.nodeId === nodeId);
    const addresses = [...new Set(infos.flatMap((info) => moved.addressesOf(info)))];
    const answers = await Promise.all(
      addresses.map((address) => this.#instanceAt(address, nodeId)),
    );
    const isItself = answers.includes(instance);
    const at = answers.findIndex((answer) => answer !== undefined && answer !== instance);
    const others = [...(this.#open.get(nodeId)?.keys() ?? [])].filter((one) => one !== instance);
    // An open connection counts as a sign of life: Raft closes one that is silent for five seconds.
    if (!isItself && (at >= 0 || others.length > 0)) {
      const where = addresses[at] ?? addresses[0] ?? 'its address';
      const nowMs = clock.monotonicMs();
      if (nowMs - (this.#loggedAtMs.get(nodeId) ?? -LOG_MS) >= LOG_MS) {
        this.#loggedAtMs.set(nodeId, nowMs);
        logger.warn(
          { nodeId, knownAddress: where },
          'refused a second daemon with the identity of a manager: its data folder was copied',
        );
      }
      throw new ApiError(
        'FAILED_PRECONDITION',
        `another daemon, at ${where}, already runs as manager ${nodeId}: if the data folder was copied to this host, run \`docker swarm leave --force\` here, then join again; if this host should be the node, stop the other daemon`,
      );
    }
    this.#known.set(nodeId, instance);
  }

  /** The run of the daemon that answers as this node; undefined without an answer, or when it names none. */
  async #instanceAt(address: string, nodeId: string): Promise<string | undefined> {
    try {
      return (await probeManager(this.#options.calls, address, PROBE_TIMEOUT_MS, nodeId)).instance;
    } catch (error) {
      if (error instanceof ApiError) return undefined;
      throw error;
    }
  }
}
