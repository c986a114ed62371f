import { ApiError, type InitRequest, type JoinRequest, type Logger } from '@swarm/api';
import type { RestoreRequest } from '../api/node-control.js';
import type { NodeFiles } from '../files/node-files.js';
import type { ManagerPart } from '../manager-part.js';
import type { NodeTasks } from '../tasks/node-tasks.js';
import type { Breakage } from './breakage.js';
import type { KnownManagers } from './known-managers.js';
import type { LocalAddresses } from './local-addresses.js';
import type { MemberHost } from './member-host.js';
import { newFounder, newJoiner, type NewMember } from './new-member.js';
import { forcedState, receiveBackup } from './recovered-state.js';
import type { RoleFollower } from './role-follower.js';

export interface ClusterEntryOptions {
  readonly host: MemberHost & { readonly dataRoot: string; readonly logger: Logger };
  readonly files: NodeFiles;
  readonly managerPart: ManagerPart;
  readonly known: KnownManagers;
  readonly addresses: LocalAddresses;
  readonly role: RoleFollower;
  readonly breakage: Breakage;
  readonly node: EnteringNode;
}

/** The node that enters. */
export interface EnteringNode {
  /** The node's requests wait, or no longer. */
  pending(isPending: boolean): void;
  /** Returns what is aborted when the node leaves or the process ends. */
  begin(): AbortSignal;
  isStopped(): boolean;
  tasks(): NodeTasks | undefined;
  startTasks(): Promise<void>;
  stopTasks(): Promise<void>;
  /** Stops everything, and forgets the cluster. */
  forget(): Promise<void>;
}

/** The ways into a cluster: a new one, a restored one, one of others, and one's own without the others. */
export class ClusterEntry {
  readonly #options: ClusterEntryOptions;

  constructor(options: ClusterEntryOptions) {
    this.#options = options;
  }

  /**
   * Makes a new cluster, or lets a manager that has lost the others go on alone. Returns the node's id.
   * @throws ApiError
   */
  async init(request: InitRequest): Promise<string> {
    const { host, addresses, managerPart } = this.#options;
    const { dataRoot, logger, hostname, randomBytes } = host;
    if (request.forceNewCluster) return this.#forceNewCluster(request);
    this.#checkFree();
    const { state, identity, root } = await newFounder(addresses.with(request), host);
    const { nodeId, clusterId, dataPathPort } = state;
    const { spec, availability, addressPools } = request;
    const about = { spec, availability, addressPools, hostname: hostname() };
    const first = { root, ...about, dataPathPort, randomBytes };
    await this.#enter({ state, identity }, (keep) => managerPart.found(state, first, keep));
    logger.info({ nodeId, clusterId, dataRoot }, 'made a new cluster');
    return nodeId;
  }

  /** Lets a manager that has lost the others for good go on alone; its tasks keep running. */
  async #forceNewCluster(request: InitRequest): Promise<string> {
    const { host, files, managerPart, known, node } = this.#options;
    const { state } = files;
    if (state === undefined || state.raftJoined !== true)
      throw new ApiError(
        'NOT_IN_SWARM',
        "this node is not a manager of a cluster: run it on a manager that is left, or 'swarm restore' a backup",
      );
    const forced = forcedState(state, request, host);
    node.pending(true);
    try {
      await managerPart.force(forced);
    } finally {
      node.pending(false);
    }
    known.named = forced.managers;
    node.tasks()?.move(forced.dataPathAddress, forced.managers);
    return state.nodeId;
  }

  /**
   * Makes this node the only manager of the cluster in a backup. Returns the node's id.
   * @throws ApiError
   */
  async restore(request: RestoreRequest): Promise<string> {
    this.#checkFree();
    const { host, addresses, managerPart } = this.#options;
    const { dataRoot, logger } = host;
    const restored = await receiveBackup(addresses.with(request), host, dataRoot);
    const { state, backup, node } = restored;
    try {
      await this.#enter(restored, (keep) => managerPart.restore(state, backup, node, keep));
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
    const { files, known, node } = this.#options;
    node.pending(true);
    try {
      await files.wipe();
      await files.saveIdentity(identity);
      await lead(() => files.save(state));
      known.named = state.managers;
      await node.startTasks();
    } catch (error) {
      await node.forget();
      throw error;
    } finally {
      node.pending(false);
    }
  }

  /** Joins a cluster; its tasks may not have a session yet. @throws ApiError */
  async join(request: JoinRequest): Promise<void> {
    this.#checkFree();
    const { host, addresses, files, known, role, node } = this.#options;
    const { logger } = host;
    const signal = node.begin();
    const { state, identity } = await newJoiner(addresses.with(request), host, signal);
    node.pending(true);
    try {
      await files.wipe();
      await files.saveIdentity(identity);
      await files.save(state);
      known.named = state.managers;
      await node.startTasks();
      const { role: certified } = files;
      if (certified === 'manager') await role.joinGroup();
      logger.info({ nodeId: state.nodeId, role: certified }, 'joined the cluster');
    } catch (error) {
      node.pending(false);
      // A process that is ending continues the join after its next start.
      if (!node.isStopped()) await this.#undoJoin(error as Error);
      throw error;
    }
  }

  /** Undoes a failed join: the node is in no cluster then, and may join again at once. */
  async #undoJoin(cause: Error): Promise<void> {
    const { host, files, managerPart, known, node } = this.#options;
    host.logger.error({ error: cause.message }, 'the node could not join');
    // First, or the agent would take its own withdrawal for a removal by somebody.
    await node.stopTasks();
    if (files.role === 'manager') await managerPart.withdraw(known.addresses());
    await node.forget();
  }

  #checkFree(): void {
    const { breakage, files } = this.#options;
    if (breakage.reason !== '' && files.state === undefined)
      throw new ApiError(
        'FAILED_PRECONDITION',
        `${breakage.reason}: run 'docker swarm leave --force' first`,
      );
    if (files.state === undefined) return;
    throw new ApiError(
      'ALREADY_IN_SWARM',
      'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join another one.',
    );
  }
}
