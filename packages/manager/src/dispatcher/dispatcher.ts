import {
  type AgentHello,
  type AgentMessage,
  type AgentStatus,
  compareStates,
  type ManagerAddress,
  MS,
  type Node,
  newId,
} from '@swarm/api';
import { isDeepStrictEqual } from 'node:util';
import { WITH_TYPED_ASSIGNMENTS } from '@swarm/api/wire';
import { mayUse } from '@swarm/identity';
import type { ControlLoop, LoopContext } from '../control-loop.js';
import { SetAside } from '../set-aside.js';
import { levelOf } from '../store/feature-levels.js';
import type { StoreChange, StoreEvent } from '../store/store.js';
import { AssignmentSender } from './assignment-sender.js';
import { AssignmentSet } from './assignment-set.js';
import { BatchWriter, WriterStopped } from './batch-writer.js';
import { DispatchCodec, MalformedMessage } from './codec.js';
import { Contests } from './contests.js';
import { DrainGate } from './drain-gate.js';
import * as limits from './limits.js';
import { leaderGraceMs, Liveness } from './liveness.js';
import type { LogChannel, LogListener } from './log-channel.js';
import { managerAddresses } from './managers.js';
import { MeshDelivery } from './mesh-delivery.js';
import { MeshPublisher } from './mesh-publisher.js';
import { mayStillServe } from './mesh-state.js';
import { NodeBudgets } from './node-budgets.js';
import { copyReason, NodeCopies } from './node-copies.js';
import { NodeNotes } from './node-notes.js';
import { NodePresence } from './node-presence.js';
import {
  type AgentView,
  concernsManagers,
  concernsNode,
  isElsewhere,
  stopsTask,
} from './node-states.js';
import type { NodeSocket } from './node-socket.js';
import { NodeWriter } from './node-writer.js';
import { ObjectWatchers } from './object-watchers.js';
import { OrphanTimers } from './orphan-timers.js';
import { refuseSession } from './refuse.js';
import { RegistrationLimit } from './registration-limit.js';
import { DispatcherSession, type SessionPeer } from './session.js';
import { SpecSizes } from './spec-sizes.js';
import { type StatusReporter, StatusWriter } from './status-writer.js';

export interface DispatcherOptions {
  /** Heartbeat period when the cluster's spec sets none; default 1 s. */
  readonly heartbeatMs?: number;
}

/** Runs on the leader: the other end of every agent's session. */
export interface Dispatcher extends ControlLoop, LogChannel {
  /**
   * Takes over a connection to `/dispatcher`. While the loop does not run, answers that this manager does not
   * lead. The server should have `maxPayload` DISPATCH_FRAME_LIMIT_BYTES.
   * @param peer admitted by `Authority`
   */
  accept(socket: NodeSocket, peer: SessionPeer): void;
  /** Notes why a node was refused a connection to `/dispatcher`, for its status. */
  refused(nodeId: string, why: string): void;
}

