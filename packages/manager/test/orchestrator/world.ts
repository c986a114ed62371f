import {
  compareStates,
  isTerminal,
  type Node,
  type PortConfig,
  type Service,
  type Task,
  type TaskState,
} from '@swarm/api';
import { silentLogger, type ServiceSpec } from '@swarm/api';
import { AddressBook } from '../../src/allocator/index.js';
import type { ControlLoop } from '../../src/control-loop.js';
import { createOrchestrators } from '../../src/orchestrator/index.js';
import { isUp } from '../../src/orchestrator/observations.js';
import {
  planServiceUpdate,
  resumeService,
  writeServiceUpdate,
} from '../../src/orchestrator/service-update.js';
import type { View } from '../../src/store/store.js';
import { nodeMatches } from '../../src/scheduler/constraint.js';
import { createScheduler } from '../../src/scheduler/index.js';
import { nodeDraft, patch, put, serviceDraft, taskDraft } from '../support/objects.js';
import { createTestStore, type TestStore } from '../support/test-store.js';
import { SettableClock } from '../support/settable-clock.js';

/** How the simulated agents treat a task. */
export interface Behaviour {
  /** The state it stays in. */
  readonly holdAt?: TaskState;
  /** Ends in this state instead of reaching RUNNING (`rejected`: instead of READY). */
  readonly end?: 'failed' | 'rejected' | 'complete';
  /** Ends in `end` this long after it started running. */
  readonly endAfterMs?: number;
  readonly ready?: boolean;
  /** Not placed, for this reason. */
  readonly unplaced?: string | undefined;
  /** Does not stop when asked to. */
  readonly lingers?: boolean;
  /** Takes this long to stop: its connections drain, or it uses its grace period. */
  readonly stopMs?: number;
}

/** How long each simulated part takes for one step. */
const STEP_MS = 20;

/**
 * A store, the orchestrators, and a simulated allocator, scheduler and agents that move tasks on by one state
 * at a time.
 */
export class OrchestratorWorld {
  readonly clock = new SettableClock();
  readonly store: TestStore = createTestStore({ clock: this.clock });
  behaviour: (task: Task) => Behaviour = () => ({});
  /** Least number of tasks of a service that were up at once since `watchUp`. */
  leastUp = 0;
  mostUp = 0;
  /** Whether the real scheduler places tasks. Set it before the start. */
  schedules = false;
  /** Ports that the simulated allocator gives every task. */
  ports: readonly PortConfig[] = [];
  #loops: ControlLoop[] = [];
  #scheduled = false;
  #seed = 1;
  readonly #timed = new Set<string>();

