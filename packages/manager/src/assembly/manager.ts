import { ApiError, type LogOptions, pause } from '@swarm/api';
import type { LeadershipState, Metric, RaftNode } from '@swarm/raft';
import { type HttpCall, within } from '@swarm/http';
import type { Caller, Proof, Trust } from '@swarm/identity';
import { attachmentRoutes } from '../attachments/attachment-routes.js';
import { NodeAttachments } from '../attachments/node-attachments.js';
import { TaskConnections } from '../attachments/task-connections.js';
import { AddressBook, createAllocator } from '../allocator/index.js';
import type {
  ForwardOptions,
  LogRecord,
  LogSelector,
  ManagerAccess,
  ManagerMember,
  Quorum,
} from '../api/manager-access.js';
import { EventFeed } from '../api/event-feed.js';
import { FORWARDED_HEADER } from '../api/gate.js';
import { createFeatureLevel } from '../feature-level/index.js';
import { createCaServer } from '../ca/ca-server.js';
import { Authority, type Stranger, Strangers } from '../authority/index.js';
import type { LoopContext } from '../control-loop.js';
import { guardedClock } from '../guarded-clock.js';
import { createDispatcher, type Dispatcher } from '../dispatcher/dispatcher.js';
import { managerAddresses } from '../dispatcher/managers.js';
import type { NodeSocket } from '../dispatcher/node-socket.js';
import { refuseSession } from '../dispatcher/refuse.js';
import { createLogBroker, type LogBroker } from '../logbroker/log-broker.js';
import type { LogRequest } from '../logbroker/log-item.js';
import { LEADER_LOGS_PATH, leaderLogs } from '../logbroker/log-wire.js';
import { resumedLogs } from '../logbroker/resumed-logs.js';
import { createOrchestrators } from '../orchestrator/index.js';
import type { RaftAccess } from '../recovery/raft-access.js';
import { createRoleManager, type Membership, RoleNotes } from '../role-manager/index.js';
import { createScheduler } from '../scheduler/index.js';
import { SetAside } from '../set-aside.js';
import { ReplicatedStore } from '../store/replicated-store.js';
import type { Store } from '../store/store.js';
import { type FoundingRequest, foundCluster } from './bootstrap.js';
import type { LeaderAddress, LeaderLink } from './leader-link.js';
import { LeaderLoops } from './leader-loops.js';
import { PEER_HEADER, writePeer } from './forwarded.js';
import { selfInfo } from './local-manager.js';
import type { ManagerOptions } from './manager-options.js';
import { MemberInstances } from './member-instances.js';
import { NodeAddresses } from './node-addresses.js';
import type { Admitted, NodePort } from './node-port.js';
import { NodeRoutes } from './node-routes.js';
import { openRaft } from './open-raft.js';
import { OwnAddress } from './own-address.js';
import { OutsideWatch } from './outside-watch.js';
import { RaftGroup } from './raft-group.js';
import { StandingConnections } from './standing.js';

/** Longest that a node waits while this manager, which does not know it, catches up. */
const CATCH_UP_LIMIT_MS = 2000;
/** Longest wait for the first election: a single member leads as soon as its vote is on disk. */
const FIRST_ELECTION_LIMIT_MS = 10_000;
const FIRST_ELECTION_POLL_MS = 5;

/** A manager: its Raft member, the port for nodes, and the control loops while it leads. */
export class Manager implements ManagerAccess {
  readonly store: Store;
  readonly events: EventFeed;
  readonly connections: TaskConnections;
  readonly #options: ManagerOptions;
  readonly #raft: RaftNode;
  readonly #group: RaftGroup;
  readonly #port: NodePort;
  readonly #loops: LeaderLoops;
  readonly #dispatcher: Dispatcher;
  readonly #logBroker: LogBroker;
  readonly #link: LeaderLink;
  readonly #authority: Authority;
  readonly #strangers: Strangers;
  readonly #ownAddress: OwnAddress;
  readonly #outside: OutsideWatch;
  readonly #endings: (() => void)[] = [];
  readonly #roleNotes = new RoleNotes();
  readonly #attachments: NodeAttachments;
  #isLeader = false;