/** Makes the dispatcher. It may start again after a stop. */
export function createDispatcher(
  context: LoopContext,
  options: DispatcherOptions = {},
): Dispatcher {
  const listeners = new Set<LogListener>();
  const codec = new DispatchCodec();
  let run: DispatcherRun | undefined;
  return {
    name: 'dispatcher',
    start() {
      run ??= new DispatcherRun(context, options, codec, listeners);
    },
    async stop() {
      const stopping = run;
      run = undefined;
      await stopping?.stop();
    },
    accept(socket, peer) {
      if (run === undefined) refuseSession(socket, peer.protocol, managerAddresses(context.store));
      else run.accept(socket, peer);
    },
    refused: (nodeId, why) => run?.refused(nodeId, why),
    isConnected: (nodeId) => run?.session(nodeId) !== undefined,
    sendLog(nodeId, message) {
      const session = run?.session(nodeId);
      session?.send(message);
      return session !== undefined;
    },
    listen(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** One term as leader. Everything in here is made from the store when it begins. */
class DispatcherRun {
  readonly #context: LoopContext;
  readonly #options: DispatcherOptions;
  readonly #codec: DispatchCodec;
  readonly #listeners: ReadonlySet<LogListener>;

  readonly #connections = new Set<DispatcherSession>();
  readonly #sessions = new Map<string, DispatcherSession>();
  readonly #watchers = new ObjectWatchers();
  readonly #sizes = new SpecSizes();
  readonly #registrations = new RegistrationLimit();
  readonly #reporters = new Map<DispatcherSession, StatusReporter>();

  readonly #aside: SetAside;
  readonly #budgets: NodeBudgets;
  readonly #writer: BatchWriter;
  readonly #nodeWriter: NodeWriter;
  readonly #statusWriter: StatusWriter;
  readonly #liveness: Liveness;
  readonly #orphans: OrphanTimers;
  readonly #mesh: MeshPublisher;
  readonly #delivery: MeshDelivery;
  readonly #presence: NodePresence;
  readonly #gate: DrainGate;
  readonly #contests: Contests;
  readonly #copies: NodeCopies;
  readonly #notes: NodeNotes;
  readonly #unwatch: () => void;
  readonly #background = new Set<Promise<void>>();
  #managers: readonly ManagerAddress[];
  #stopped = false;

  constructor(
    context: LoopContext,
    options: DispatcherOptions,
    codec: DispatchCodec,
    listeners: ReadonlySet<LogListener>,
  ) {
    const { store, clock, logger } = context;
    this.#context = context;
    this.#options = options;
    this.#codec = codec;
    this.#listeners = listeners;
    this.#aside = new SetAside(logger);
    this.#writer = new BatchWriter(store, clock);
    this.#budgets = new NodeBudgets(clock);
    const writing = { view: store, writer: this.#writer, clock, budgets: this.#budgets };
    this.#presence = new NodePresence({
      view: store,
      logger,
      agent: (nodeId) => this.#agent(nodeId),
      changed: (nodeId) => this.#write(nodeId),
    });
    this.#contests = new Contests(clock);
    this.#copies = new NodeCopies({ clock, logger, changed: (nodeId) => this.#write(nodeId) });
    this.#notes = new NodeNotes(clock, (nodeId) => this.#write(nodeId));
    const observe = (node: Node) => this.#observe(node);
    this.#nodeWriter = new NodeWriter({ ...writing, observe });
    this.#statusWriter = new StatusWriter({ ...writing, logger, timeMs: () => store.timeMs() });
    this.#liveness = new Liveness(clock, (nodeId) => this.#expired(nodeId));
    this.#orphans = new OrphanTimers({
      view: store,
      writer: this.#writer,
      clock,
      timeMs: () => store.timeMs(),
      inBackground: (work) => this.#inBackground(work),
    });
    this.#mesh = new MeshPublisher(store, clock, this.#aside, () => this.#delivery.publish());
    this.#delivery = new MeshDelivery({
      codec,
      mesh: this.#mesh,
      sessions: this.#sessions,
      changed: () => this.#gate.changed(),
    });
    this.#gate = new DrainGate({
      clock,
      logger,
      behind: (generation) => this.#behind(generation),
      release: (taskIds) => this.#release(taskIds),
    });
    this.#managers = managerAddresses(store);
    this.#unwatch = store.watch((change) => this.#changed(change));
    this.#begin();
  }

  /** The first pass: continues what a former leader may have left half done. */
  #begin(): void {
    const { store } = this.#context;
    this.#mesh.start();
    const expected: string[] = [];
    for (const node of store.list('node')) {
      if (node.Status.State === 'down') this.#orphans.start(node.ID, Date.parse(node.UpdatedAt));
      else expected.push(node.ID);
      this.#presence.restore(node);
    }
    const graceMs = leaderGraceMs(expected.length, this.#heartbeatMs());
    for (const nodeId of expected) this.#liveness.watch(nodeId, graceMs);
    // Only the former leader knew which nodes still send traffic to a task that should stop.
    for (const task of store.list('task')) {
      const stops = compareStates(task.DesiredState, 'running') > 0;
      if (stops && mayStillServe(task)) this.#gate.hold(task.ID, this.#mesh.generation);
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unwatch();
    this.#liveness.stop();
    this.#gate.stop();
    this.#mesh.stop();
    this.#orphans.stop();
    this.#contests.stop();
    this.#copies.stop();
    this.#notes.stop();
    for (const session of this.#connections) {
      session.assignments?.close();
      session.end('this manager does not lead any more');
    }
    this.#nodeWriter.stop();
    await Promise.all([this.#statusWriter.stop(), this.#writer.stop()]);
    await Promise.allSettled(this.#background);
  }

  /** The session of a welcomed node. */
  session(nodeId: string): DispatcherSession | undefined {
    const session = this.#sessions.get(nodeId);
    return session?.assignments === undefined ? undefined : session;
  }

  refused(nodeId: string, why: string): void {
    if (this.#context.store.get('node', nodeId) !== undefined) this.#notes.set(nodeId, why);
  }

  accept(socket: NodeSocket, peer: SessionPeer): void {
    const { clock, logger, randomBytes } = this.#context;
    const session = new DispatcherSession({
      id: newId(randomBytes),
      peer,
      socket,
      codec: this.#codec,
      clock,
      logger,
      handler: {
        message: (from, message) => this.#receive(from, message),
        // Its heartbeats wait unread in the socket.
        resumed: (from) => this.#heard(from),
        answered: (from) => this.#contests.answered(from),
        closed: (from, clean) => this.#closed(from, clean),
      },
      received: this.#budgets.of(peer.nodeId).received,
    });
    this.#connections.add(session);
    if (this.#connections.size > limits.CONNECTIONS_LIMIT) {
      session.end('too many sessions on this manager');
      return;
    }
    // Counts connections, not hellos: what precedes a hello costs the leader as much.
    if (this.#registrations.exceeded(peer.nodeId, clock.monotonicMs())) {
      session.end('exceeded rate limit count of registrations');
      return;
    }
    session.helloTimer = clock.setTimeout(
      () => session.end('no hello in time'),
      limits.HELLO_TIMEOUT_MS,
    );
  }

  #heartbeatMs(): number {
    const period = this.#context.store.cluster()?.Spec.Dispatcher.HeartbeatPeriod;
    const wanted =
      period === undefined || period === 0
        ? (this.#options.heartbeatMs ?? limits.HEARTBEAT_DEFAULT_MS)
        : period / MS;
    return Math.min(Math.max(wanted, limits.HEARTBEAT_MIN_MS), limits.HEARTBEAT_MAX_MS);
  }

  // --- Messages of agents

  #receive(session: DispatcherSession, message: AgentMessage): void {
    if (this.#stopped) return;
    if (!mayUse(session.peer.kind, `message ${message.type}`)) {
      throw new MalformedMessage(`a ${session.peer.kind} does not send ${message.type}`);
    }
    if (message.type === 'hello') {
      if (session.hello !== undefined) throw new MalformedMessage('a second hello');
      this.#register(session, message);
      return;
    }
    if (session.hello === undefined) throw new MalformedMessage('the first message is not a hello');
    if (this.#contests.isWaiting(session)) {
      throw new MalformedMessage(`a ${message.type} before the welcome`);
    }
    this.#heard(session);
    switch (message.type) {
      case 'heartbeat':
        session.send({ type: 'heartbeat-ack', heartbeatMs: this.#heartbeatMs() });
        break;
      case 'status':
        this.#status(session, message);
        break;
      case 'mesh-ack':
        this.#delivery.acknowledge(session, message.generation);
        break;
      case 'assignments-ack':
        if (session.assignments !== undefined) {
          session.assignments.acknowledged(message.resultsIn);
        } else if (message.resultsIn > 0) {
          throw new MalformedMessage('acknowledges assignments that were not sent');
        }
        break;
      case 'description':
        if (isDeepStrictEqual(session.hello.description, message.description)) break;
        session.hello = { ...session.hello, description: message.description };
        if (this.#sessions.get(session.nodeId) === session) this.#presence.claim(session.nodeId);
        this.#write(session.nodeId);
        break;
      default:
        for (const listener of this.#listeners) listener.message(session.nodeId, message);
    }
  }

  #heard(session: DispatcherSession): void {
    if (this.#sessions.get(session.nodeId) !== session) return;
    this.#liveness.watch(session.nodeId, limits.HEARTBEATS_MISSED * this.#heartbeatMs());
  }

  #register(session: DispatcherSession, hello: AgentHello): void {
    this.#context.clock.clearTimeout(session.helloTimer);
    session.hello = hello;
    if (!this.#isKnown(session)) return;
    const awaited = this.#copies.rivalOf(session.nodeId, hello.instance ?? '');
    if (awaited !== undefined) {
      this.#refuseCopy(session, hello, awaited);
      return;
    }
    const rival = this.#rivalOf(session, hello);
    if (rival === undefined) this.#enter(session, hello);
    else this.#contest(session, hello, rival);
  }

  /** Ends the session of a node that the store does not have, with the reason. */
  #isKnown(session: DispatcherSession): boolean {
    const { store } = this.#context;
    const { nodeId } = session;
    if (store.get('node', nodeId) === undefined) {
      const aside = store.setAside('node', nodeId);
      if (aside !== undefined) {
        session.end(
          `the stored node object cannot be read (${aside.reason}): remove the node with --force, then join again`,
        );
        return false;
      }
      session.end(
        'this node is not in the cluster any more: run `docker swarm leave --force` on it, then join again',
        true,
      );
      return false;
    }
    return true;
  }

  /**
   * The other daemon that may live as this node: one with a session, or `expected` when it lost its session a
   * moment ago. Undefined when only one can, as far as this leader knows: programs that name no instance, a node
   * that is down, or a new run at the node's own address.
   */
  #rivalOf(
    session: DispatcherSession,
    { instance }: AgentHello,
  ): DispatcherSession | 'expected' | undefined {
    const { nodeId, peer } = session;
    if (instance === undefined) return undefined;
    const previous = this.#sessions.get(nodeId);
    if (previous !== undefined) {
      const known = previous.hello?.instance;
      return known === undefined || known === instance || previous.ended ? undefined : previous;
    }
    const { Status } = this.#context.store.get('node', nodeId)!;
    if (!this.#liveness.isWatched(nodeId)) return undefined;
    if (Status.Instance === undefined || Status.Instance === instance) return undefined;
    return isElsewhere(Status.Addr, peer.remoteAddress) ? 'expected' : undefined;
  }

  #contest(
    session: DispatcherSession,
    hello: AgentHello,
    rival: DispatcherSession | 'expected',
  ): void {
    const { nodeId } = session;
    const isExpected = rival === 'expected';
    const limitMs = isExpected ? limits.RIVAL_RETURN_MS : limits.RIVAL_ANSWER_MS;
    // One of the two will have the node; it must not count as down while they wait.
    this.#liveness.extend(nodeId, limitMs + limits.HEARTBEATS_MISSED * this.#heartbeatMs());
    const decide = (isRivalAlive: boolean): void => {
      if (this.#stopped || session.ended || !this.#isKnown(session)) return;
      if (!isRivalAlive) {
        this.#enter(session, hello);
        return;
      }
      const known = this.#sessions.get(nodeId)?.peer.remoteAddress ?? '';
      this.#refuseCopy(session, hello, known);
    };
    // A socket that rests after a flood would not hear the answer.
    if (!isExpected && rival.paused) decide(true);
    else this.#contests.begin(session, isExpected ? undefined : rival, limitMs, decide);
  }

  #refuseCopy(session: DispatcherSession, { instance = '' }: AgentHello, known: string): void {
    const { nodeId, peer } = session;
    session.endCopy(copyReason(nodeId, known));
    const address = peer.remoteAddress;
    this.#copies.refused(nodeId, { instance, address, knownAddress: known });
  }

  /** Gives the node to this session. */
  #enter(session: DispatcherSession, hello: AgentHello): void {
    const { logger } = this.#context;
    const { nodeId } = session;
    const previous = this.#sessions.get(nodeId);
    this.#sessions.set(nodeId, session);
    previous?.end('replaced by a newer session of the node');
    if (previous?.assignments !== undefined) this.#tellDisconnected(nodeId);
    this.#presence.arrived(nodeId);
    this.#orphans.cancel(nodeId);
    this.#heard(session);
    this.#delivery.register(session, hello.meshGeneration);
    logger.debug({ nodeId, session: session.id }, 'session registered');
    this.#copies.connected(nodeId, true);
    this.#notes.forget(nodeId);
    this.#contests.returned(nodeId);
    this.#inBackground(this.#welcome(session));
  }

  async #welcome(session: DispatcherSession): Promise<void> {
    const { store } = this.#context;
    const { nodeId } = session;
    try {
      await this.#nodeWriter.update(nodeId);
    } catch (error) {
      if (!(error instanceof WriterStopped)) session.end('the node could not be stored');
      throw error;
    }
    const node = store.get('node', nodeId);
    if (this.#stopped || node === undefined || session.ended) return;
    if (this.#sessions.get(nodeId) !== session) return;
    session.send({
      type: 'welcome',
      sessionId: session.id,
      heartbeatMs: this.#heartbeatMs(),
      node,
      managers: this.#managers,
      featureLevel: levelOf(store.cluster()),
    });
    session.assignments = this.#assignmentsOf(session);
    // Comes first: a node that was cut off still sends traffic by a mesh that is out of date, and to tasks that
    // the assignments stop.
    this.#delivery.begin(session);
    session.assignments.flush();
    for (const listener of this.#listeners) listener.connected(nodeId);
  }

  #status(session: DispatcherSession, message: AgentStatus): void {
    let reporter = this.#reporters.get(session);
    if (reporter === undefined) {
      reporter = {
        nodeId: session.nodeId,
        stored: (sequence) => session.send({ type: 'status-ack', sequence }),
        lost: (reason) => session.end(reason),
      };
      this.#reporters.set(session, reporter);
    }
    this.#statusWriter.submit(reporter, message);
  }

  #closed(session: DispatcherSession, clean: boolean): void {
    this.#connections.delete(session);
    const { clock } = this.#context;
    clock.clearTimeout(session.helloTimer);
    session.assignments?.close();
    this.#contests.closed(session);
    const reporter = this.#reporters.get(session);
    if (reporter !== undefined) this.#statusWriter.forget(reporter);
    this.#reporters.delete(session);

    const { nodeId } = session;
    if (this.#stopped || this.#sessions.get(nodeId) !== session) return;
    this.#sessions.delete(nodeId);
    this.#copies.connected(nodeId, false);
    if (session.assignments !== undefined) this.#tellDisconnected(nodeId);
    this.#presence.disconnected(nodeId);
    // An agent that just vanished stays what it is until its heartbeats are missed: it may be back soon.
    if (clean) {
      this.#presence.saidGoodbye(nodeId);
      this.#liveness.watch(nodeId, limits.HEARTBEATS_MISSED * this.#heartbeatMs());
      this.#write(nodeId);
    }
    this.#gate.changed();
  }

  #tellDisconnected(nodeId: string): void {
    for (const listener of this.#listeners) listener.disconnected(nodeId);
  }

  // --- State of nodes

  /** The node as this leader sees it now. */
  #observe(node: Node): Node {
    return this.#notes.observe(this.#copies.observe(this.#presence.observe(node)));
  }

  #agent(nodeId: string): AgentView | undefined {
    const session = this.#sessions.get(nodeId);
    if (session?.hello === undefined) return undefined;
    const { remoteAddress, protocol } = session.peer;
    return { hello: session.hello, remoteAddress, protocol };
  }

  #expired(nodeId: string): void {
    const session = this.#sessions.get(nodeId);
    if (session?.paused === true) {
      this.#heard(session);
      return;
    }
    this.#context.logger.warn({ nodeId }, 'heartbeat failure, the node is down');
    this.#sessions.delete(nodeId);
    this.#copies.connected(nodeId, false);
    this.#presence.down(nodeId);
    session?.end('heartbeat failure');
    if (session?.assignments !== undefined) this.#tellDisconnected(nodeId);
    this.#inBackground(this.#nodeWriter.update(nodeId, true));
    this.#orphans.start(nodeId, this.#context.clock.now());
    this.#gate.changed();
  }

  #write(nodeId: string): void {
    this.#inBackground(this.#nodeWriter.update(nodeId));
  }

  #inBackground(work: Promise<void>): void {
    const watched = work
      .catch((error) => {
        if (error instanceof WriterStopped) return;
        this.#context.logger.error({ err: error }, 'a write of the dispatcher failed');
      })
      .finally(() => this.#background.delete(watched));
    this.#background.add(watched);
  }

  // --- Changes of the store

  #changed(change: StoreChange): void {
    if (change.reset) {
      // A leader applies no snapshot. If it ever does, every agent starts again from the new state.
      this.#mesh.start();
      this.#managers = managerAddresses(this.#context.store);
      for (const session of this.#sessions.values()) session.end('the state was replaced');
      return;
    }
    this.#aside.events(change.events, (event) => {
      // Comes first: traffic follows the store even if the rest fails.
      this.#mesh.note(event, change.index);
      if (event.kind === 'task') this.#taskChanged(event, change.index);
      else if (event.kind === 'node') this.#nodeChanged(event);
      else {
        this.#watchers.changed(event.kind, event.object.ID);
        if (event.kind === 'cluster' && raisesLevel(event)) this.#levelRaised();
      }
    });
  }

  #taskChanged(event: StoreEvent & { kind: 'task' }, index: number): void {
    const task = event.object;
    if (stopsTask(event)) {
      if (this.#mesh.isEndpoint(task)) this.#gate.hold(task.ID, index);
      else {
        const departure = this.#mesh.departure(task.ID);
        if (departure !== undefined) this.#gate.hold(task.ID, departure);
      }
    }
    const session = task.NodeID === undefined ? undefined : this.session(task.NodeID);
    if (session === undefined) return;
    session.assignments!.touchTask(task.ID);
  }

  #nodeChanged(event: StoreEvent & { kind: 'node' }): void {
    const { object: node } = event;
    const session = this.#sessions.get(node.ID);
    if (event.action === 'remove') {
      this.#sessions.delete(node.ID);
      this.#presence.forget(node.ID);
      this.#liveness.forget(node.ID);
      this.#registrations.forget(node.ID);
      this.#budgets.forget(node.ID);
      this.#orphans.cancel(node.ID);
      this.#copies.forget(node.ID);
      this.#notes.forget(node.ID);
      const isRemoved = this.#context.store.setAside('node', node.ID) === undefined;
      session?.end('this node was removed from the cluster', isRemoved);
      if (session?.assignments !== undefined) this.#tellDisconnected(node.ID);
      this.#gate.changed();
    }
    if (concernsManagers(event)) {
      this.#managers = managerAddresses(this.#context.store);
      for (const each of this.#sessions.keys()) this.#sendNode(each);
    } else if (event.action === 'update' && concernsNode(event.previous, node)) {
      this.#sendNode(node.ID);
    }
    if (event.action === 'update' && session?.hello !== undefined) {
      // The allocator may have given the node its place after it said where its tunnel ends.
      if (!isDeepStrictEqual(this.#observe(node), node)) this.#write(node.ID);
    }
  }

  /** Sends and writes all nodes again: the store keeps more of them from this level on. */
  #levelRaised(): void {
    for (const nodeId of this.#sessions.keys()) {
      this.#sendNode(nodeId);
      this.#write(nodeId);
    }
  }

  #sendNode(nodeId: string): void {
    const node = this.#context.store.get('node', nodeId);
    if (node === undefined) return;
    const featureLevel = levelOf(this.#context.store.cluster());
    this.session(nodeId)?.send({ type: 'node', node, managers: this.#managers, featureLevel });
  }

  // --- Assignments

  #assignmentsOf(session: DispatcherSession): AssignmentSender {
    const { store, clock } = this.#context;
    const set = new AssignmentSet({
      nodeId: session.nodeId,
      view: store,
      isHeld: (taskId) => this.#gate.isHeld(taskId),
      sizes: this.#sizes,
      needed: (key, isNeeded) => {
        if (isNeeded) this.#watchers.add(key, sender);
        else this.#watchers.delete(key, sender);
      },
    });
    const sender: AssignmentSender = new AssignmentSender({
      set,
      clock,
      send: (message) => session.send(message),
      ended: () => session.ended,
      fail: (reason) => session.end(reason),
      acknowledges: session.peer.protocol >= WITH_TYPED_ASSIGNMENTS,
    });
    return sender;
  }

  #release(taskIds: readonly string[]): void {
    const sessions = new Set<DispatcherSession>();
    for (const taskId of taskIds) {
      const nodeId = this.#context.store.get('task', taskId)?.NodeID;
      // A task that was removed from the store is pending in the session that knows it.
      const concerned = nodeId === undefined ? this.#sessions.keys() : [nodeId];
      for (const each of concerned) {
        const session = this.session(each);
        if (session !== undefined) sessions.add(session);
      }
    }
    for (const session of sessions) session.assignments?.flush();
  }

  // --- Mesh

  /** Living nodes that may still route by a generation before this one. */
  #behind(generation: number): string[] {
    const behind = this.#delivery.behind(generation);
    // A node that lost its session a moment ago, or did not come back to this leader yet, routes on. One
    // that said goodbye, or never came, does not: nobody there would acknowledge.
    for (const nodeId of this.#liveness.watched()) {
      if (this.#sessions.has(nodeId) || this.#presence.isAway(nodeId)) continue;
      if (this.#context.store.get('node', nodeId)?.Status.State === 'ready') behind.push(nodeId);
    }
    return behind;
  }
}

function raisesLevel(event: StoreEvent & { kind: 'cluster' }): boolean {
  return event.action === 'update' && levelOf(event.previous) !== levelOf(event.object);
}
