import {
  type Clock,
  type Logger,
  type LogLine,
  type LogOptions,
  type LogPlace,
  type ManagerAddress,
  type ManagerMessage,
  type MeshDelta,
  type MeshUpdate,
  type NodeDescription,
  type NodeUpdate,
  parseIpAddress,
  SerialQueue,
  type Task,
  type TaskStatus,
  type Timer,
  type Welcome,
} from '@swarm/api';
import { messageOf } from '../runtime/runtime-error.js';
import { type SetAside, WITH_TYPED_ASSIGNMENTS } from '@swarm/api/wire';
import type { AgentEvents, AgentOptions } from './agent-options.js';
import type { AgentSocket } from './agent-socket.js';
import type { AgentStorage } from './agent-storage.js';
import { AssignmentFollower } from './assignment-follower.js';
import { AgentCodec } from './codec.js';
import { ConflictReport } from './conflict-report.js';
import { DescribedNode } from './described-node.js';
import { Isolation } from './isolation.js';
import { lateLines } from './late-lines.js';
import { Leftovers } from './leftovers.js';
import { COPY_RETRY_MS, SET_ASIDE_NAMED_LIMIT, STARTS_AT_ONCE } from './limits.js';
import { LogSubscriptions } from './log-subscriptions.js';
import { ManagerFinder } from './manager-finder.js';
import { MeshFollower } from './mesh-follower.js';
import { MeshPieces } from './mesh-pieces.js';
import { codecsOf, keptShapes, OBJECT_KINDS, type ObjectKind } from './object-kinds.js';
import { Semaphore } from './semaphore.js';
import { AgentSession } from './session.js';
import { StatusReporter } from './status-reporter.js';
import { TaskNeeds } from './task-needs.js';
import { TaskSet } from './task-set.js';

/**
 * The worker's part of a node: takes assignments from the leader, drives the tasks, keeps the mesh up to
 * date, and reports statuses. Continues from what it has on disk while it reaches no manager.
 */
