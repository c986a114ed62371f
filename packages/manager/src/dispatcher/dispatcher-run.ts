import {
  type AgentHello,
  type AgentMessage,
  type AgentStatus,
  type ManagerAddress,
  MS,
  type Node,
  newId,
} from '@swarm/api';
import { isDeepStrictEqual } from 'node:util';
import { mayUse } from '@swarm/identity';
import type { LoopContext } from '../control-loop.js';
import { SetAside } from '../set-aside.js';
import { levelOf } from '../store/feature-levels.js';
import type { StoreChange, StoreEvent } from '../store/store.js';
import { BatchWriter, WriterStopped } from './batch-writer.js';
import { type DispatchCodec, MalformedMessage } from './codec.js';
import * as limits from './limits.js';
import { leaderGraceMs, Liveness } from './liveness.js';
import type { LogListener } from './log-channel.js';
import { managerAddresses } from './managers.js';
import { MeshDelivery } from './mesh-delivery.js';
import { MeshPublisher } from './mesh-publisher.js';
import { NodeBudgets } from './node-budgets.js';
import { NodeNotes } from './node-notes.js';
import { NodePresence } from './node-presence.js';
import { type AgentView, concernsManagers, concernsNode } from './node-states.js';
import type { NodeSocket } from './node-socket.js';
import { NodeWriter } from './node-writer.js';
import { OrphanTimers } from './orphan-timers.js';
import { Registrar } from './registrar.js';
import { RegistrationLimit } from './registration-limit.js';
import { DispatcherSession, type SessionPeer } from './session.js';
import { SessionAssignments } from './session-assignments.js';
import { type StatusReporter, StatusWriter } from './status-writer.js';

export interface DispatcherOptions {
  /** Heartbeat period when the cluster's spec sets none; default 1 s. */
  readonly heartbeatMs?: number;
}

/** One term as leader. Everything in here is made from the store when it begins. */
export class DispatcherRun {
  readonly #context: LoopContext;
  readonly #options: DispatcherOptions;
  readonly #codec: DispatchCodec;
  readonly #listeners: ReadonlySet<LogListener>;

  readonly #connections = new Set<DispatcherSession>();
  readonly #sessions = new Map<string, DispatcherSession>();
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
  readonly #assignments: SessionAssignments;
  readonly #registrar: Registrar;
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
    this.#notes = new NodeNotes(clock, (nodeId) => this.#write(nodeId));
    const observe = (node: Node) => this.#observe(node);
    this.#nodeWriter = new NodeWriter({ ...writing, observe });
    this.#statusWriter = new StatusWriter({ ...writing, logger, timeMs: () => store.timeMs() });
    this.#liveness = new Liveness(clock, (nodeId) => this.#expired(nodeId));
    this.#registrar = new Registrar({
      ...{ view: store, clock, logger, sessions: this.#sessions, liveness: this.#liveness },
      heartbeatMs: () => this.#heartbeatMs(),
      enter: (session, hello) => this.#enter(session, hello),
      changed: (nodeId) => this.#write(nodeId),
    });
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
      changed: () => this.#assignments.routesChanged(),
    });
    this.#assignments = new SessionAssignments({
      ...{ view: store, clock, logger, sessions: this.#sessions, mesh: this.#mesh },
      behind: (generation) => this.#behind(generation),
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
    this.#assignments.start();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unwatch();
    this.#liveness.stop();
    this.#assignments.stop();
    this.#mesh.stop();
    this.#orphans.stop();
    this.#registrar.stop();
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
        answered: (from) => this.#registrar.answered(from),
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
      this.#registrar.register(session, message);
      return;
    }
    if (session.hello === undefined) throw new MalformedMessage('the first message is not a hello');
    if (this.#registrar.isWaiting(session)) {
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
    this.#notes.forget(nodeId);
    this.#registrar.entered(nodeId);
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
    session.assignments = this.#assignments.senderFor(session);
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
    this.#registrar.closed(session);
    const reporter = this.#reporters.get(session);
    if (reporter !== undefined) this.#statusWriter.forget(reporter);
    this.#reporters.delete(session);

    const { nodeId } = session;
    if (this.#stopped || this.#sessions.get(nodeId) !== session) return;
    this.#sessions.delete(nodeId);
    this.#registrar.left(nodeId);
    if (session.assignments !== undefined) this.#tellDisconnected(nodeId);
    this.#presence.disconnected(nodeId);
    // An agent that just vanished stays what it is until its heartbeats are missed: it may be back soon.
    if (clean) {
      this.#presence.saidGoodbye(nodeId);
      this.#liveness.watch(nodeId, limits.HEARTBEATS_MISSED * this.#heartbeatMs());
      this.#write(nodeId);
    }
    this.#assignments.routesChanged();
  }

  #tellDisconnected(nodeId: string): void {
    for (const listener of this.#listeners) listener.disconnected(nodeId);
  }

  // --- State of nodes

  /** The node as this leader sees it now. */
  #observe(node: Node): Node {
    return this.#notes.observe(this.#registrar.observe(this.#presence.observe(node)));
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
    this.#registrar.left(nodeId);
    this.#presence.down(nodeId);
    session?.end('heartbeat failure');
    if (session?.assignments !== undefined) this.#tellDisconnected(nodeId);
    this.#inBackground(this.#nodeWriter.update(nodeId, true));
    this.#orphans.start(nodeId, this.#context.clock.now());
    this.#assignments.routesChanged();
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
      if (event.kind === 'task') this.#assignments.taskChanged(event, change.index);
      else if (event.kind === 'node') this.#nodeChanged(event);
      else {
        this.#assignments.objectChanged(event.kind, event.object.ID);
        if (event.kind === 'cluster' && raisesLevel(event)) this.#levelRaised();
      }
    });
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
      this.#registrar.forget(node.ID);
      this.#notes.forget(node.ID);
      const isRemoved = this.#context.store.setAside('node', node.ID) === undefined;
      session?.end('this node was removed from the cluster', isRemoved);
      if (session?.assignments !== undefined) this.#tellDisconnected(node.ID);
      this.#assignments.routesChanged();
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
