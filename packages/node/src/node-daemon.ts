import { isDeepStrictEqual } from 'node:util';
import {
  ApiError,
  type InitRequest,
  type JoinRequest,
  type Logger,
  type ManagerAddress,
  newId,
  type Node,
  ourCommands,
  type ReconnectRequest,
  SerialQueue,
} from '@swarm/api';
import type { ManagerAccess } from '@swarm/manager';
import type { LocalApi } from './api/local-api.js';
import type {
  LocalNodeInfo,
  NodeControl,
  RecoveryControl,
  RestoreRequest,
} from './api/node-control.js';
import { certificateTime, isValidAt, type Renewer, startRenewer } from '@swarm/identity';
import { AddressKeeper, hostAddresses } from './membership/address-keeper.js';
import { type GivenAddresses, withAddresses } from './membership/address-origins.js';
import { checkManager } from './membership/check-manager.js';
import { DEFAULT_LISTEN, hostOf, withPort } from './membership/addresses.js';
import { isDamage } from './daemon/damage.js';
import { ManagerPart } from './manager-part.js';
import type { MemberHost } from './membership/member-host.js';
import { newFounder, newJoiner, type NewMember } from './membership/new-member.js';
import type { LocalState } from './files/local-state.js';
import { NodeFiles } from './files/node-files.js';
import type { FormerManager } from './tasks/manager-pins.js';
import { type NodeTasks, startNodeTasks, type TasksEnvironment } from './tasks/node-tasks.js';
import { forcedState, receiveBackup } from './membership/recovered-state.js';
import { ownIdentity } from './membership/first-certificate.js';
import { RoleFollower, shouldBeManager } from './membership/role-follower.js';

/** How often an expired certificate is renewed because a manager refused it, besides the renewer's own tries. */
const LATE_RENEWAL_MS = 60_000;

/** A manager issues its own certificate when it has less time left than this and the group has no leader. */
const REISSUE_BEFORE_MS = 2 * 60 * 60_000;
/** Codes of a renewal that nobody has decided on. */
const NO_ANSWER: readonly string[] = ['TIMEOUT', 'NO_QUORUM'];

export interface NodeDaemonOptions extends MemberHost {
  readonly dataRoot: string;
  readonly logger: Logger;
  readonly random: () => number;
  readonly tasks: TasksEnvironment;
  /** Addresses from the command line, for now and, where they are not empty, from now on. */
  readonly addresses?: GivenAddresses;
  readonly engine?: { readonly socketPath: string };
  /** An error after which the process must end. */
  readonly onFatal: (error: unknown) => void;
}

/**
 * One node: its place in a cluster, as its files say, and its parts while it is in one: always an agent
 * with runtime and mesh, and a manager while its certificate makes it one.
 */
export class NodeDaemon implements NodeControl {
  readonly engine?: { readonly socketPath: string };
  readonly recovery: RecoveryControl = {
    restore: (request) => this.#changes.run(() => this.#restore(request)),
  };
  readonly #options: NodeDaemonOptions;
  readonly #files: NodeFiles;
  readonly #managerPart: ManagerPart;
  readonly #role: RoleFollower;
  readonly #keeper: AddressKeeper;
  #api: LocalApi | undefined;
  #tasks: NodeTasks | undefined;
  #renewer: Renewer | undefined;
  #managers: readonly ManagerAddress[] = [];
  /** The cluster's, as the leader said it. */
  #featureLevel: number | undefined;
  #pending = false;
  /** Why the node cannot take part until it leaves; empty while it can. */
  #broken = '';
  /** Whether it cannot because log or state of its Raft member are unusable. */
  #isDamaged = false;
  /** Whether the cluster has removed this node. */
  #isRemoved = false;
  /** Names this run of the daemon. */
  readonly #instance: string;
  /** Whether another daemon runs as this node, as the managers last said. */
  #isCopy = false;
  #renewedLateAtMs = Number.NEGATIVE_INFINITY;
  /** Changes of membership and role run one after the other. */
  readonly #changes = new SerialQueue();
  /** Aborted when the node leaves or the process ends: waits for managers end then. */
  #interrupt = new AbortController();
  #stopped = false;

