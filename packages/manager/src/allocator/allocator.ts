import { compareStates, type Network, newId, type Service, type Task } from '@swarm/api';
import type { ControlLoop, LoopContext } from '../control-loop.js';
import { DebouncedPass } from '../store/debounced-pass.js';
import { SetAside } from '../set-aside.js';
import {
  type Draft,
  type StoreChange,
  type StoreEvent,
  TRANSACTION_CHANGES_LIMIT,
  type Transaction,
  type View,
} from '../store/store.js';
import { INGRESS_GATEWAY, INGRESS_SUBNET, MeshIndexes } from './node-mesh.js';
import { endpointOf, isAllocated, PortTable } from './port-table.js';

/** VNI of the ingress network; overlay networks follow. */
export const INGRESS_VNI = 4096;
export const INGRESS_NAME = 'ingress';

const DEBOUNCE_MS = 2;
const DEBOUNCE_LIMIT_MS = 20;

/** The leader's allocator. */
export function createAllocator(context: LoopContext): ControlLoop {
  return new Allocator(context);
}

/**
 * Gives what must be unique in the cluster: places in the mesh to nodes, published ports to services.
 * A task whose service has its ports goes from NEW to PENDING; one that waits says for what.
 */
class Allocator implements ControlLoop {
  readonly name = 'allocator';
  readonly #context: LoopContext;
  readonly #pass: DebouncedPass;
  /** Ids to look at. Kept until the store shows that nothing is left to do. */
  readonly #nodes = new Set<string>();
  readonly #services = new Set<string>();
  readonly #tasks = new Set<string>();
  readonly #aside: SetAside;
  #isFull = false;
  #unwatch: (() => void) | undefined;

  constructor(context: LoopContext) {
    this.#context = context;
    this.#aside = new SetAside(context.logger);
    this.#pass = new DebouncedPass({
      clock: context.clock,
      logger: context.logger,
      debounceMs: DEBOUNCE_MS,
      limitMs: DEBOUNCE_LIMIT_MS,
      pass: (isStopped) => this.#run(isStopped),
    });
  }

  start(): void {
    this.#unwatch = this.#context.store.watch((change) => this.#onChange(change));
    this.#rescan();
    this.#pass.start();
  }

  async stop(): Promise<void> {
    this.#unwatch?.();
    await this.#pass.stop();
  }

  #rescan(): void {
    const { store } = this.#context;
    for (const node of store.list('node')) this.#nodes.add(node.ID);
    for (const service of store.list('service')) this.#services.add(service.ID);
    for (const task of store.list('task')) this.#note(task);
    this.#pass.trigger();
  }

  #onChange({ reset, events }: StoreChange): void {
    if (reset) {
      this.#rescan();
      return;
    }
    this.#aside.events(events, (event) => this.#onEvent(event));
  }

  #onEvent(event: StoreEvent): void {
    if (event.kind === 'task') {
      if (event.action === 'remove') this.#tasks.delete(event.object.ID);
      else if (this.#note(event.object)) this.#pass.trigger();
    } else if (event.kind === 'service') {
      this.#onService(event.object, event.action === 'remove');
    } else if (event.kind === 'node') {
      this.#nodes.add(event.object.ID);
      // An index became free for those that found none.
      if (event.action === 'remove' && this.#isFull)
        for (const node of this.#context.store.list('node')) this.#nodes.add(node.ID);
      if (event.action !== 'update' || event.object.Mesh === undefined) this.#pass.trigger();
    }
  }

  /** A service that changed or went may have freed what others wait for. */
  #onService(service: Service, isRemoved: boolean): void {
    if (isRemoved) this.#services.delete(service.ID);
    else this.#services.add(service.ID);
    for (const other of this.#context.store.list('service')) {
      if (other.AllocationError !== undefined) this.#services.add(other.ID);
    }
    for (const task of this.#context.store.tasksByService(service.ID)) this.#note(task);
    this.#pass.trigger();
  }

  #note(task: Task): boolean {
    if (isWaiting(task)) {
      this.#tasks.add(task.ID);
      return true;
    }
    this.#tasks.delete(task.ID);
    return false;
  }

  async #run(isStopped: () => boolean): Promise<void> {
    await this.#createIngress();
    if (!isStopped()) await this.#inParts(this.#nodes, isStopped, allocateNodes(this.#context));
    this.#isFull = [...this.#context.store.list('node')].some(({ Mesh }) => Mesh === undefined);
    if (!isStopped()) await this.#inParts(this.#services, isStopped, this.#allocateServices);
    if (!isStopped()) await this.#inParts(this.#tasks, isStopped, this.#allocateTasks);
  }

  /** Works a set off, one transaction after the other; what a failed one held stays in the set. */
  async #inParts(
    set: Set<string>,
    isStopped: () => boolean,
    allocate: (transaction: Transaction, ids: readonly string[]) => void,
  ): Promise<void> {
    const all = [...set].sort();
    for (let at = 0; at < all.length && !isStopped(); at += TRANSACTION_CHANGES_LIMIT) {
      const ids = all.slice(at, at + TRANSACTION_CHANGES_LIMIT);
      // Before the transaction, so that a change during it puts the id back.
      for (const id of ids) set.delete(id);
      try {
        await this.#context.store.transact((transaction) => allocate(transaction, ids));
      } catch (error) {
        for (const id of ids) set.add(id);
        throw error;
      }
    }
  }

  async #createIngress(): Promise<void> {
    const { store, randomBytes, logger } = this.#context;
    if (ingressNetwork(store) !== undefined) return;
    if (store.byName('network', INGRESS_NAME) !== undefined) {
      logger.error(
        {},
        `no port can be published: remove the network "${INGRESS_NAME}", it is not the ingress network`,
      );
      return;
    }
    await store.transact((transaction) =>
      transaction.create('network', ingressDraft(newId(randomBytes))),
    );
  }

  readonly #allocateServices = (transaction: Transaction, ids: readonly string[]): void => {
    let table: PortTable | undefined;
    for (const id of ids) {
      const service = transaction.get('service', id);
      if (service === undefined || isAllocated(service)) continue;
      table ??= PortTable.of(transaction);
      const ports = table;
      this.#aside.attempt('service', service, () => allocateService(transaction, ports, service));
    }
  };

  readonly #allocateTasks = (transaction: Transaction, ids: readonly string[]): void => {
    const time = new Date(this.#context.clock.now()).toISOString();
    for (const id of ids) {
      const task = transaction.get('task', id);
      if (task === undefined || !isWaiting(task)) continue;
      this.#aside.guard(
        'task',
        task,
        () => allocateTask(transaction, task, time),
        (reason) =>
          wait(transaction, task, time, {
            Message: 'can not be given its ports',
            Err: `a fault in the cluster: ${reason}`,
          }),
      );
    }
  };
}