  /**
   * Opens the log, listens, and takes part in the group. Closes the state when that fails.
   * @throws the error of log or port
   */
  static async open(options: ManagerOptions): Promise<Manager> {
    const { logger, state } = options;
    let manager: Manager | undefined;
    // The log is applied from here on.
    const events = new EventFeed(new SetAside(logger), state.memory);
    try {
      const raft = await openRaft(options);
      manager = new Manager(options, raft, events);
      await manager.#port.listen();
      manager.#ownAddress.check();
      return manager;
    } catch (error) {
      if (manager === undefined) {
        events.close();
        await state.close();
      } else await manager.stop();
      throw error;
    }
  }

  private constructor(options: ManagerOptions, raft: RaftNode, events: EventFeed) {
    this.#options = options;
    this.#raft = raft;
    this.events = events;
    this.#endings.push(() => events.close());
    const { clock, logger, randomBytes, self, calls, state } = options;
    this.store = new ReplicatedStore({
      state: state.memory,
      propose: (data) => raft.propose(data),
      clock,
    });
    const context: LoopContext = {
      store: this.store,
      clock: guardedClock(clock, logger),
      logger,
      randomBytes,
    };
    this.#group = new RaftGroup({
      ...{ self, raft, calls, clock, logger },
      link: () => this.#link,
      isLeader: () => this.#isLeader,
      knownManagers: () => options.knownManagers?.() ?? [],
    });
    this.#link = options.link(() => this.leader());
    this.#dispatcher = createDispatcher(context);
    this.#logBroker = createLogBroker(context, this.#dispatcher);
    const membership: Membership = {
      members: () => this.#group.members(),
      watch: (changed) => raft.onMembers(changed),
      remove: (raftId) => raft.removeMember(raftId),
      isSelf: (raftId) => raftId === self.raftId && this.#isLeader,
      transferAway: () => raft.transferLeadership(),
    };
    const roles = createRoleManager(context, membership, this.#roleNotes);
    const addressBook = new AddressBook(context);
    this.connections = new TaskConnections(this.store, addressBook);
    this.#attachments = new NodeAttachments({
      ...{ store: this.store, addresses: addressBook, clock, randomBytes },
    });
    this.#loops = new LeaderLoops(
      [
        addressBook,
        createAllocator(context, addressBook),
        createScheduler(context, addressBook),
        ...createOrchestrators(context),
        this.#dispatcher,
        this.#logBroker,
        roles,
        createFeatureLevel(context, {
          members: () => this.#group.members().map(({ nodeId }) => nodeId),
        }),
      ],
      logger,
    );
    this.#authority = new Authority({
      view: this.store,
      group: () => {
        const { members, leader } = raft.status();
        return { members: members.map(({ info }) => info.nodeId), leader: leader?.nodeId };
      },
      catchUp: () => this.#catchUp(),
    });
    this.#strangers = new Strangers(clock);
    this.#outside = new OutsideWatch({
      clock,
      calls,
      nodeId: self.nodeId,
      leaderlessMs: () => raft.leaderlessMs(),
      managers: () => this.#group.everyManager(),
      found: () => options.onOutside?.(),
    });
    this.#endings.push(() => this.#outside.close());
    const standing = new StandingConnections(this.#authority, clock, logger);
    this.#endings.push(this.store.watch((change) => standing.changed(change)));
    this.#ownAddress = new OwnAddress({
      self: selfInfo(self),
      isLeader: () => this.#isLeader,
      ...{ raft, calls, moved: options.moved, clock, logger },
    });
    this.#endings.push(() => this.#ownAddress.close());
    this.#endings.push(raft.onMembers(() => this.#ownAddress.check()));
    this.#endings.push(raft.onLeadership((state) => this.#follow(state)));
    // It may have become leader before we listened.
    this.#follow(raft.currentLeadership);
    const instances = new MemberInstances({
      members: () => raft.status().members.map(({ info }) => info),
      ...{ moved: options.moved, calls, clock, logger },
    });
    const routes = new NodeRoutes({
      self,
      instances,
      calls,
      moved: options.moved,
      raft,
      store: this.store,
      ca: createCaServer({ ...context, issuer: options.issuer }),
      link: this.#link,
      authority: this.#authority,
      trust: () => this.#trust(),
      clock,
      logger,
      roleNotes: this.#roleNotes,
      isLeader: () => this.#isLeader,
      attachments: attachmentRoutes(this.#attachments, clock),
    });
    const addresses = new NodeAddresses(this.store);
    this.#endings.push(() => addresses.close());
    this.#port = options.port({
      trust: () => this.#trust(),
      addresses,
      authority: this.#authority,
      standing,
      strangers: this.#strangers,
      instances,
      node: (method, path) => routes.find(method, path),
      dispatcher: (socket, peer) => this.#acceptAgent(socket, peer),
      expired: ({ subject, expiresAtMs }) =>
        this.#dispatcher.refused(
          subject.nodeId,
          `it is refused because its certificate, valid to ${new Date(expiresAtMs).toISOString()}, is not valid now`,
        ),
    });
  }

  /** Writes the first objects of a new cluster, once this member leads it. */
  async found(request: Omit<FoundingRequest, 'self'>): Promise<void> {
    const { clock } = this.#options;
    const until = clock.monotonicMs() + FIRST_ELECTION_LIMIT_MS;
    while (!this.#isLeader) {
      if (clock.monotonicMs() >= until)
        throw new ApiError(
          'TIMEOUT',
          'the first manager did not become leader of its own cluster; the log says why',
        );
      await pause(clock, FIRST_ELECTION_POLL_MS);
    }
    await foundCluster(this.store, { ...request, self: this.#options.self });
  }

  /** As `RaftGroup.join`. */
  joinGroup(managers: readonly string[], signal?: AbortSignal): Promise<void> {
    return this.#group.join(managers, signal);
  }

  /** Looks for another manager at an address, `host:port`. @throws ApiError when none answers there */
  meet(address: string): Promise<void> {
    return this.#ownAddress.meet(address);
  }

  isLeader(): boolean {
    return this.#isLeader;
  }

  leader(): LeaderAddress | undefined {
    return this.#group.leader();
  }

  async readBarrier(): Promise<void> {
    try {
      await this.#raft.readIndex();
    } catch (error) {
      throw new ApiError('NO_QUORUM', (error as Error).message, { cause: error });
    }
  }

  members(): readonly ManagerMember[] {
    return this.#group.shown();
  }

  otherLeader(): LeaderAddress | undefined {
    return this.#outside.leader();
  }

  timeProblem(): string | undefined {
    return this.#outside.timeProblem();
  }

  findLeader(): Promise<LeaderAddress | undefined> {
    return this.#outside.look();
  }

  roleNote(nodeId: string): string | undefined {
    return this.#roleNotes.of(nodeId);
  }

  logs(selector: LogSelector, options: LogOptions, signal: AbortSignal): AsyncIterable<LogRecord> {
    return resumedLogs({
      request: { selector, options },
      view: this.store,
      clock: this.#options.clock,
      signal,
      open: (request, ended) =>
        this.#isLeader ? this.ownLogs(request, ended) : this.#leaderLogs(request, ended),
    });
  }

  async *ownLogs(request: LogRequest, signal: AbortSignal): AsyncGenerator<LogRecord> {
    const stream = this.#logBroker.subscribe(request);
    const end = () => void stream.return?.();
    signal.addEventListener('abort', end, { once: true });
    try {
      yield { type: 'open' };
      for await (const item of stream) {
        if (signal.aborted) return;
        yield item;
      }
    } finally {
      signal.removeEventListener('abort', end);
      end();
    }
  }

  async *#leaderLogs(request: LogRequest, signal: AbortSignal): AsyncGenerator<LogRecord> {
    const body = await this.#link.post(LEADER_LOGS_PATH, request, signal);
    yield { type: 'open' };
    yield* leaderLogs(body, this.#options.clock);
  }

  leaderAnswers(): Promise<boolean> {
    return this.#isLeader ? Promise.resolve(true) : this.#link.answers();
  }

  async forward(
    {
      request,
      response,
      caller: { proof },
    }: Pick<HttpCall<Caller>, 'request' | 'response' | 'caller'>,
    body: Buffer,
    { headers: more, keepsBack }: ForwardOptions,
  ): Promise<string | undefined> {
    const leader = this.leader();
    const remoteAddress = request.socket.remoteAddress ?? '';
    const headers = {
      ...more,
      [FORWARDED_HEADER]: this.#options.self.nodeId,
      [PEER_HEADER]: writePeer({ remoteAddress, ...(proof === undefined ? {} : { proof }) }),
    };
    // A leader that hangs or is cut off does not close its connections.
    const replaced = new AbortController();
    const end = this.#raft.onLeadership(({ leader: next }) => {
      if (next !== undefined && next.nodeId !== leader?.nodeId)
        replaced.abort(new Error('another manager leads now'));
    });
    const way = { from: 'clients', keepsBack, signal: replaced.signal } as const;
    try {
      return await this.#link.forward(request, response, headers, body, way);
    } finally {
      end();
    }
  }

  mayStill(proof: Proof, right: string): boolean {
    return this.#authority.holds(proof, right);
  }

  quorum(): Quorum {
    return this.#group.quorum();
  }

  /** The raw Raft status, for observers. */
  status(): ReturnType<RaftNode['status']> {
    return this.#raft.status();
  }

  strangers(): readonly Stranger[] {
    return this.#strangers.list();
  }

  /** Metrics of the port for nodes, for observers. */
  portMetrics(): readonly Metric[] {
    return [...this.#port.metrics(), strangersMetric(this.#strangers.list().length)];
  }

  /** For observers and backups. */
  get raft(): RaftAccess {
    return this.#raft;
  }

  /** Uses a renewed certificate from now on. */
  renewIdentity(): void {
    this.#port.renew();
    this.#link.renew();
  }

  /** As `RaftGroup.leave`. */
  leaveGroup(timeoutMs: number): Promise<void> {
    return this.#group.leave(timeoutMs);
  }

  /** As `RaftGroup.handOver`. */
  handOver(): Promise<boolean> {
    return this.#group.handOver();
  }

  /** Stops in order: hands leadership over, stops the loops, closes port and log. */
  async close(): Promise<void> {
    await this.#end(() => this.#raft.close());
  }

  /** Stops at once, handing nothing over. */
  async stop(): Promise<void> {
    await this.#end(() => this.#raft.stop());
  }

  async #end(stopRaft: () => Promise<void>): Promise<void> {
    for (const end of this.#endings.splice(0)) end();
    await this.#loops.stop();
    await stopRaft();
    this.#link.close();
    await this.#port.close();
    await this.#options.state.close();
  }

  #follow({ isLeader, leader }: LeadershipState): void {
    if (isLeader === this.#isLeader) return;
    const { logger } = this.#options;
    logger.info(
      { leader: leader?.nodeId },
      isLeader ? 'this manager leads now' : 'this manager does not lead any more',
    );
    this.#isLeader = isLeader;
    this.#loops.set(isLeader);
    this.#ownAddress.check();
  }

  #trust(): Trust {
    const { self, clock } = this.#options;
    return {
      rootCertificate: self.identity().rootCertificate,
      clusterId: self.clusterId,
      nowMs: clock.now(),
    };
  }

  /** Resolves once this manager knows what the leader knew at the call. */
  #catchUp(): Promise<void> {
    const late = () =>
      new ApiError(
        'NO_QUORUM',
        'this manager does not know the node and reaches no leader: try again, or ask another manager',
      );
    return within(this.#options.clock, CATCH_UP_LIMIT_MS, this.readBarrier(), late);
  }

  #acceptAgent(socket: NodeSocket, peer: Admitted & { readonly protocol: number }): void {
    if (this.#isLeader) this.#dispatcher.accept(socket, peer);
    else refuseSession(socket, peer.protocol, managerAddresses(this.store), this.leader());
  }
}

function strangersMetric(value: number): Metric {
  return {
    kind: 'gauge',
    name: 'swarm_strangers',
    help: 'Nodes with a certificate of this cluster that it does not know and that asked for a session lately.',
    values: [{ value }],
  };
}