  /** Starts the orchestrators and, unless `idle`, the simulated parts. */
  async start(options: { idle?: boolean } = {}): Promise<void> {
    this.lead();
    if (options.idle !== true) {
      this.store.watch(() => this.#schedule());
      this.#schedule();
    }
    await this.clock.advance(0);
  }

  lead(): void {
    const context = {
      store: this.store,
      clock: this.clock,
      logger: silentLogger,
      randomBytes: (size: number) => this.#bytes(size),
    };
    this.#loops = createOrchestrators(context);
    if (this.schedules) {
      const addresses = new AddressBook(context);
      this.#loops.push(addresses, createScheduler(context, addresses));
    }
    for (const loop of this.#loops) loop.start();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#loops.map((loop) => loop.stop()));
  }

  /** The leader loses its leadership, and gains it again after `between`. */
  async leadAgain(between: () => Promise<void> = async () => {}): Promise<void> {
    await this.stop();
    await between();
    for (const loop of this.#loops) loop.start();
  }

  /** Changes the leader: everything that loops keep in memory is lost. */
  async failOver(): Promise<void> {
    await this.stop();
    this.lead();
  }

  async nodes(...ids: string[]): Promise<void> {
    for (const id of ids) await put(this.store, 'node', nodeDraft(id));
  }

  async service(spec: Partial<ServiceSpec> = {}, id = 'web'): Promise<Service> {
    return await put(this.store, 'service', serviceDraft(id, {}, spec));
  }

  async task(id: string, change: Partial<Task>): Promise<Task> {
    const { Spec } = this.store.get('service', 'web') ?? serviceDraft('web');
    return await put(
      this.store,
      'task',
      taskDraft(id, { ServiceID: 'web', ServiceName: 'web', Spec: Spec.TaskTemplate, ...change }),
    );
  }

  async setNode(id: string, change: (node: Node) => Node): Promise<void> {
    await patch(this.store, 'node', id, change);
  }

  async availability(id: string, Availability: 'active' | 'pause' | 'drain'): Promise<void> {
    await this.setNode(id, (node) => ({ ...node, Spec: { ...node.Spec, Availability } }));
  }

  async nodeState(id: string, State: Node['Status']['State']): Promise<void> {
    await this.setNode(id, (node) => ({ ...node, Status: { ...node.Status, State } }));
  }

  async removeNode(id: string): Promise<void> {
    await this.store.transact((tx) => tx.remove('node', id));
  }

  async update(change: (spec: ServiceSpec) => ServiceSpec, id = 'web'): Promise<void> {
    await this.store.transact((tx) => {
      const service = requireService(tx, id);
      const options = { nowMs: this.store.timeMs() };
      writeServiceUpdate(tx, planServiceUpdate(tx, service, change(service.Spec), options));
    });
  }

  async rollBack(to: 'previous' | number = 'previous', id = 'web'): Promise<void> {
    await this.store.transact((tx) => {
      const service = requireService(tx, id);
      const options = { rollback: to, nowMs: this.store.timeMs() };
      writeServiceUpdate(tx, planServiceUpdate(tx, service, service.Spec, options));
    });
  }

  async resume(id = 'web'): Promise<void> {
    await patch(this.store, 'service', id, (service) =>
      resumeService(service, this.store.timeMs()),
    );
  }

  /** The revisions as they are stored, oldest first: number, image and outcome. */
  revisions(id = 'web'): string[] {
    return [...this.store.revisionsByService(id)]
      .sort((a, b) => a.Number - b.Number)
      .map((one) => `${one.Number} ${one.Spec.TaskTemplate.ContainerSpec?.Image} ${one.Outcome}`);
  }

  async image(Image: string): Promise<void> {
    await this.update((spec) => ({
      ...spec,
      TaskTemplate: { ...spec.TaskTemplate, ContainerSpec: { Image } },
    }));
  }

  async replicas(Replicas: number): Promise<void> {
    await this.update((spec) => ({ ...spec, Mode: { Replicated: { Replicas } } }));
  }

  async status(id: string, State: TaskState, rest: Partial<Task['Status']> = {}): Promise<void> {
    const time = new Date(this.store.timeMs()).toISOString();
    await patch(this.store, 'task', id, (task) => ({
      ...task,
      Status: { ...task.Status, Timestamp: time, AppliedAt: time, State, ...rest },
    }));
  }

  tasks(id = 'web'): Task[] {
    return [...this.store.tasksByService(id)];
  }

  /** Tasks with desired state RUNNING or READY. */
  live(id = 'web'): Task[] {
    return this.tasks(id).filter((task) => compareStates(task.DesiredState, 'running') <= 0);
  }

  up(id = 'web'): Task[] {
    return this.live(id).filter(isUp);
  }

  state(id = 'web'): string | undefined {
    return this.store.get('service', id)?.UpdateStatus?.State;
  }

  message(id = 'web'): string | undefined {
    return this.store.get('service', id)?.UpdateStatus?.Message;
  }

  images(id = 'web'): string[] {
    return this.up(id).map((task) => task.Spec.ContainerSpec?.Image ?? '');
  }

  /** Starts recording the least and most tasks that run at once, including those told to stop. */
  watchUp(id = 'web'): void {
    const count = () => this.tasks(id).filter((task) => isUp(task)).length;
    this.leastUp = count();
    this.mostUp = count();
    this.store.watch(() => {
      this.leastUp = Math.min(this.leastUp, count());
      this.mostUp = Math.max(this.mostUp, count());
    });
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.clock.setTimeout(() => {
      this.#scheduled = false;
      void this.#step();
    }, STEP_MS);
  }

  async #step(): Promise<void> {
    const tasks = [...this.store.list('task')];
    for (const task of tasks) {
      const next = this.#next(task);
      if (next === undefined) continue;
      const now = new Date(this.store.timeMs()).toISOString();
      await patch(this.store, 'task', task.ID, (current) => ({
        ...current,
        ...next,
        Status: { ...current.Status, ...next.Status, Timestamp: now, AppliedAt: now },
      })).catch(() => this.#schedule());
    }
  }

  #next(task: Task): Partial<Task> | undefined {
    const how = this.behaviour(task);
    const { State } = task.Status;
    const to = (next: TaskState, rest: Partial<Task> = {}): Partial<Task> | undefined =>
      how.holdAt === State
        ? undefined
        : {
            ...rest,
            Status: {
              ...task.Status,
              State: next,
              ...(next === 'running' && how.ready !== undefined && { Ready: how.ready }),
            },
          };
    if (isTerminal(State)) return undefined;
    const stops = task.DesiredState === 'shutdown' || task.DesiredState === 'remove';
    if (compareStates(State, 'assigned') >= 0 && this.#isDown(task)) return undefined;
    if (stops) {
      const placed = compareStates(State, 'assigned') >= 0;
      if (placed && how.stopMs !== undefined) {
        this.#stopLater(task, how.stopMs);
        return undefined;
      }
      return placed && how.lingers !== true
        ? { Status: { ...task.Status, State: 'shutdown' } }
        : undefined;
    }
    const mayRun = task.DesiredState !== 'ready';
    switch (State) {
      case 'new':
        return to('pending', this.ports.length > 0 ? { Endpoint: { Ports: this.ports } } : {});
      case 'pending':
        return this.schedules ? undefined : this.#place(task, how);
      case 'assigned':
        return to('preparing');
      case 'preparing':
        return how.end === 'rejected' ? to('rejected') : to('ready');
      case 'ready':
        return mayRun ? to('starting') : undefined;
      case 'starting':
        return how.end !== undefined && how.endAfterMs === undefined ? to(how.end) : to('running');
      case 'running':
        this.#endLater(task, how);
        return undefined;
      default:
        return undefined;
    }
  }

  #endLater(task: Task, how: Behaviour): void {
    if (how.end === undefined || how.endAfterMs === undefined || this.#timed.has(task.ID)) return;
    this.#timed.add(task.ID);
    const end = how.end;
    this.clock.setTimeout(() => {
      const current = this.store.get('task', task.ID);
      if (current?.Status.State === 'running' && !this.#isDown(current)) {
        void this.status(task.ID, end);
      }
    }, how.endAfterMs);
  }

  #stopLater({ ID }: Task, stopMs: number): void {
    if (this.#timed.has(`stop ${ID}`)) return;
    this.#timed.add(`stop ${ID}`);
    this.clock.setTimeout(() => {
      const current = this.store.get('task', ID);
      if (current === undefined || isTerminal(current.Status.State) || this.#isDown(current))
        return;
      void this.status(ID, 'shutdown');
    }, stopMs);
  }

  #place(task: Task, how: Behaviour): Partial<Task> | undefined {
    const why = how.unplaced;
    if (why !== undefined) {
      return task.Status.Err === why ? undefined : { Status: { ...task.Status, Err: why } };
    }
    const { Err: _err, ...status } = task.Status;
    const Status = { ...status, State: 'assigned' as const };
    if (how.holdAt === 'pending') return undefined;
    if (task.NodeID !== undefined) return { Status };
    const service = this.store.get('service', task.ServiceID);
    const load = (node: Node) =>
      [...this.store.tasksByNode(node.ID)].filter((t) => !isTerminal(t.Status.State)).length;
    const [node] = [...this.store.list('node')]
      .filter((n) => n.Status.State === 'ready' && n.Spec.Availability === 'active')
      .filter((n) => service === undefined || nodeMatches(service, n))
      .sort((a, b) => load(a) - load(b) || (a.ID < b.ID ? -1 : 1));
    return node === undefined ? undefined : { NodeID: node.ID, Status };
  }

  #isDown(task: Task): boolean {
    const node = this.store.get('node', task.NodeID ?? '');
    return node === undefined || node.Status.State === 'down';
  }

  /** A pseudo-random sequence, the same in each run. */
  #bytes(size: number): Uint8Array {
    return Uint8Array.from({ length: size }, () => {
      this.#seed = (Math.imul(this.#seed, 1103515245) + 12345) >>> 0;
      return this.#seed >>> 16;
    });
  }
}

function requireService(view: View, id: string): Service {
  const service = view.get('service', id);
  if (service === undefined) throw new Error(`no service ${id}`);
  return service;
}