function allocateService(transaction: Transaction, table: PortTable, service: Service): void {
  const allocation = table.allocate(service);
  const { AllocationError, ...rest } = service;
  if ('error' in allocation) {
    if (allocation.error === AllocationError) return;
    transaction.update('service', { ...rest, AllocationError: allocation.error });
    return;
  }
  table.give(service, allocation.ports);
  transaction.update('service', { ...rest, Endpoint: endpointOf(service, allocation.ports) });
}

function allocateTask(transaction: Transaction, task: Task, time: string): void {
  const service = task.ServiceID === '' ? undefined : transaction.get('service', task.ServiceID);
  const waitsFor = taskWaitsFor(transaction, task, service);
  if (waitsFor !== undefined) {
    wait(transaction, task, time, waitsFor);
    return;
  }
  const { Err: _err, ...status } = task.Status;
  transaction.update('task', {
    ...task,
    Endpoint: { Ports: service?.Endpoint.Ports ?? [] },
    Status: { ...status, State: 'pending', Message: 'pending task scheduling', Timestamp: time },
  });
}

/** Says what the task waits for, if it does not say so already. */
function wait(transaction: Transaction, task: Task, time: string, reason: Reason): void {
  if (task.Status.Err === reason.Err && task.Status.Message === reason.Message) return;
  const Status = { ...task.Status, ...reason, Timestamp: time };
  transaction.update('task', { ...task, Status });
}

interface Reason {
  readonly Message: string;
  readonly Err: string;
}

/** The allocator has something to do for it. */
function isWaiting(task: Task): boolean {
  return task.Status.State === 'new' && compareStates(task.DesiredState, 'complete') <= 0;
}

function taskWaitsFor(view: View, task: Task, service: Service | undefined): Reason | undefined {
  if (task.ServiceID === '') return undefined;
  const aside = view.setAside('service', task.ServiceID);
  if (aside !== undefined) {
    return {
      Message: 'waiting for its service to be made again',
      Err: `what is stored of its service can not be read (${aside.reason}): remove the service, then create it`,
    };
  }
  if (service === undefined) {
    return {
      Message: 'waiting to be removed',
      Err: `its service ${task.ServiceID} does not exist`,
    };
  }
  if (isAllocated(service)) return undefined;
  return {
    Message: 'waiting for the published ports of its service',
    Err: service.AllocationError ?? 'the ports of its service are not allocated yet',
  };
}

function allocateNodes({ logger }: LoopContext) {
  return (transaction: Transaction, ids: readonly string[]): void => {
    let indexes: MeshIndexes | undefined;
    for (const id of ids) {
      const node = transaction.get('node', id);
      if (node === undefined || node.Mesh !== undefined) continue;
      indexes ??= MeshIndexes.of(transaction);
      const Mesh = indexes.placeFor(node);
      if (Mesh === undefined) {
        logger.error(
          { node: id },
          'the mesh has no place for another node: remove nodes that are down for good',
        );
        return;
      }
      transaction.update('node', { ...node, Mesh });
    }
  };
}

/** The network of all published ports; there is one. */
export function ingressNetwork(view: View): Network | undefined {
  for (const network of view.list('network')) if (network.Spec.Ingress) return network;
  return undefined;
}

function ingressDraft(id: string): Draft<'network'> {
  const Config = [{ Subnet: INGRESS_SUBNET, Gateway: INGRESS_GATEWAY }];
  return {
    ID: id,
    Spec: {
      Name: INGRESS_NAME,
      Labels: {},
      Driver: 'overlay',
      DriverOpts: {},
      Internal: false,
      Attachable: false,
      Ingress: true,
      IPv6Enabled: false,
      Scope: 'swarm',
      IPAM: { Driver: 'default', Config },
    },
    Subnets: Config,
    VNI: INGRESS_VNI,
  };
}