export class Agent {
  readonly #options: AgentOptions;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #events: AgentEvents;
  readonly #codec: AgentCodec;
  readonly #storage: AgentStorage;
  readonly #kinds: readonly ObjectKind[];
  readonly #needs: TaskNeeds;
  readonly #assignments: AssignmentFollower;
  readonly #tasks: TaskSet;
  readonly #mesh: MeshFollower;
  readonly #meshPieces = new MeshPieces();
  readonly #reporter: StatusReporter;
  readonly #isolation: Isolation;
  readonly #node: DescribedNode;
  readonly #conflicts: ConflictReport;
  #unwatchRefusals = (): unknown => undefined;
  #finder: ManagerFinder;
  #dataPathAddress: string;
  #session: AgentSession | undefined;
  #logs: LogSubscriptions | undefined;
  #welcomed = false;
  /** Another daemon has this node's session. */
  #isCopy = false;
  /** This node's address as the managers see it. */
  #address: string | undefined;
  #timer: Timer;
  #stopped = false;
  readonly #saves = new SerialQueue();

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#events = options.events ?? {};
    this.#node = new DescribedNode(options);
    this.#dataPathAddress = options.dataPathAddr;
    this.#finder = new ManagerFinder([], options.random);
    this.#storage = options.storage;
    this.#kinds = options.kinds ?? OBJECT_KINDS;
    this.#codec = new AgentCodec(codecsOf(this.#kinds));
    this.#needs = new TaskNeeds(this.#kinds, this.#storage, options.needs);
    this.#isolation = new Isolation(options.clock);
    this.#mesh = new MeshFollower({
      mesh: options.mesh,
      clock: options.clock,
      logger: options.logger,
      alive: () => new Set([...this.#tasks.alive(), ...(options.alsoAttached?.() ?? [])]),
      store: this.#storage,
      holds: (generation) => {
        if (this.#welcomed) this.#session?.send({ type: 'mesh-ack', generation });
      },
    });
    this.#tasks = new TaskSet(
      {
        runtime: options.runtime,
        mesh: options.mesh,
        clock: options.clock,
        logger: options.logger,
        starts: new Semaphore(STARTS_AT_ONCE),
        random: options.random,
        isolation: this.#isolation,
        leftovers: new Leftovers(options.clock),
        needs: this.#needs,
        meshStarted: () => this.#mesh.started,
        meshRunning: () => this.#mesh.running,
        meshNames: (taskId) => this.#mesh.names(taskId),
        node: () => this.#node.facts(this.#address),
        changed: (task, status) => this.#onStatus(task, status),
        unreadable: (taskId, problem) => this.#onUnreadable(taskId, problem),
      },
      this.#storage,
    );
    this.#assignments = new AssignmentFollower([...this.#needs.stores, this.#tasks]);
    this.#reporter = new StatusReporter(options.clock, () => this.#tasks.statuses());
    this.#conflicts = new ConflictReport({
      mesh: options.mesh,
      clock: options.clock,
      // The hello may have gone out before the change.
      isOpening: () => this.#session !== undefined && !this.#welcomed,
      report: () => this.#sendDescription(),
    });
  }

  /**
   * Takes over the tasks of an earlier run, then looks for a manager. Resolves before it finds one.
   * @param managers known from elsewhere (the join, the node's own manager), besides those remembered
   */
  async start(managers: readonly ManagerAddress[] = []): Promise<void> {
    const remembered = await this.#options.managers.load();
    const known = new Map(
      [...remembered, ...managers].map((manager) => [manager.address, manager]),
    );
    this.#finder = new ManagerFinder([...known.values()], this.#options.random);
    await this.#node.ask();
    const { tasks, mesh, objects } = await this.#storage.load(keptShapes(this.#kinds));
    this.#needs.restore(objects);
    await this.#tasks.restore(tasks);
    if (mesh !== undefined && mesh.self.nodeId === this.#options.nodeId) this.#mesh.restore(mesh);
    this.#conflicts.start();
    this.#unwatchRefusals = this.#options.mesh.watchRefusals((refusals) =>
      this.#tasks.get(refusals.taskId)?.refused(refusals),
    );
    this.#connect();
  }

  /** Whether a session is established. */
  get connected(): boolean {
    return this.#welcomed;
  }

  /** Resolves when the mesh can attach tasks. */
  get meshStarted(): Promise<void> {
    return this.#mesh.started;
  }

  /** Resolves when published ports are served on this node, as far as the managers have told it of them. */
  get meshServing(): Promise<void> {
    return this.#mesh.serving;
  }

  /** Resolves when the mesh holds a state that names the task, or after a while. */
  meshNames(taskId: string): Promise<void> {
    return this.#mesh.names(taskId);
  }

  /** The managers that it knows. */
  get managers(): readonly ManagerAddress[] {
    return this.#finder.managers;
  }

  /**
   * Adds managers known from elsewhere, for instance the node's own once it is one. Without a session, looks
   * for one at the first of these at once, or as soon as an attempt under way has failed.
   */
  addManagers(managers: readonly ManagerAddress[]): void {
    this.#learn(withManagers(managers, this.#finder.managers));
    if (this.#welcomed) return;
    this.#finder.hurry(managers[0]);
    if (this.#session !== undefined || this.#timer === undefined) return;
    this.#clock.clearTimeout(this.#timer);
    this.#connect();
  }

  /** Has tunnel packets for this node go elsewhere from now on: says so in a new session. */
  move(dataPathAddr: string): void {
    if (dataPathAddr === this.#dataPathAddress) return;
    this.#dataPathAddress = dataPathAddr;
    this.#finder.hurry();
    this.#session?.close('this node has another address');
  }

  /** Changes the node's description. Sends it at once in an established session, else with the next hello. */
  describe(extras: Partial<NodeDescription>): void {
    this.#node.describe(extras);
    this.#sendDescription();
  }

  #sendDescription(): void {
    if (!this.#welcomed) return;
    this.#session?.send({ type: 'description', description: this.#node.description });
  }

  /** Ends the session; tasks keep running, and the next agent on this folder takes them over. */
  async close(): Promise<void> {
    this.#stopped = true;
    this.#clock.clearTimeout(this.#timer);
    this.#conflicts.close();
    this.#unwatchRefusals();
    this.#session?.close('the daemon stops', true);
    this.#mesh.close();
    await this.#tasks.close();
    await this.#storage.close();
    // The caller may remove the folder next, so no file may still be written.
    await this.#saves.idle();
  }

  #connect(): void {
    this.#timer = undefined;
    if (this.#stopped || this.#session !== undefined) return;
    const manager = this.#finder.next();
    if (manager === undefined) {
      this.#retry('no manager is known', undefined);
      return;
    }
    let socket: AgentSocket;
    try {
      socket = this.#options.connect(manager);
    } catch (error) {
      this.#retry(messageOf(error), manager);
      return;
    }
    const session: AgentSession = new AgentSession({
      socket,
      codec: this.#codec,
      clock: this.#clock,
      logger: this.#logger,
      hello: () => ({
        type: 'hello',
        description: this.#node.description,
        dataPathAddr: this.#dataPathAddr(),
        meshGeneration: this.#mesh.generation,
        instance: this.#options.instance,
      }),
      handler: {
        message: (message, setAside) => this.#onMessage(manager, session, message, setAside),
        closed: (reason, isUnreached) => this.#onClosed(manager, reason, isUnreached),
      },
    });
    this.#session = session;
  }

  #retry(reason: string, manager: ManagerAddress | undefined): void {
    this.#finder.failed(manager);
    this.#logger.debug({ reason, manager: manager?.address }, 'no session with a manager');
    this.#events.failed?.(reason, manager);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#stopped) return;
    const waitMs = this.#isCopy ? COPY_RETRY_MS : this.#finder.delayMs();
    this.#timer = this.#clock.setTimeout(() => this.#connect(), waitMs);
  }

  #onMessage(
    manager: ManagerAddress,
    session: AgentSession,
    message: ManagerMessage,
    setAside: readonly SetAside[],
  ): void {
    if (setAside.length > 0) this.#nameSetAside(message, setAside);
    if (message.type === 'welcome' || message.type === 'node') {
      const { ID } = message.node;
      if (ID !== this.#options.nodeId) {
        session.close(`the manager takes this node for ${ID}`);
        return;
      }
    }
    switch (message.type) {
      case 'welcome':
        this.#onWelcome(manager, session, message);
        return;
      case 'not-leader':
        this.#heard(message.managers, manager);
        this.#finder.redirected(message.leader ?? undefined);
        session.close('this manager does not lead');
        return;
      case 'session-end':
        if (message.fatal) {
          this.#stopped = true;
          this.#events.refused?.(message.reason);
        } else if (message.isCopy === true) {
          this.#isCopy = true;
          this.#isolation.forbid();
          this.#events.copied?.(message.reason);
        }
        session.close(`the manager ended the session: ${message.reason}`);
        return;
    }
    if (!this.#welcomed) {
      session.close(`${message.type} came before the welcome`);
      return;
    }
    switch (message.type) {
      case 'status-ack':
        this.#reporter.acknowledge(message.sequence);
        return;
      case 'node':
        this.#onNode(message, manager);
        return;
      case 'assignments':
        if (!this.#assignments.apply(message, setAside)) {
          session.close('an assignment set is missing');
          return;
        }
        // Managers of earlier protocols know neither acknowledgements nor the pieces that need them.
        if ((session.protocol ?? 0) >= WITH_TYPED_ASSIGNMENTS) {
          session.send({ type: 'assignments-ack', resultsIn: message.resultsIn });
        }
        return;
      case 'mesh':
        this.#onMesh(session, message);
        return;
      case 'log-subscribe':
        this.#logs?.subscribe(message);
        return;
      case 'log-credit':
        this.#logs?.credit(message.subscription, message.bytes);
        return;
      case 'log-unsubscribe':
        this.#logs?.unsubscribe(message.subscription);
        return;
    }
  }

  #nameSetAside(message: ManagerMessage, setAside: readonly SetAside[]): void {
    for (const part of setAside.slice(0, SET_ASIDE_NAMED_LIMIT)) {
      this.#logger.error(
        { message: message.type, ...part },
        'ignores a part of a manager’s message that cannot be read',
      );
    }
    if (setAside.length > SET_ASIDE_NAMED_LIMIT) {
      const more = setAside.length - SET_ASIDE_NAMED_LIMIT;
      this.#logger.error({ message: message.type, more }, 'ignores more parts of the message');
    }
  }

  /** Rejects a task that cannot be read and is not on this node: it will never run. */
  #onUnreadable(taskId: string, problem: string): void {
    this.#reporter.report(taskId, {
      Timestamp: new Date(this.#clock.now()).toISOString(),
      State: 'rejected',
      Message: 'rejected',
      Err: `this node cannot read the task: ${problem}`,
    });
  }

  #onWelcome(manager: ManagerAddress, session: AgentSession, welcome: Welcome): void {
    this.#welcomed = true;
    this.#isCopy = false;
    this.#finder.succeeded(manager);
    this.#isolation.setConnected(true);
    this.#logs = new LogSubscriptions(
      session,
      (id, options, place) => this.#logLines(id, options, place),
      this.#clock,
    );
    this.#reporter.setSession(session);
    this.#logger.info({ manager: manager.address }, 'session with the leader');
    this.#events.connected?.(manager);
    this.#onNode(welcome, manager);
  }

  #onNode({ node, managers, featureLevel }: Welcome | NodeUpdate, leader: ManagerAddress): void {
    this.#heard(managers, leader);
    this.#address = node.Status.Addr;
    this.#mesh.setNode(node);
    this.#events.node?.(node, managers, featureLevel);
  }

  #onMesh(session: AgentSession, message: MeshUpdate): void {
    let delta: MeshDelta | undefined;
    try {
      delta = this.#meshPieces.add(message);
    } catch (error) {
      session.close(messageOf(error));
      return;
    }
    if (delta === undefined) return;
    const holds = this.#mesh.generation;
    if (!this.#mesh.update(delta)) session.close('a mesh generation is missing');
    else if (delta.generation === holds) session.send({ type: 'mesh-ack', generation: holds });
  }

  #onClosed(manager: ManagerAddress, reason: string, isUnreached: boolean): void {
    const stood = this.#welcomed;
    this.#session = undefined;
    this.#welcomed = false;
    this.#assignments.reset();
    this.#meshPieces.reset();
    this.#logs?.close();
    this.#logs = undefined;
    this.#reporter.setSession(undefined);
    if (stood) {
      this.#isolation.setConnected(false);
      this.#logger.info({ manager: manager.address, reason }, 'session ended');
      this.#events.disconnected?.(reason);
    } else {
      this.#logger.debug({ manager: manager.address, reason }, 'no session');
      this.#events.failed?.(reason, manager);
    }
    if (reason !== 'this manager does not lead') this.#finder.failed(manager, isUnreached);
    this.#schedule();
  }

  /**
   * Takes the list that a manager sent. Keeps the address at which that one answered: the list may be older,
   * and then this is the only way to managers that moved.
   */
  #heard(managers: readonly ManagerAddress[], from: ManagerAddress): void {
    if (managers.length > 0) this.#learn(withManagers(managers, [from]));
  }

  #learn(managers: readonly ManagerAddress[]): void {
    if (!this.#finder.learn(managers)) return;
    const known = this.#finder.managers;
    const save = () => this.#options.managers.save(known);
    this.#saves.run(save).catch((error: unknown) => {
      this.#logger.warn(
        { error: messageOf(error) },
        'the addresses of managers could not be saved',
      );
    });
  }

  #onStatus(task: Task, status: TaskStatus): void {
    const controller = this.#tasks.get(task.ID);
    if (controller === undefined) return; // It is being removed.
    this.#storage.putTask(controller.record);
    this.#reporter.report(task.ID, status);
  }

  #logLines(
    taskId: string,
    options: LogOptions,
    place: LogPlace | undefined,
  ): AsyncIterable<LogLine> {
    const controller = this.#tasks.get(taskId);
    if (controller === undefined) throw new Error(`Task ${taskId} is not on this node.`);
    // A reader that follows waits until the task has logs.
    const ready = options.follow ? controller.untilPrepared() : Promise.resolve();
    return lateLines(ready, () =>
      controller.hasLogs ? this.#options.runtime.logs(taskId, options, place) : undefined,
    );
  }

  /** The data path address; empty when it is not an IP address, so that the manager takes the one that it sees. */
  #dataPathAddr(): string {
    const dataPathAddr = this.#dataPathAddress;
    const address = parseIpAddress(dataPathAddr) ?? '';
    if (address === '' && dataPathAddr !== '') {
      this.#logger.error(
        { dataPathAddr },
        'ignores the data path address, which is not an IP address',
      );
    }
    return address;
  }
}

/** Both lists; at an address in both, the first has the manager. */
function withManagers(
  managers: readonly ManagerAddress[],
  more: readonly ManagerAddress[],
): ManagerAddress[] {
  const known = new Set(managers.map(({ address }) => address));
  return [...managers, ...more.filter(({ address }) => !known.has(address))];
}
