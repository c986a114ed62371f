import { isDeepStrictEqual } from 'node:util';
import { ApiError, type Logger, type ManagerAddress, newRaftId, pause } from '@swarm/api';
import type { LocalManager, Start } from '@swarm/manager';
import type { LeaveBody, Manager } from '@swarm/manager/assembly';
import type { CheckedBackup, RestoredManager } from '@swarm/manager/recovery';
import type { LocalApi } from './api/local-api.js';
import { firstOf } from './membership/first-of.js';
import type { MemberHost } from './membership/member-host.js';
import type { LocalState } from './files/local-state.js';
import type { NodeFiles } from './files/node-files.js';

/** How long a leaving manager waits to be removed from the Raft group. */
const LEAVE_GROUP_MS = 5_000;
/**
 * How long a leader that handed over still answers. Requests that others forwarded before they heard of the
 * next leader arrive meanwhile, and are answered that this one is not it; so are writes under way.
 */
const HANDED_OVER_MS = 200;
/** Without an answer the cluster may still have agreed, so the id and its log are kept. */
const UNDECIDED: readonly string[] = ['TIMEOUT', 'NO_QUORUM', 'OVERLOADED'];
/** The leader's answer to a member that was removed: its id can never be used again. */
const ID_USED_UP = 'CONFLICT';

export interface ManagerPartOptions extends Pick<MemberHost, 'clock' | 'randomBytes' | 'issuer'> {
  readonly files: NodeFiles;
  /** Names this run of the daemon. */
  readonly instance: string;
  readonly logger: Logger;
  readonly random: () => number;
  readonly api: () => LocalApi;
  /** Managers that this node knows of besides the Raft group. */
  readonly knownManagers: () => readonly ManagerAddress[];
  /** The group has a leader and this member has none: it may have been removed. */
  readonly onOutside: () => void;
  readonly onFatal: (error: unknown) => void;
  /** This node's manager takes part now, so that the node's agent finds one here. */
  readonly onStarted: () => void;
}

/** The manager of a node, while it is one: its member of the Raft group. */
export class ManagerPart {
  readonly #options: ManagerPartOptions;
  #manager: Manager | undefined;

  constructor(options: ManagerPartOptions) {
    this.#options = options;
  }

  /** Set once it has joined: a manager that is still joining answers nothing. */
  get manager(): Manager | undefined {
    return this.#manager;
  }

  /** Bootstraps a cluster with this node as its first manager. When it fails, nothing runs. */
  async found(
    state: LocalState,
    request: Parameters<Manager['found']>[0],
    keep: () => Promise<void>,
  ): Promise<void> {
    const manager = await this.#open(state, { kind: 'found' });
    try {
      await manager.found(request);
      await keep();
    } catch (error) {
      await manager.stop();
      throw error;
    }
    await this.#use(manager);
  }

