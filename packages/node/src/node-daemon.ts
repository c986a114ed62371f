import {
  ApiError,
  type InitRequest,
  type JoinRequest,
  type Logger,
  type ManagerAddress,
  type MeshTrace,
  type MeshTraceQuery,
  newId,
  type Node,
  type ReconnectRequest,
  SerialQueue,
} from '@swarm/api';
import type { ManagerAccess } from '@swarm/manager';
import type { LocalApi } from './api/local-api.js';
import type { LocalNodeInfo, NodeControl, RecoveryControl } from './api/node-control.js';
import { type Renewer, startRenewer } from '@swarm/identity';
import type { GivenAddresses } from './membership/address-origins.js';
import { hostOf } from './membership/addresses.js';
import { Breakage } from './membership/breakage.js';
import { CertificateRenewal } from './membership/certificate-renewal.js';
import { ClusterEntry } from './membership/cluster-entry.js';
import { KnownManagers } from './membership/known-managers.js';
import { LocalAddresses } from './membership/local-addresses.js';
import { isDamage } from './daemon/damage.js';
import { ManagerPart } from './manager-part.js';
import type { MemberHost } from './membership/member-host.js';
import { NodeFiles } from './files/node-files.js';
import { type NodeTasks, startNodeTasks, type TasksEnvironment } from './tasks/node-tasks.js';
import type { AttachableContainers } from '@swarm/worker';
import { RoleFollower } from './membership/role-follower.js';

