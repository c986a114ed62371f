import type { Service } from '@swarm/api';
import type { ControlLoop, LoopContext } from '../control-loop.js';
import { SetAside } from '../set-aside.js';
import type { StoreChange, StoreEvent } from '../store/store.js';
import { SET_ASIDE_RETRY_MS } from './limits.js';
import { Observations } from './observations.js';
import { changesLimit, Pass } from './pass.js';
import { concernsTasks, type NodeMatcher } from './placement.js';
import { type PassResult, WorkQueue } from './work-queue.js';

export interface ServiceLoopOptions {
  readonly context: LoopContext;
  readonly name: string;
  readonly nodeMatches: NodeMatcher;
  /** Whether this loop is in charge of the service. */
  readonly matches: (service: Service) => boolean;
  /** Compares what is there with what should be, and makes one step of changes. */
  readonly reconcile: (pass: Pass) => void;
  /** Whether a change to a node concerns every service, not only those with tasks on it. */
  readonly watchesAllNodes: boolean;
}

/** A pass over a service hit a fault, which is logged already. */
class Unworkable extends Error {}

/**
 * The outline of all orchestrators: a queue of services, filled from the store at start and then by its
 * events. Each pass compares one service with its tasks and makes its changes in one transaction. Passes
 * over one service run one after another; different services do not wait for each other.
 */
export class ServiceLoop implements ControlLoop {
  readonly name: string;
  readonly #options: ServiceLoopOptions;
  readonly #observations = new Map<string, Observations>();
  /** Services that this loop is in charge of, where it watches all nodes. */
  readonly #served = new Set<string>();
  readonly #queue: WorkQueue;
  readonly #aside: SetAside;
  #unwatch: (() => void) | undefined;

  constructor(options: ServiceLoopOptions) {
    this.name = options.name;
    this.#options = options;
    this.#aside = new SetAside(options.context.logger.child({ loop: options.name }));
    this.#queue = new WorkQueue({
      clock: options.context.clock,
      now: () => options.context.store.timeMs(),
      logger: options.context.logger.child({ loop: options.name }),
      run: (id, failures) => this.#pass(id, failures),
    });
  }

  start(): void {
    this.#queue.start();
    const { store } = this.#options.context;
    this.#unwatch = store.watch((change) => this.#react(change));
    this.#addAll();
  }

  async stop(): Promise<void> {
    this.#unwatch?.();
    await this.#queue.stop();
    this.#observations.clear();
    this.#served.clear();
  }

  #addAll(): void {
    for (const service of this.#options.context.store.list('service')) this.#add(service.ID);
  }

  #add(serviceId: string): void {
    const service = this.#options.context.store.get('service', serviceId);
    if (service === undefined || !this.#options.matches(service)) return;
    if (this.#options.watchesAllNodes) this.#served.add(serviceId);
    this.#queue.add(serviceId);
  }

  #react(change: StoreChange): void {
    if (change.reset) {
      this.#observations.clear();
      this.#served.clear();
      this.#addAll();
      return;
    }
    const touched = new Set<string>();
    this.#aside.events(change.events, (event) => this.#collect(event, touched));
    for (const id of touched) this.#add(id);
  }

  #collect(event: StoreEvent, touched: Set<string>): void {
    if (event.kind === 'service') {
      if (event.action === 'remove') {
        this.#queue.forget(event.object.ID);
        this.#observations.delete(event.object.ID);
        this.#served.delete(event.object.ID);
      } else touched.add(event.object.ID);
    } else if (event.kind === 'task') {
      touched.add(event.object.ServiceID);
    } else if (event.kind === 'node') {
      if (event.action === 'update' && !concernsTasks(event.previous, event.object)) return;
      this.#collectServices(event.object.ID, touched);
    }
  }

  #collectServices(nodeId: string, touched: Set<string>): void {
    const { store } = this.#options.context;
    if (this.#options.watchesAllNodes) {
      for (const serviceId of this.#served) touched.add(serviceId);
    } else {
      for (const task of store.tasksByNode(nodeId)) touched.add(task.ServiceID);
    }
  }

  /** Runs a pass; after a fault, which is logged by then, tries the service again later. */
  async #pass(serviceId: string, failures: number): Promise<PassResult> {
    try {
      return await this.#reconcile(serviceId, failures);
    } catch (error) {
      if (!(error instanceof Unworkable)) throw error;
      return { wakeAt: this.#options.context.store.timeMs() + SET_ASIDE_RETRY_MS };
    }
  }

  async #reconcile(serviceId: string, failures: number): Promise<PassResult> {
    const { context, matches, nodeMatches, reconcile } = this.#options;
    return await context.store.transact((tx) => {
      const service = tx.get('service', serviceId);
      if (service === undefined || !matches(service)) return {};
      let observations = this.#observations.get(serviceId);
      if (observations === undefined) {
        observations = new Observations();
        this.#observations.set(serviceId, observations);
      }
      const pass = new Pass({
        tx,
        service,
        now: context.store.timeMs(),
        randomBytes: context.randomBytes,
        observations,
        nodeMatches,
        // In a storm of statuses a small transaction wins its race where a large one loses.
        limit: Math.max(1, Math.floor(changesLimit(service.Spec) / 2 ** failures)),
      });
      this.#aside.guard(
        'service',
        service,
        () => reconcile(pass),
        // Half a pass must not be written.
        (reason) => {
          throw new Unworkable(reason);
        },
      );
      return pass.result();
    });
  }
}
