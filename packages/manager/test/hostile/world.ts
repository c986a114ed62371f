import type { Logger, Service, Task } from '@swarm/api';
import { AddressBook, createAllocator } from '../../src/allocator/index.js';
import type { ControlLoop, LoopContext } from '../../src/control-loop.js';
import { meshState } from '../../src/dispatcher/mesh-state.js';
import { MeshPublisher } from '../../src/dispatcher/mesh-publisher.js';
import { createOrchestrators } from '../../src/orchestrator/index.js';
import { planServiceUpdate, writeServiceUpdate } from '../../src/orchestrator/service-update.js';
import { createRoleManager } from '../../src/role-manager/index.js';
import { createScheduler } from '../../src/scheduler/index.js';
import { SetAside } from '../../src/set-aside.js';
import { ingressDraft, nodeDraft, put, serviceDraft } from '../support/objects.js';
import { createTestStore, type TestStore } from '../support/test-store.js';
import { VirtualClock } from '@swarm/sim';
import { START_MS } from '../support/start-time.js';

/** Nodes of the good service, apart from any that a test makes. */
const NODES = ['good-1', 'good-2'];
export const GOOD = 'good';

/**
 * The loops of a leader over one store, on a clock that lets through what a timer throws. Simulated agents run the
 * tasks of the good nodes without sessions. The dispatcher would miss those, so it has a test of its own.
 */
export class HostileWorld {
  readonly clock = new VirtualClock(START_MS);
  /** Errors that were logged: faults of loops, and watchers that failed. */
  readonly errors: string[] = [];
  readonly warnings: string[] = [];
  readonly store: TestStore;
  readonly #logger: Logger;
  readonly #mesh: MeshPublisher;
  readonly #loops: ControlLoop[];
  #seed = 1;

  readonly context: LoopContext;

  constructor() {
    this.#logger = this.#record();
    this.store = createTestStore({ clock: this.clock, logger: this.#logger });
    const context = {
      store: this.store,
      clock: this.clock,
      logger: this.#logger,
      randomBytes: (size: number) => this.#bytes(size),
    };
    this.context = context;
    this.#mesh = new MeshPublisher(this.store, this.clock, new SetAside(this.#logger), () => {});
    const addresses = new AddressBook(context);
    this.#loops = [
      addresses,
      createAllocator(context, addresses),
      createScheduler(context, addresses),
      ...createOrchestrators(context),
      createRoleManager(context, {
        members: () => [],
        watch: () => () => {},
        remove: async () => {},
        isSelf: () => false,
        transferAway: async () => {},
      }),
    ];
  }

  /** Starts the loops like a new leader, on whatever is stored already. */
  start(): void {
    for (const loop of this.#loops) loop.start();
    this.#mesh.start();
    this.store.watch(({ events, index }) => {
      for (const event of events) this.#mesh.note(event, index);
      this.#agentsSoon();
    });
    this.#agentsSoon();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#loops.map((loop) => loop.stop()));
    this.#mesh.stop();
  }

  /** A service with two replicas that publishes a port, on two ready nodes. */
  async addGood(): Promise<void> {
    if (this.store.ingressNetwork() === undefined) {
      await put(this.store, 'network', ingressDraft('net'));
    }
    const Spec = { Labels: { good: 'yes' }, Role: 'worker', Availability: 'active' } as const;
    for (const id of NODES) await put(this.store, 'node', nodeDraft(id, { Spec }));
    const port = {
      Protocol: 'tcp',
      TargetPort: 80,
      PublishedPort: 443,
      PublishMode: 'ingress',
    } as const;
    const spec: Partial<Service['Spec']> = {
      Mode: { Replicated: { Replicas: 2 } },
      TaskTemplate: {
        ContainerSpec: { Image: 'nginx:1' },
        Placement: { Constraints: ['node.labels.good == yes'] },
        ForceUpdate: 0,
      },
      EndpointSpec: { Ports: [port] },
      UpdateConfig: { Parallelism: 2 },
    };
    await put(this.store, 'service', serviceDraft(GOOD, {}, spec));
  }

  async updateGood(Image: string): Promise<void> {
    await this.store.transact((tx) => {
      const service = tx.get('service', GOOD);
      if (service === undefined) throw new Error('the good service is gone');
      const TaskTemplate = { ...service.Spec.TaskTemplate, ContainerSpec: { Image } };
      const options = { nowMs: this.store.timeMs() };
      const spec = { ...service.Spec, TaskTemplate };
      writeServiceUpdate(tx, planServiceUpdate(tx, service, spec, options));
    });
  }

  /** Images of the good service's tasks that run and get traffic, as a user should see them. */
  served(): (string | undefined)[] {
    const { ports } = this.#mesh.state;
    const endpoints = ports.find(({ publishedPort }) => publishedPort === 443)?.endpoints ?? [];
    return endpoints.map(({ taskId }) => this.store.get('task', taskId)?.Spec.ContainerSpec?.Image);
  }

  /** Whether the incrementally updated mesh equals the one computed from the store. */
  meshIsCurrent(): boolean {
    const { generation, ports } = this.#mesh.state;
    return JSON.stringify(meshState(this.store, generation).ports) === JSON.stringify(ports);
  }

  #isScheduled = false;

  #agentsSoon(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.clock.setTimeout(() => {
      this.#isScheduled = false;
      void this.#agents();
    }, 20);
  }

  /** Takes the tasks of the good nodes to their desired states. */
  async #agents(): Promise<void> {
    const due: Task[] = [];
    for (const node of NODES) {
      for (const task of this.store.tasksByNode(node)) {
        if (next(task) !== undefined) due.push(task);
      }
    }
    await this.store
      .transact((tx) => {
        for (const { ID } of due) {
          const task = tx.get('task', ID);
          const State = task === undefined ? undefined : next(task);
          if (task === undefined || State === undefined) continue;
          const Timestamp = new Date(this.clock.now()).toISOString();
          tx.update('task', { ...task, Status: { ...task.Status, State, Timestamp, Message: '' } });
        }
      })
      .catch(() => this.#agentsSoon());
  }

  #record(): Logger {
    const logger: Logger = {
      debug() {},
      info() {},
      warn: (fields, message) => this.warnings.push(`${message} ${describe(fields)}`),
      error: (fields, message) => this.errors.push(`${message} ${describe(fields)}`),
      child: () => logger,
    };
    return logger;
  }

  #bytes(size: number): Uint8Array {
    const bytes = new Uint8Array(size);
    for (let i = 0; i < size; i += 1) {
      this.#seed = (Math.imul(this.#seed, 1_664_525) + 1_013_904_223) >>> 0;
      bytes[i] = this.#seed >>> 24;
    }
    return bytes;
  }
}

function next({ DesiredState, Status }: Task): Task['Status']['State'] | undefined {
  if (DesiredState === 'running' && (Status.State === 'assigned' || Status.State === 'ready'))
    return 'running';
  if (DesiredState === 'ready' && Status.State === 'assigned') return 'ready';
  const stops = DesiredState === 'shutdown' || DesiredState === 'remove';
  const isUp =
    Status.State === 'running' || Status.State === 'ready' || Status.State === 'assigned';
  return stops && isUp ? 'shutdown' : undefined;
}

function describe(fields: object): string {
  const { err, ...rest } = fields as { readonly err?: Error };
  return JSON.stringify(rest) + (err === undefined ? '' : ` ${err.stack}`);
}