/** How often an expired certificate is renewed because a manager refused it, besides the renewer's own tries. */
const LATE_RENEWAL_MS = 60_000;

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
    restore: (request) => this.#changes.run(() => this.#entry.restore(request)),
  };
  readonly #options: NodeDaemonOptions;
  readonly #files: NodeFiles;
  readonly #managerPart: ManagerPart;
  readonly #role: RoleFollower;
  readonly #known: KnownManagers;
  readonly #addresses: LocalAddresses;
  readonly #renewal: CertificateRenewal;
  readonly #breakage: Breakage;
  readonly #entry: ClusterEntry;
  #api: LocalApi | undefined;
  #tasks: NodeTasks | undefined;
  #renewer: Renewer | undefined;
  /** The cluster's, as the leader said it. */
  #featureLevel: number | undefined;
  #pending = false;
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
    this.#known = new KnownManagers({
      files: this.#files,
      managerPart: () => this.#managerPart,
      changes: this.#changes,
      logger,
    });
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
      onStarted: () =>
        this.#tasks?.move(this.#files.state!.dataPathAddress, this.#known.ownFirst()),
      knownManagers: () => this.#known.named,
      onOutside: () => this.#role.outside(),
    });
    this.#role = new RoleFollower({
      files: this.#files,
      managerPart: this.#managerPart,
      logger,
      addresses: () => this.#known.addresses(),
      signal: () => this.#interrupt.signal,
      renewSoon: () => {
        if (!this.#stopped && this.#breakage.reason === '') this.#renewer?.renewNow();
      },
    });
    this.#breakage = new Breakage({
      logger,
      dropMember: () => this.#changes.run(() => this.#managerPart.drop()),
      isOver: () => this.#stopped || this.#files.state === undefined,
      mended: (node) => this.#role.heard(node),
    });
    this.#renewal = new CertificateRenewal({
      files: this.#files,
      managerPart: this.#managerPart,
      role: this.#role,
      known: this.#known,
      host: options,
      logger,
    });
    this.#addresses = new LocalAddresses({
      ...{ clock, logger, files: this.#files, changes: this.#changes },
      networkInterfaces: options.networkInterfaces,
      given: options.addresses,
      managerPart: this.#managerPart,
      known: this.#known,
      tasks: () => this.#tasks,
      signal: () => this.#interrupt.signal,
      pending: (isPending) => {
        this.#pending = isPending;
      },
    });
    this.#entry = new ClusterEntry({
      host: options,
      files: this.#files,
      managerPart: this.#managerPart,
      known: this.#known,
      addresses: this.#addresses,
      role: this.#role,
      breakage: this.#breakage,
      node: {
        pending: (isPending) => {
          this.#pending = isPending;
        },
        begin: () => {
          this.#interrupt = new AbortController();
          return this.#interrupt.signal;
        },
        isStopped: () => this.#stopped,
        tasks: () => this.#tasks,
        startTasks: () => this.#startTasks(),
        stopTasks: () => this.#stopTasks(),
        forget: () => this.#forget(),
      },
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
    const problems = [this.#tasks?.problem() ?? '', this.#addresses.problem, this.#role.problem()];
    const error =
      this.#breakage.reason ||
      problems.filter((problem) => problem !== '').join('; ') ||
      this.#options.tasks.runtime.waiting;
    const broken = this.#breakage.reason !== '';
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
      remoteManagers: this.#known.all(),
      error,
      clusterId: state.clusterId,
      ...(this.#featureLevel === undefined ? {} : { featureLevel: this.#featureLevel }),
    };
  }

  manager(): ManagerAccess | undefined {
    return this.#pending ? undefined : this.#managerPart.manager;
  }

  attachable(): AttachableContainers | undefined {
    return this.#tasks?.attachable;
  }

  init(request: InitRequest): Promise<string> {
    return this.#changes.run(() => this.#entry.init(request));
  }

  async join(request: JoinRequest): Promise<void> {
    const tasks = await this.#changes.run(async () => {
      await this.#entry.join(request);
      return this.#tasks!;
    });
    // Outside the queue: a node that gets no answer from managers must still be able to leave.
    try {
      await tasks.connected();
    } finally {
      if (this.#tasks === tasks) this.#pending = false;
    }
    await tasks.serving();
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
  async traceMesh(query: MeshTraceQuery, local: ReadonlySet<string>): Promise<MeshTrace> {
    if (this.#tasks === undefined)
      throw new ApiError('NOT_IN_SWARM', 'This node is not part of a swarm, so it has no mesh.');
    return this.#tasks.trace(query, local);
  }

  reconnect(request: ReconnectRequest): Promise<void> {
    return this.#changes.run(() => this.#addresses.reconnect(request));
  }

  /** Stops what runs in this process; tasks keep running, and the mesh keeps forwarding. */
  async close(): Promise<void> {
    this.#stopped = true;
    this.#interrupt.abort();
    this.#addresses.stop();
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
      this.#breakage.set((error as Error).message);
      return;
    }
    this.#known.named = this.#files.state!.managers;
    await this.#addresses.find();
    await this.#restartManager();
    const isReissued = await this.#renewal.reissueExpired();
    await this.#startTasks();
    if (isReissued) this.#renewer?.renewNow();
    if (this.#files.role !== 'manager' || this.#managerPart.manager !== undefined) return;
    // The promotion continues in the background: tasks must run even if no manager can be reached now.
    if (this.#breakage.reason === '') this.#renewer?.renewNow();
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
      this.#breakage.damaged(error);
    }
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
      ...(this.engine !== undefined && { engineSocket: this.engine.socketPath }),
      nodeId: state.nodeId,
      instance: this.#instance,
      dataPathAddress: state.dataPathAddress,
      dataPathPort: state.dataPathPort,
      listenPort: () => (this.#files.state ?? state).listen.port,
      identity: () => this.#files.identity!,
      managers: this.#known.ownFirst(),
      formerManagers: state.formerManagers ?? [],
      onFormerManagers: (formerManagers) => this.#known.keepFormer(formerManagers),
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
    this.#addresses.watch();
    this.#renewer = startRenewer({
      clock,
      logger,
      random,
      certificate: this.#files.identity!.certificate,
      renew: () => this.#changes.run(() => this.#renewal.renew()),
      isUrgent: () => this.#role.isChanging(),
    });
  }

  /** Takes what managers send about this node, which may be another role. */
  #heard(node: Node, managers: readonly ManagerAddress[]): void {
    if (managers.length > 0) this.#known.named = managers;
    if (this.#breakage.heard(node)) this.#role.heard(node);
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
    if (this.#stopped || !this.#breakage.removed(reason)) return;
    this.#stopRenewer()
      .then(() => this.#changes.run(() => this.#stopTasks()))
      .catch((error: unknown) =>
        this.#options.logger.error({ err: error }, 'the tasks of a removed node were not stopped'),
      );
  }

  async #leave({ force }: { force: boolean }): Promise<void> {
    // What a copy asks in the node's name would happen to the daemon that it was copied from.
    if (force && this.#files.role === 'manager' && !this.#isCopy)
      await this.#managerPart.leaveGroup(this.#known.otherAddresses());
    await this.#forget();
    this.#options.logger.info({}, 'left the cluster');
  }

  /** Stops everything that this node does in its cluster, and forgets it. */
  async #forget(): Promise<void> {
    this.#addresses.stop();
    // Not awaited: a renewal that has begun waits in the queue for this, and then finds no node.
    void this.#renewer?.stop();
    this.#renewer = undefined;
    await this.#stopTasks();
    await this.#managerPart.stop();
    await this.#files.wipe();
    this.#known.named = [];
    this.#featureLevel = undefined;
    this.#role.heard(undefined);
    this.#breakage.forget();
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
}