  /**
   * Turns the Raft group, whose other members are lost, into a group of this one, and leads it. When it
   * fails the manager goes on as before.
   * @param state with the addresses to use from now on
   * @throws ApiError FAILED_PRECONDITION when the managers have a quorum
   */
  async force(state: LocalState): Promise<void> {
    const { clock, logger, files } = this.#options;
    const manager = this.#manager;
    if (manager === undefined)
      throw new ApiError(
        'FAILED_PRECONDITION',
        "this node's manager does not run (see 'docker info'): restore a backup on a node that is in no cluster",
      );
    const { checkForce, demoteOthers, forceGroup, untilLeads } = await import(
      '@swarm/manager/recovery'
    );
    await checkForce(manager, clock);
    const { commit, members } = manager.status();
    if (members.length > 1 || !isDeepStrictEqual(addressesOf(state), addressesOf(this.#state))) {
      await this.stop();
      await this.#restartWith(state, async () => {
        const self = this.#self(state);
        const { memberLog } = await import('./open-manager.js');
        const log = memberLog(self);
        const forced = await forceGroup(self, commit, { log, clock, logger });
        logger.warn({ ...forced }, 'this manager is a cluster of its own now');
      });
    }
    // The data path alone may have changed.
    await files.save(state);
    await untilLeads(this.#manager!, clock);
    await demoteOthers(this.#manager!.store, state.nodeId);
  }

  /**
   * Makes this node the only manager of the cluster in a backup. When it fails, nothing runs.
   * @param keep called once the cluster is complete
   */
  async restore(
    state: LocalState,
    backup: CheckedBackup,
    node: Omit<RestoredManager, 'self'>,
    keep: () => Promise<void>,
  ): Promise<void> {
    const { files, clock, logger } = this.#options;
    const { adoptState, installBackup, untilLeads } = await import('@swarm/manager/recovery');
    const self = this.#self(state);
    const { memberLog } = await import('./open-manager.js');
    await files.wipeMember();
    await installBackup(self, backup, { log: memberLog(self), clock, logger });
    const manager = await this.#open(state, { kind: 'restart' });
    try {
      await untilLeads(manager, clock);
      await adoptState(manager.store, { ...node, self });
      await keep();
    } catch (error) {
      await manager.stop();
      throw error;
    }
    await this.#use(manager);
  }

  /**
   * Takes part with the addresses in `state` from now on. When that fails, goes on with those of before.
   * @throws ApiError INVALID_ARGUMENT, FAILED_PRECONDITION for where it cannot listen
   */
  async move(state: LocalState): Promise<void> {
    const runs = this.#manager !== undefined;
    const stays = isDeepStrictEqual(addressesOf(state), addressesOf(this.#state));
    if (!runs || stays) return this.#options.files.save(state);
    await this.close();
    await this.#restartWith(state);
  }

  /**
   * Starts the member, which has stopped, with other addresses, or with those of before when that fails. A manager
   * that is left without its member could neither try again nor be forced.
   * @param prepare what comes before the start
   */
  async #restartWith(state: LocalState, prepare?: () => Promise<void>): Promise<void> {
    const { files, onFatal } = this.#options;
    const before = this.#state;
    try {
      await prepare?.();
      await files.save(state);
      await this.restart();
    } catch (error) {
      const goOn = async () => {
        if (this.#state !== before) await files.save(before);
        await this.restart();
      };
      await goOn().catch(onFatal);
      throw error;
    }
  }

  /** Takes part again after a restart. @throws the error of storage, state or port */
  async restart(): Promise<void> {
    await this.#use(await this.#open(this.#state, { kind: 'restart' }));
  }

  /**
   * Joins the Raft group. Continues an attempt whose outcome is unknown, under the same id and with its
   * log; when the group has removed that id meanwhile, takes another one.
   * @throws ApiError
   */
  async join(addresses: readonly string[], signal: AbortSignal): Promise<void> {
    const isResumed = this.#state.raftId !== undefined;
    try {
      await this.#join(addresses, signal);
    } catch (error) {
      const isUsedUp = error instanceof ApiError && error.code === ID_USED_UP;
      if (!isResumed || !isUsedUp || signal.aborted) throw error;
      await this.#join(addresses, signal);
    }
  }

  async #join(addresses: readonly string[], signal: AbortSignal): Promise<void> {
    const { files, logger, randomBytes } = this.#options;
    // Under the id of an attempt whose log is lost it must not vote again: that one may have made it a voter.
    if (this.#state.raftId === undefined || !(await files.hasMember())) {
      await files.wipeMember();
      await files.save({ ...this.#state, raftId: newRaftId(randomBytes), raftJoined: false });
    }
    const others = this.#others(addresses);
    const self = this.#self(this.#state);
    const { fetchMembers } = await import('@swarm/manager/assembly');
    const { managerCalls } = await import('./open-manager.js');
    const calls = managerCalls(self);
    const { seeds, from } = await firstOf(
      others,
      async (address) => ({ seeds: await fetchMembers(calls, address, signal), from: address }),
      signal,
    );
    const manager = await this.#open(this.#state, { kind: 'join', seeds });
    try {
      // First the one that has just answered: the join itself may take a minute, also with a host that is off.
      await manager.joinGroup([...new Set([from, ...others])], signal);
    } catch (error) {
      await manager.stop();
      if (!(error instanceof ApiError) || !UNDECIDED.includes(error.code))
        await files.forgetMember();
      throw error;
    }
    await files.save({ ...this.#state, raftJoined: true });
    await this.#use(manager);
    logger.info({}, 'this node is a manager now');
  }

  /**
   * Makes sure that this running member is in the group: if it was removed, it joins again.
   * @throws ApiError
   */
  async rejoin(addresses: readonly string[], signal: AbortSignal): Promise<void> {
    try {
      await this.#manager?.joinGroup(this.#others(addresses), signal);
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== ID_USED_UP) throw error;
      this.#options.logger.warn(
        { reason: error.message },
        'the group has removed this manager, it joins again',
      );
      await this.drop();
      await this.join(addresses, signal);
    }
  }

  /** Uses a renewed certificate from now on. */
  renewIdentity(): void {
    this.#manager?.renewIdentity();
  }

  /** Stops being a manager: the group has removed this member. */
  async drop(): Promise<void> {
    const { files, logger } = this.#options;
    const was = this.#manager !== undefined || files.state?.raftId !== undefined;
    await this.stop();
    if (!was) return;
    await files.forgetMember();
    logger.info({}, 'this node is a worker now');
  }

  /**
   * Asks the others to remove this manager from the group; leaves without an answer if it must.
   * @param addresses managers to ask when this node's member does not run
   */
  leaveGroup(addresses: readonly string[]): Promise<void> {
    return this.#leaveGroup(addresses, undefined);
  }

  /** As `leaveGroup`, and has the cluster forget the node: its join failed. */
  withdraw(addresses: readonly string[]): Promise<void> {
    return this.#leaveGroup(addresses, { withdraws: true });
  }

  async #leaveGroup(addresses: readonly string[], body: LeaveBody | undefined): Promise<void> {
    const { logger, files } = this.#options;
    const manager = this.#manager;
    try {
      if (manager !== undefined) {
        if (manager.members().length > 1) await manager.leaveGroup(LEAVE_GROUP_MS);
      } else if (addresses.length > 0) {
        const identity = files.identity!;
        const { askToLeave } = await import('@swarm/manager/assembly');
        const { managerCalls } = await import('./open-manager.js');
        const calls = managerCalls({ identity: () => identity, instance: this.#options.instance });
        await firstOf(addresses, (address) => askToLeave(calls, address, LEAVE_GROUP_MS, body));
      }
    } catch (error) {
      logger.warn(
        { error: (error as Error).message },
        'the other managers could not be told that this one leaves: demote it there, then remove it',
      );
    }
  }

  /** Hands leadership over, then stops. */
  async close(): Promise<void> {
    const manager = this.#manager;
    // Before requests are turned away here, the others have another leader to ask.
    const isHandedOver = await manager?.handOver();
    await this.#use(undefined);
    if (isHandedOver === true) await pause(this.#options.clock, HANDED_OVER_MS);
    await manager?.close();
  }

  /** Stops at once. */
  async stop(): Promise<void> {
    const manager = this.#manager;
    await this.#use(undefined);
    await manager?.stop();
  }

  get #state(): LocalState {
    return this.#options.files.state!;
  }

  #others(addresses: readonly string[]): readonly string[] {
    return addresses.filter((address) => address !== this.#state.advertiseAddress);
  }

  async #use(manager: Manager | undefined): Promise<void> {
    this.#manager = manager;
    const api = this.#options.api();
    if (manager === undefined) {
      api.serveManager(undefined);
      return;
    }
    const { ManagerApi } = await import('@swarm/manager/assembly');
    const { nodeId, clusterId } = this.#self(this.#state);
    api.serveManager(new ManagerApi({ ...api.shared, manager, self: { nodeId, clusterId } }));
    this.#options.onStarted();
  }

  async #open(state: LocalState, start: Start): Promise<Manager> {
    const { clock, logger, random, randomBytes, issuer, onFatal, api } = this.#options;
    const { knownManagers, onOutside } = this.#options;
    // Only managers load a manager's code.
    const { openManager } = await import('./open-manager.js');
    return openManager({
      ...{ self: this.#self(state), start, clock, logger, random, randomBytes, onFatal },
      ...{ knownManagers, onOutside },
      api: api().server,
      issuer: await issuer(),
    });
  }

  #self(state: LocalState): LocalManager {
    const { files } = this.#options;
    return {
      nodeId: state.nodeId,
      clusterId: state.clusterId,
      raftId: state.raftId!,
      instance: this.#options.instance,
      advertiseAddress: state.advertiseAddress,
      listen: state.listen,
      folder: files.raftFolder,
      identity: () => files.identity!,
    };
  }
}

function addressesOf({ advertiseAddress, listen }: LocalState) {
  return { advertiseAddress, listen };
}
