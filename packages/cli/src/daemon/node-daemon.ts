import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { hostname, networkInterfaces } from 'node:os';
import { join } from 'node:path';
import {
  ApiError,
  type Clock,
  type InitRequest,
  type JoinRequest,
  type Logger,
  type ManagerAddress,
  newId,
  type Node,
} from '@swarm/api';
import {
  type ApiServer,
  createKeyRequest,
  createRootCA,
  fetchMembers,
  fetchRoot,
  issueCertificate,
  type LocalManager,
  type LocalNodeInfo,
  loadNodeIdentity,
  type ManagerAccess,
  newRaftId,
  nodeLifeMs,
  type NodeControl,
  type NodeIdentity,
  readRequest,
  type Renewer,
  requestCertificate,
  saveNodeIdentity,
  type Start,
  startRenewer,
  certificateSubject,
} from '@swarm/manager';
import type { Manager } from '@swarm/manager/assembly';
import {
  advertiseAddress,
  dataPathAddress,
  joinAddress,
  listenAddress,
  localAddressTowards,
} from './addresses.js';
import { type LocalState, LocalStateFile } from './local-state.js';
import { type NodeTasks, startNodeTasks, type TasksEnvironment } from './node-tasks.js';

const DEFAULT_DATA_PATH_PORT = 4789;
/** A manager that leaves waits so long to be let out of the Raft group. */
const LEAVE_GROUP_MS = 5_000;

export interface NodeDaemonOptions {
  readonly dataRoot: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  readonly tasks: TasksEnvironment;
  readonly engine?: { readonly socketPath: string };
  /** Something failed that the process must not survive. */
  readonly onFatal: (error: unknown) => void;
}

/**
 * One node: what it is in the cluster, from its files, and its parts while it is in one: always an agent
 * with runtime and mesh, and a manager while its certificate makes it one.
 */
export class NodeDaemon implements NodeControl {
  readonly engine?: { readonly socketPath: string };
  readonly #options: NodeDaemonOptions;
  readonly #stateFile: LocalStateFile;
  readonly #certificates: string;
  readonly #raftFolder: string;
  readonly #workerFolder: string;
  #api: ApiServer | undefined;
  #state: LocalState | undefined;
  #identity: NodeIdentity | undefined;
  #manager: Manager | undefined;
  #tasks: NodeTasks | undefined;
  #renewer: Renewer | undefined;
  #managers: readonly ManagerAddress[] = [];
  #pending = false;
  #error = '';
  /** Changes of what this node is happen one after the other. */
  #work: Promise<unknown> = Promise.resolve();
  #stopped = false;

  constructor(options: NodeDaemonOptions) {
    this.#options = options;
    if (options.engine !== undefined) this.engine = options.engine;
    this.#stateFile = new LocalStateFile(options.dataRoot);
    this.#certificates = join(options.dataRoot, 'certificates');
    this.#raftFolder = join(options.dataRoot, 'raft');
    this.#workerFolder = join(options.dataRoot, 'worker');
  }

  /** The API server that also answers on the managers' port. */
  attach(api: ApiServer): void {
    this.#api = api;
  }

  /** Carries on where an earlier process stopped. */
  async start(): Promise<void> {
    const state = await this.#stateFile.load();
    if (state === undefined) {
      this.#options.logger.info(
        {},
        "this node is in no cluster: 'swarm init' makes one, 'swarm join' joins one",
      );
      return;
    }
    const identity = await loadNodeIdentity(this.#certificates);
    if (identity === undefined)
      throw new Error(
        `the node's certificate is missing in ${this.#certificates}: run 'swarm leave --force', then join again`,
      );
    this.#state = state;
    this.#identity = identity;
    this.#managers = state.managers;
    this.#pending = true;
    try {
      await this.#serial(() => this.#run());
    } finally {
      this.#pending = false;
    }
  }

  info(): LocalNodeInfo {
    const state = this.#state;
    if (state === undefined) {
      return {
        state: this.#pending ? 'pending' : this.#error === '' ? 'inactive' : 'error',
        nodeId: '',
        nodeAddr: '',
        controlAvailable: false,
        remoteManagers: [],
        error: this.#error,
      };
    }
    return {
      state: this.#pending ? 'pending' : 'active',
      nodeId: state.nodeId,
      nodeAddr: state.advertiseAddress
        .slice(0, state.advertiseAddress.lastIndexOf(':'))
        .replace(/^\[|\]$/g, ''),
      controlAvailable: this.#manager !== undefined && !this.#pending,
      remoteManagers: this.#knownManagers(),
      error: this.#error,
      clusterId: state.clusterId,
    };
  }