  constructor(options: NodeDaemonOptions) {
    this.#options = options;
    if (options.engine !== undefined) this.engine = options.engine;
    this.#files = new NodeFiles(options.dataRoot);
    this.#instance = newId(options.randomBytes);
    const { clock, logger, random, randomBytes, issuer, onFatal } = options;
    this.#managerPart = new ManagerPart({
      files: this.#files,
      instance: this.#instance,
      clock,
      logger,
      random,
      randomBytes,
      issuer,
      onFatal,
      api: () => this.#api!,
      onStarted: () => this.#tasks?.move(this.#files.state!.dataPathAddress, this.#ownFirst()),
      knownManagers: () => this.#managers,
      onOutside: () => this.#role.outside(),
    });
    this.#role = new RoleFollower({
      files: this.#files,
      managerPart: this.#managerPart,
      logger,
      addresses: () => this.#addresses(),
      signal: () => this.#interrupt.signal,
      renewSoon: () => {
        if (!this.#stopped && this.#broken === '') this.#renewer?.renewNow();
      },
    });
    this.#keeper = new AddressKeeper({
      ...{ clock, logger, files: this.#files, changes: this.#changes },
      host: hostAddresses(options),
      others: () => this.#otherAddresses(),
      moved: (state) => this.#move(state),
    });
  }

  /** The API server that also answers on the managers' port. */
  attach(api: LocalApi): void {
    this.#api = api;
  }

  /**
   * Carries on where an earlier process stopped; requests meanwhile wait for it. With unusable files the
   * node stays up, reports why, and can leave.
   * @throws what may succeed the next time: a port that is taken, a disk that is full
   */
  start(): Promise<void> {
    this.#pending = true;
    return this.#changes.run(async () => {
      try {
        await this.#start();
      } finally {
        this.#pending = false;
      }
    });
  }

  info(): LocalNodeInfo {
    const { state } = this.#files;
    const problems = [this.#tasks?.problem() ?? '', this.#keeper.problem, this.#role.problem()];
    const error =
      this.#broken ||
      problems.filter((problem) => problem !== '').join('; ') ||
      this.#options.tasks.runtime.waiting;
    const broken = this.#broken !== '';
    if (state === undefined) {
      return {
        state: this.#pending ? 'pending' : broken ? 'error' : 'inactive',
        nodeId: '',
        nodeAddr: '',
        controlAvailable: false,
        remoteManagers: [],
        error,
      };
    }
    return {
      state: this.#pending ? 'pending' : broken ? 'error' : 'active',
      nodeId: state.nodeId,
      nodeAddr: hostOf(state.advertiseAddress),
      controlAvailable: this.manager() !== undefined,
      becomesManager: this.#role.isBecomingManager(),
      remoteManagers: this.#knownManagers(),
      error,
      clusterId: state.clusterId,
      ...(this.#featureLevel === undefined ? {} : { featureLevel: this.#featureLevel }),
    };
  }

  manager(): ManagerAccess | undefined {
    return this.#pending ? undefined : this.#managerPart.manager;
  }

  init(request: InitRequest): Promise<string> {
    return this.#changes.run(() => this.#init(request));
  }

  async join(request: JoinRequest): Promise<void> {
    const tasks = await this.#changes.run(() => this.#join(request));
    // Outside the queue: a node that gets no answer from managers must still be able to leave.
    try {
      await tasks.connected();
    } finally {
      if (this.#tasks === tasks) this.#pending = false;
    }
  }

  async leave(options: { readonly force: boolean }): Promise<void> {
    this.#interrupt.abort();
    await this.#stopRenewer();
    await this.#changes.run(() => this.#leave(options));
  }

  /**
   * Takes other addresses, and looks for managers at these, while the node runs on.
   * @throws ApiError NOT_IN_SWARM, INVALID_ARGUMENT, TIMEOUT
   */
  reconnect(request: ReconnectRequest): Promise<void> {
    return this.#changes.run(() => this.#reconnect(request));
  }

  /** Stops what runs in this process; tasks keep running, and the mesh keeps forwarding. */
  async close(): Promise<void> {
    this.#stopped = true;
    this.#interrupt.abort();
    this.#keeper.stop();
    await this.#stopRenewer();
    await this.#changes.idle();
    await this.#tasks?.close();
    await this.#managerPart.close();
  }

  async #start(): Promise<void> {
    const { logger } = this.#options;
    try {
      if (!(await this.#files.load())) {
        logger.info(
          {},
          "this node is in no cluster: 'swarm init' makes one, 'swarm join' joins one",
        );
        return;
      }
    } catch (error) {
      this.#break((error as Error).message);
      return;
    }
    this.#managers = this.#files.state!.managers;
    await this.#findAddresses();
    await this.#restartManager();
    const isReissued = await this.#reissueExpired();
    await this.#startTasks();
    if (isReissued) this.#renewer?.renewNow();
    if (this.#files.role !== 'manager' || this.#managerPart.manager !== undefined) return;
    // The promotion continues in the background: tasks must run even if no manager can be reached now.
    if (this.#broken === '') this.#renewer?.renewNow();
  }

  /** A request to enter a cluster, with the addresses from the daemon's command line where it has none. */
  #with<T extends GivenAddresses>(request: T): T {
    const { addresses } = this.#options;
    if (addresses === undefined) return request;
    const isDefault = request.listenAddr === '' || request.listenAddr === DEFAULT_LISTEN;
    return {
      ...request,
      listenAddr: (isDefault && addresses.listenAddr) || request.listenAddr,
      advertiseAddr: request.advertiseAddr || addresses.advertiseAddr,
      dataPathAddr: request.dataPathAddr || addresses.dataPathAddr,
    };
  }

  /** Takes the addresses from the command line, and those that the host has now. */
  async #findAddresses(): Promise<void> {
    const { addresses, networkInterfaces, logger } = this.#options;
    const before = this.#files.state!;
    if (addresses !== undefined)
      await this.#files.save(withAddresses(before, addresses, networkInterfaces()));
    const state = await this.#keeper.look(true);
    if (state !== undefined) await this.#files.save(state);
    const { advertiseAddress, dataPathAddress } = this.#files.state!;
    if (advertiseAddress !== before.advertiseAddress || dataPathAddress !== before.dataPathAddress)
      logger.warn({ advertiseAddress, dataPathAddress }, 'this node has other addresses now');
  }

  /** Goes on with other addresses. */
  async #move(state: LocalState): Promise<void> {
    const { advertiseAddress, dataPathAddress } = state;
    const { logger } = this.#options;
    this.#pending = this.#managerPart.manager !== undefined;
    try {
      await this.#managerPart.move(state);
    } finally {
      this.#pending = false;
    }
    this.#tasks?.move(dataPathAddress, this.#ownFirst());
    logger.warn({ advertiseAddress, dataPathAddress }, 'this node has other addresses now');
  }

  async #reconnect({ remoteAddrs, ...given }: ReconnectRequest): Promise<void> {
    const state = this.#files.state;
    if (state === undefined)
      throw new ApiError('NOT_IN_SWARM', "this node is in no cluster: run 'swarm join' on it");
    const remotes = remoteAddrs.map(withPort);
    const next = withAddresses(state, given, this.#options.networkInterfaces());
    if (!isDeepStrictEqual(next, state)) await this.#move(next);
    await this.#keeper.look();
    const { manager } = this.#managerPart;
    const found: ManagerAddress[] = [];
    let problem: unknown;
    for (const address of remotes) {
      try {
        if (manager === undefined)
          await checkManager(address, this.#files.identity!, this.#interrupt.signal);
        else await manager.meet(address);
        // Whatever node is there: the cluster's root vouches for it.
        found.push({ nodeId: '', address });
      } catch (error) {
        problem ??= error;
      }
    }
    if (found.length === 0 && problem !== undefined) throw problem;
    // The agent of a manager too: it has no other way to a leader until this member hears of one.
    this.#tasks?.move(next.dataPathAddress, found);
    if (manager === undefined) this.#managers = [...found, ...this.#managers];
  }

  /** Restarts the Raft member, before the tasks, because the agent may connect to it. */
  async #restartManager(): Promise<void> {
    if (this.#files.state!.raftJoined !== true) return;
    // The process ended after it had got a worker's certificate and before it dropped the manager.
    if (this.#files.role === 'worker') return this.#managerPart.drop();
    try {
      await this.#managerPart.restart();
    } catch (error) {
      if (!isDamage(error)) throw error;
      this.#isDamaged = true;
      this.#break(
        `${error.message} Demote the node, and it goes on as a worker; or, on this node: ` +
          "'docker swarm leave --force', then join again. Its tasks run until then.",
      );
    }
  }

  async #init(request: InitRequest): Promise<string> {
    const { dataRoot, logger, hostname, randomBytes } = this.#options;
    if (request.forceNewCluster) return this.#forceNewCluster(request);
    this.#checkFree();
    const { state, identity, root } = await newFounder(this.#with(request), this.#options);
    const { nodeId, clusterId, dataPathPort } = state;
    const { spec, availability } = request;
    const first = { root, spec, availability, hostname: hostname(), dataPathPort, randomBytes };
    await this.#enter({ state, identity }, (keep) => this.#managerPart.found(state, first, keep));
    logger.info({ nodeId, clusterId, dataRoot }, 'made a new cluster');
    return nodeId;
  }

  /** Lets a manager that has lost the others for good go on alone; its tasks keep running. */
  async #forceNewCluster(request: InitRequest): Promise<string> {
    const state = this.#files.state;
    if (state === undefined || state.raftJoined !== true)
      throw new ApiError(
        'NOT_IN_SWARM',
        "this node is not a manager of a cluster: run it on a manager that is left, or 'swarm restore' a backup",
      );
    const forced = forcedState(state, request, this.#options);
    this.#pending = true;
    try {
      await this.#managerPart.force(forced);
    } finally {
      this.#pending = false;
    }
    this.#managers = forced.managers;
    this.#tasks?.move(forced.dataPathAddress, forced.managers);
    return state.nodeId;
  }

  async #restore(request: RestoreRequest): Promise<string> {
    this.#checkFree();
    const { dataRoot, logger } = this.#options;
    const restored = await receiveBackup(this.#with(request), this.#options, dataRoot);
    const { state, backup, node } = restored;
    try {
      await this.#enter(restored, (keep) => this.#managerPart.restore(state, backup, node, keep));
    } finally {
      await restored.discard();
    }
    const { clusterId, index } = backup.header;
    logger.warn({ nodeId: state.nodeId, clusterId, index }, 'restored the cluster from a backup');
    return state.nodeId;
  }

  /**
   * Makes this node the only manager of its cluster. When it fails, the node is in none.
   * @param lead starts the manager; calls `keep` once the cluster is whole, as a restart then finds it
   */
  async #enter(
    { state, identity }: NewMember,
    lead: (keep: () => Promise<void>) => Promise<void>,
  ): Promise<void> {
    this.#pending = true;
    try {
      await this.#files.wipe();
      await this.#files.saveIdentity(identity);
      await lead(() => this.#files.save(state));
      this.#managers = state.managers;
      await this.#startTasks();
    } catch (error) {
      await this.#forget();
      throw error;
    } finally {
      this.#pending = false;
    }
  }

  async #join(request: JoinRequest): Promise<NodeTasks> {
    this.#checkFree();
    const { logger } = this.#options;
    this.#interrupt = new AbortController();
    const { signal } = this.#interrupt;
    const { state, identity } = await newJoiner(this.#with(request), this.#options, signal);
    this.#pending = true;
    try {
      await this.#files.wipe();
      await this.#files.saveIdentity(identity);
      await this.#files.save(state);
      this.#managers = state.managers;
      await this.#startTasks();
      const { role } = this.#files;
      if (role === 'manager') await this.#role.joinGroup();
      logger.info({ nodeId: state.nodeId, role }, 'joined the cluster');
    } catch (error) {
      this.#pending = false;
      // A process that is ending continues the join after its next start.
      if (!this.#stopped) await this.#undoJoin(error as Error);
      throw error;
    }
    return this.#tasks!;
  }

  /** Undoes a failed join: the node is in no cluster then, and may join again at once. */
  async #undoJoin(cause: Error): Promise<void> {
    this.#options.logger.error({ error: cause.message }, 'the node could not join');
    // First, or the agent would take its own withdrawal for a removal by somebody.
    await this.#stopTasks();
    if (this.#files.role === 'manager') await this.#managerPart.withdraw(this.#addresses());
    await this.#forget();
  }

  async #startTasks(): Promise<void> {
    if (this.#tasks !== undefined) return;
    const { clock, logger, random } = this.#options;
    const state = this.#files.state!;
    this.#tasks = await startNodeTasks({
      ...this.#options.tasks,
      clock,
      logger,
      random,
      folder: this.#files.workerFolder,
      nodeId: state.nodeId,
      instance: this.#instance,
      dataPathAddress: state.dataPathAddress,
      dataPathPort: state.dataPathPort,
      listenPort: () => (this.#files.state ?? state).listen.port,
      identity: () => this.#files.identity!,
      managers: this.#ownFirst(),
      formerManagers: state.formerManagers ?? [],
      onFormerManagers: (formerManagers) => this.#keepFormer(formerManagers),
      onNode: (node, managers, featureLevel) => {
        this.#featureLevel = featureLevel;
        this.#heard(node, managers);
      },
      onFailed: this.#options.onFatal,
      onExpired: () => this.#expired(),
      onCopied: (isCopy) => {
        this.#isCopy = isCopy;
      },
      onRemoved: (reason) => this.#removed(reason),
    });
    this.#keeper.watch();
    this.#renewer = startRenewer({
      clock,
      logger,
      random,
      certificate: this.#files.identity!.certificate,
      renew: () => this.#changes.run(() => this.#renew()),
      isUrgent: () => this.#role.isChanging(),
    });
  }

  /** Keeps which managers are former ones: their certificates are valid for some time yet. */
  #keepFormer(formerManagers: readonly FormerManager[]): void {
    const save = async () => {
      const { state } = this.#files;
      const managers = this.#knownManagers();
      if (state !== undefined) await this.#files.save({ ...state, managers, formerManagers });
    };
    this.#changes
      .run(save)
      .catch((error: unknown) =>
        this.#options.logger.warn({ err: error }, 'the list of former managers could not be saved'),
      );
  }

  /** Takes what managers send about this node, which may be another role. */
  #heard(node: Node, managers: readonly ManagerAddress[]): void {
    if (managers.length > 0) this.#managers = managers;
    if (this.#isDamaged && !shouldBeManager(node)) this.#retire(node);
    else this.#role.heard(node);
  }

  /** Drops a Raft member whose log is unusable once the group goes on without it: the node is a worker now. */
  #retire(node: Node): void {
    this.#isDamaged = false;
    this.#changes
      .run(() => this.#managerPart.drop())
      .then(() => {
        if (this.#stopped || this.#isRemoved || this.#files.state === undefined) return;
        this.#broken = '';
        this.#role.heard(node);
      })
      .catch((error: unknown) => {
        this.#isDamaged = true;
        this.#options.logger.warn({ err: error }, 'the damaged Raft member could not be dropped');
      });
  }

  /** A manager refused the certificate because its time is over: asks for a new one, not too often. */
  #expired(): void {
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs - this.#renewedLateAtMs < LATE_RENEWAL_MS) return;
    this.#renewedLateAtMs = nowMs;
    this.#renewer?.renewNow();
  }

  /** The cluster removed this node: its tasks end, and it waits to leave. */
  #removed(reason: string): void {
    if (this.#stopped || this.#isRemoved) return;
    this.#isRemoved = true;
    // A refused handshake names the way out already, the end of a session does not.
    const hasAdvice = reason.includes('swarm leave --force');
    this.#break(
      hasAdvice ? reason : `${reason}; on this node: 'docker swarm leave --force', then join again`,
    );
    this.#stopRenewer()
      .then(() => this.#changes.run(() => this.#stopTasks()))
      .catch((error: unknown) =>
        this.#options.logger.error({ err: error }, 'the tasks of a removed node were not stopped'),
      );
  }

  #break(reason: string): void {
    this.#broken = reason;
    this.#options.logger.error(
      { reason: ourCommands(reason) },
      'this node cannot take part in the cluster',
    );
  }

  /**
   * Issues this manager's own certificate again if it is outside of its time, or will be.
   * @param withinMs how soon
   * @returns whether it did
   */
  async #reissueExpired(withinMs = 0): Promise<boolean> {
    const { identity, state, role } = this.#files;
    const { manager } = this.#managerPart;
    if (identity === undefined || state === undefined || manager === undefined) return false;
    const { clock, logger } = this.#options;
    const time = certificateTime(identity.certificate);
    const isValid = isValidAt(time, clock.now()) && isValidAt(time, clock.now() + withinMs);
    if (role !== 'manager' || isValid) return false;
    const cluster = manager.store.cluster();
    const node = manager.store.get('node', state.nodeId);
    // One that the cluster has made a worker, or removed, asks the others as every node does.
    if (cluster === undefined || node === undefined || !shouldBeManager(node)) return false;
    await this.#files.saveIdentity(await ownIdentity(this.#options, cluster, state.nodeId));
    this.#managerPart.renewIdentity();
    logger.warn(
      {
        validFrom: new Date(time.issuedAtMs).toISOString(),
        validTo: new Date(time.expiresAtMs).toISOString(),
        now: new Date(clock.now()).toISOString(),
      },
      'this manager has issued itself a certificate, because its own was not valid by its clock',
    );
    return true;
  }

  async #renew(): Promise<string> {
    await this.#reissueExpired();
    const certificate = await this.#role.renew().catch(async (error: unknown) => {
      const isUnanswered = error instanceof ApiError && NO_ANSWER.includes(error.code);
      if (!isUnanswered || !(await this.#reissueExpired(REISSUE_BEFORE_MS))) throw error;
      return this.#files.identity!.certificate;
    });
    await this.#files.save({ ...this.#files.state!, managers: this.#knownManagers() });
    return certificate;
  }

  async #leave({ force }: { force: boolean }): Promise<void> {
    // What a copy asks in the node's name would happen to the daemon that it was copied from.
    if (force && this.#files.role === 'manager' && !this.#isCopy)
      await this.#managerPart.leaveGroup(this.#otherAddresses());
    await this.#forget();
    this.#options.logger.info({}, 'left the cluster');
  }

  /** Stops everything that this node does in its cluster, and forgets it. */
  async #forget(): Promise<void> {
    this.#keeper.stop();
    // Not awaited: a renewal that has begun waits in the queue for this, and then finds no node.
    void this.#renewer?.stop();
    this.#renewer = undefined;
    await this.#stopTasks();
    await this.#managerPart.stop();
    await this.#files.wipe();
    this.#managers = [];
    this.#featureLevel = undefined;
    this.#role.heard(undefined);
    this.#broken = '';
    this.#isDamaged = false;
    this.#isRemoved = false;
    this.#isCopy = false;
    this.#pending = false;
    this.#interrupt = new AbortController();
  }

  async #stopTasks(): Promise<void> {
    const tasks = this.#tasks;
    this.#tasks = undefined;
    await tasks?.leave();
  }

  /** Outside the queue: this waits for a renewal, which waits in the queue. */
  async #stopRenewer(): Promise<void> {
    const renewer = this.#renewer;
    this.#renewer = undefined;
    await renewer?.stop();
  }

  #knownManagers(): readonly ManagerAddress[] {
    const members = this.#managerPart.manager?.members() ?? [];
    if (members.length > 0) return members.map(({ nodeId, address }) => ({ nodeId, address }));
    return this.#managers;
  }

  /** All known managers. A manager knows better than its cluster where it is itself. */
  #ownFirst(): readonly ManagerAddress[] {
    const { nodeId, advertiseAddress } = this.#files.state!;
    const known = this.#knownManagers().filter((manager) => manager.nodeId !== nodeId);
    if (this.#managerPart.manager === undefined) return known;
    return [{ nodeId, address: advertiseAddress }, ...known];
  }

  /**
   * Managers to ask: the members that this node's own member knows, then those that the leader named last, as
   * that member may be out of the group, and itself last, as it can only pass the question on.
   */
  #addresses(): string[] {
    const own = this.#files.state?.advertiseAddress;
    const all = [...this.#knownManagers(), ...this.#managers].map(({ address }) => address);
    const others = new Set(all.filter((address) => address !== own));
    return [...others, ...(own !== undefined && all.includes(own) ? [own] : [])];
  }

  #otherAddresses(): string[] {
    const { nodeId, advertiseAddress: own } = this.#files.state ?? {};
    return this.#knownManagers()
      .filter((manager) => manager.nodeId !== nodeId && manager.address !== own)
      .map(({ address }) => address);
  }

  #checkFree(): void {
    if (this.#broken !== '' && this.#files.state === undefined)
      throw new ApiError(
        'FAILED_PRECONDITION',
        `${this.#broken}: run 'docker swarm leave --force' first`,
      );
    if (this.#files.state === undefined) return;
    throw new ApiError(
      'ALREADY_IN_SWARM',
      'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join another one.',
    );
  }
}