  manager(): ManagerAccess | undefined {
    return this.#pending ? undefined : this.#manager;
  }

  init(request: InitRequest): Promise<string> {
    return this.#serial(() => this.#init(request));
  }

  join(request: JoinRequest): Promise<void> {
    return this.#serial(() => this.#join(request));
  }

  async leave(options: { readonly force: boolean }): Promise<void> {
    // Before the queue: a renewal waits in it, and would be waited for.
    const renewer = this.#renewer;
    this.#renewer = undefined;
    await renewer?.stop();
    await this.#serial(() => this.#leave(options));
  }

  /** Ends the process's part; tasks keep running, and the mesh keeps its traffic. */
  async close(): Promise<void> {
    this.#stopped = true;
    await this.#work.catch(() => undefined);
    await this.#renewer?.stop();
    await this.#tasks?.close();
    await this.#manager?.close();
  }

  async #init(request: InitRequest): Promise<string> {
    const { clock, dataRoot } = this.#options;
    if (request.forceNewCluster)
      throw new ApiError('UNIMPLEMENTED', '--force-new-cluster is not served yet');
    if (this.#state !== undefined) throw alreadyInSwarm();
    const interfaces = networkInterfaces();
    const listen = listenAddress(request.listenAddr, interfaces);
    const advertise = advertiseAddress(request.advertiseAddr, listen, interfaces);
    const clusterId = newId(randomBytes);
    const nodeId = newId(randomBytes);
    const root = await createRootCA({ clock, randomBytes });
    const subject = { nodeId, role: 'manager', clusterId } as const;
    const { key, csr } = await createKeyRequest(subject);
    const publicKey = await readRequest(csr);
    const issued = await issueCertificate(
      { clock, randomBytes },
      root,
      publicKey,
      subject,
      nodeLifeMs(request.spec),
    );
    const dataPathPort = request.dataPathPort || DEFAULT_DATA_PATH_PORT;
    const state: LocalState = {
      clusterId,
      nodeId,
      advertiseAddress: advertise,
      listen,
      dataPathAddress: dataPathAddress(request.dataPathAddr, advertise, interfaces),
      dataPathPort,
      raftId: newRaftId(randomBytes),
      raftJoined: true,
      managers: [{ nodeId, address: advertise }],
    };
    await this.#wipe();
    try {
      await this.#keepIdentity({
        rootCertificate: root.certificate,
        certificate: issued.certificate,
        key,
      });
      const manager = await this.#openManager(state, { kind: 'found' });
      await manager.found({
        root,
        spec: request.spec,
        availability: request.availability,
        hostname: hostname(),
        dataPathPort,
        randomBytes,
      });
      // From here on a restart finds a whole cluster.
      await this.#stateFile.save(state);
      this.#state = state;
      this.#managers = state.managers;
      this.#api?.refresh();
    } catch (error) {
      await this.#manager?.stop();
      this.#manager = undefined;
      await this.#wipe();
      throw error;
    }
    this.#options.logger.info({ nodeId, clusterId, dataRoot }, 'made a new cluster');
    await this.#startTasks(state);
    return nodeId;
  }

  async #join(request: JoinRequest): Promise<void> {
    if (this.#state !== undefined) throw alreadyInSwarm();
    const interfaces = networkInterfaces();
    const listen = listenAddress(request.listenAddr, interfaces);
    const remotes = request.remoteAddrs.map(withPort);
    if (remotes.length === 0)
      throw new ApiError('INVALID_ARGUMENT', 'at least 1 RemoteAddr is required to join');
    const { key, csr } = await createKeyRequest();
    const { identity, reply, remote } = await firstOf(remotes, async (address) => {
      const rootCertificate = await fetchRoot(address, request.joinToken);
      const body = {
        csr,
        token: request.joinToken,
        hostname: hostname(),
        availability: request.availability,
      };
      const granted = await requestCertificate(address, { rootCertificate }, body);
      return {
        identity: { rootCertificate, certificate: granted.certificate, key },
        reply: granted,
        remote: address,
      };
    });
    // With a choice of addresses, the one on the way to the manager is right.
    const given =
      request.advertiseAddr === '' ? await localAddressTowards(remote) : request.advertiseAddr;
    const advertise = advertiseAddress(given, listen, interfaces);
    await this.#wipe();
    await this.#keepIdentity(identity);
    const state: LocalState = {
      clusterId: certificateSubject(identity.certificate).clusterId,
      nodeId: reply.nodeId,
      advertiseAddress: advertise,
      listen,
      dataPathAddress: dataPathAddress(request.dataPathAddr, advertise, interfaces),
      dataPathPort: DEFAULT_DATA_PATH_PORT,
      managers: [{ nodeId: '', address: remote }],
      ...(reply.role === 'manager' ? { raftId: newRaftId(randomBytes), raftJoined: false } : {}),
    };
    await this.#stateFile.save(state);
    this.#state = state;
    this.#managers = state.managers;
    this.#options.logger.info({ nodeId: state.nodeId, role: reply.role }, 'joined the cluster');
    this.#pending = true;
    try {
      await this.#run();
      await this.#tasks?.connected();
    } finally {
      this.#pending = false;
    }
  }

  /** Starts what the node is by its certificate. */
  async #run(): Promise<void> {
    const state = this.#state!;
    const { role } = certificateSubject(this.#identity!.certificate);
    // The Raft member of a restart first: tasks connect to it.
    if (state.raftJoined === true) await this.#startManager();
    await this.#startTasks(state);
    if (role === 'manager') await this.#startManager();
  }

  async #startManager(): Promise<void> {
    if (this.#manager !== undefined) return;
    const { logger } = this.#options;
    let state = this.#state!;
    if (state.raftJoined === true) {
      this.#manager = await this.#openManager(state, { kind: 'restart' });
      this.#api?.refresh();
      return;
    }
    // A log of an attempt that did not end well is of no use: the id was perhaps removed.
    await rm(this.#raftFolder, { recursive: true, force: true });
    state = { ...state, raftId: state.raftId ?? newRaftId(randomBytes), raftJoined: false };
    await this.#save(state);
    const addresses = this.#managers
      .map(({ address }) => address)
      .filter((address) => address !== state.advertiseAddress);
    const self = this.#localManager(state);
    const seeds = await firstOf(addresses, (address) => fetchMembers(self, address));
    const manager = await this.#openManager(state, { kind: 'join', seeds });
    this.#manager = manager;
    try {
      await manager.joinGroup(addresses);
    } catch (error) {
      logger.error({ err: error }, 'this node could not become a manager');
      this.#manager = undefined;
      await manager.stop();
      // The group may know the id as a learner: it must not be used with an empty log.
      const { raftId: _used, ...rest } = state;
      await this.#save(rest);
      throw error;
    }
    await this.#save({ ...state, raftJoined: true });
    this.#api?.refresh();
    logger.info({}, 'this node is a manager now');
  }

  async #stopManager(): Promise<void> {
    const manager = this.#manager;
    if (manager === undefined) return;
    this.#manager = undefined;
    this.#api?.refresh();
    await manager.stop();
    await rm(this.#raftFolder, { recursive: true, force: true });
    const { raftId: _id, raftJoined: _joined, ...rest } = this.#state!;
    await this.#save(rest);
    this.#options.logger.info({}, 'this node is a worker now');
  }

  async #openManager(state: LocalState, start: Start): Promise<Manager> {
    const { clock, logger, random, onFatal } = this.#options;
    // Only managers load what managers need.
    const { Manager } = await import('@swarm/manager/assembly');
    const manager = await Manager.open({
      self: this.#localManager(state),
      start,
      clock,
      logger,
      random,
      randomBytes,
      api: this.#api!,
      onFatal,
    });
    this.#manager = manager;
    return manager;
  }

  #localManager(state: LocalState): LocalManager {
    return {
      nodeId: state.nodeId,
      clusterId: state.clusterId,
      raftId: state.raftId!,
      advertiseAddress: state.advertiseAddress,
      listen: state.listen,
      folder: this.#raftFolder,
      identity: () => this.#identity!,
    };
  }

  async #startTasks(state: LocalState): Promise<void> {
    const { clock, logger, random } = this.#options;
    this.#tasks ??= await startNodeTasks({
      ...this.#options.tasks,
      clock,
      logger,
      random,
      folder: this.#workerFolder,
      nodeId: state.nodeId,
      dataPathAddress: state.dataPathAddress,
      dataPathPort: state.dataPathPort,
      identity: () => this.#identity!,
      managers: this.#knownManagers(),
      onNode: (node, managers) => this.#heard(node, managers),
      onRemoved: (reason) => {
        this.#error = reason;
        logger.error({ reason }, 'the cluster does not know this node any more');
      },
    });
    this.#renewer ??= startRenewer({
      clock,
      logger,
      random,
      certificate: this.#identity!.certificate,
      renew: () => this.#serial(() => this.#renew()),
    });
  }

  /** What the managers say of this node: perhaps it shall have another role. */
  #heard(node: Node, managers: readonly ManagerAddress[]): void {
    if (managers.length > 0) this.#managers = managers;
    if (this.#stopped || this.#identity === undefined) return;
    const { role } = certificateSubject(this.#identity.certificate);
    // A manager stays one until the leader took it out of the Raft group.
    const wanted =
      node.Spec.Role === 'worker' && node.RaftID !== undefined ? 'manager' : node.Spec.Role;
    const managerMissing =
      role === 'manager' && wanted === 'manager' && this.#manager === undefined;
    if (role !== wanted || managerMissing) this.#renewer?.renewNow();
  }

  /** Gets a new certificate; with another role in it, the node becomes that. */
  async #renew(): Promise<string> {
    const state = this.#state;
    if (state === undefined || this.#identity === undefined)
      throw new Error('the node left the cluster');
    const before = this.#identity;
    const { key, csr } = await createKeyRequest(certificateSubject(before.certificate));
    const addresses = this.#knownManagers().map(({ address }) => address);
    const reply = await firstOf(addresses, (address) =>
      requestCertificate(address, before, { csr }),
    );
    await this.#keepIdentity({
      rootCertificate: before.rootCertificate,
      certificate: reply.certificate,
      key,
    });
    this.#manager?.renewIdentity();
    if (reply.role === 'manager') await this.#startManager();
    else await this.#stopManager();
    return reply.certificate;
  }

  async #leave({ force }: { force: boolean }): Promise<void> {
    const { logger } = this.#options;
    const manager = this.#manager;
    if (manager !== undefined && force) await this.#leaveGroup(manager);
    // Tasks are stopped and all of them is removed before the node forgets the cluster.
    await this.#tasks?.leave();
    this.#tasks = undefined;
    this.#manager = undefined;
    this.#api?.refresh();
    await manager?.stop();
    this.#state = undefined;
    this.#identity = undefined;
    this.#managers = [];
    this.#error = '';
    await this.#wipe();
    logger.info({}, 'left the cluster');
  }

  /** Asks the others to let this manager go; without them it just goes. */
  async #leaveGroup(manager: Manager): Promise<void> {
    const { logger } = this.#options;
    if (manager.members().length <= 1) return;
    try {
      await manager.leaveGroup(LEAVE_GROUP_MS);
    } catch (error) {
      logger.warn(
        { err: error },
        'the other managers could not be told that this one leaves: remove it with `swarm node rm --force`',
      );
    }
  }

  async #keepIdentity(identity: NodeIdentity): Promise<void> {
    await saveNodeIdentity(this.#certificates, identity);
    this.#identity = identity;
  }

  async #save(state: LocalState): Promise<void> {
    const known = { ...state, managers: this.#knownManagers() };
    await this.#stateFile.save(known);
    this.#state = known;
  }

  #knownManagers(): readonly ManagerAddress[] {
    const members = this.#manager?.members() ?? [];
    if (members.length > 0) return members.map(({ nodeId, address }) => ({ nodeId, address }));
    return this.#managers;
  }

  async #wipe(): Promise<void> {
    await this.#stateFile.remove();
    for (const folder of [this.#certificates, this.#raftFolder, this.#workerFolder]) {
      await rm(folder, { recursive: true, force: true });
    }
  }

  #serial<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#work.then(work);
    this.#work = result.catch(() => undefined);
    return result;
  }
}

function alreadyInSwarm(): ApiError {
  return new ApiError(
    'ALREADY_IN_SWARM',
    'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join another one.',
  );
}

function withPort(address: string): string {
  return /:\d+$/.test(address) && !/^[^[]*:[^[]*:/.test(address)
    ? address
    : joinAddress(address.replace(/^\[|\]$/g, ''), 2377);
}

/** The first success, trying one after the other; the error of the last when all fail. */
async function firstOf<T>(
  addresses: readonly string[],
  attempt: (address: string) => Promise<T>,
): Promise<T> {
  let last: unknown = new ApiError('INVALID_ARGUMENT', 'no manager to ask is known');
  for (const address of addresses) {
    try {
      return await attempt(address);
    } catch (error) {
      last = error;
      // Another manager would say the same.
      if (
        error instanceof ApiError &&
        ['INVALID_TOKEN', 'INVALID_ARGUMENT', 'PERMISSION_DENIED'].includes(error.code)
      )
        throw error;
    }
  }
  throw last;
}
