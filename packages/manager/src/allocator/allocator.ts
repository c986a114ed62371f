import {
  compareStates,
  INGRESS_NAME,
  isTerminal,
  type Network,
  newId,
  type Node,
  meshPortOf,
  type NodeMesh,
  type PortConfig,
  type PortKey,
  publishedKey,
  type Service,
  type Task,
} from '@swarm/api';
import type { ControlLoop, LoopContext } from '../control-loop.js';
import { laterTime } from '../orchestrator/time.js';
import { DebouncedPass } from '../store/debounced-pass.js';
import { SetAside } from '../set-aside.js';
import { isTooLarge } from '../store/batches.js';
import {
  type Draft,
  type StoreChange,
  type StoreEvent,
  TRANSACTION_CHANGES_LIMIT,
  type Transaction,
  type View,
} from '../store/store.js';
import type { AddressBook } from './address-book.js';
import { wantedNetworks } from './attachments.js';
import { clusterPortUse, holdsClusterPort, movedManagerPorts } from './cluster-ports.js';
import { firstIngress } from './ingress-subnet.js';
import { MeshPlaces } from './node-mesh.js';
import { endpointOf, givenBack, isAllocated, PortRange, PortTable } from './port-table.js';
import { PortWaiters } from './port-waiters.js';
import { earlierRevision, taskPorts } from './task-ports.js';
import { hasVirtualAddresses, vipNetworks } from './virtual-addresses.js';

const DEBOUNCE_MS = 2;
const DEBOUNCE_LIMIT_MS = 20;
const PORT_PROTOCOLS: readonly PortConfig['Protocol'][] = ['tcp', 'udp', 'sctp'];

/** Makes the leader's allocator. */
export function createAllocator(context: LoopContext, addresses: AddressBook): ControlLoop {
  return new Allocator(context, addresses);
}

/**
 * Allocates what must be unique in the cluster: places in the mesh for nodes, published ports and virtual
 * addresses for services, addresses for tasks. Moves a task from NEW to PENDING once its service has its own, with its addresses
 * in cluster-wide networks; addresses that depend on the node come with the node (see AddressBook). A
 * waiting task says what it waits for.
 */
class Allocator implements ControlLoop {
  readonly name = 'allocator';
  readonly #context: LoopContext;
  readonly #addresses: AddressBook;
  readonly #pass: DebouncedPass;
  /** Ids to look at. An id whose transaction fails goes back into its set. */
  readonly #nodes = new Set<string>();
  readonly #services = new Set<string>();
  readonly #tasks = new Set<string>();
  /** Nodes that found no index, services that found no port, tasks that found no address. */
  readonly #placeless = new Set<string>();
  readonly #portless = new PortWaiters();
  readonly #unattached = new Set<string>();
  /** Services that found no virtual address. */
  readonly #addressless = new Set<string>();
  readonly #places: MeshPlaces;
  readonly #ports: PortRange;
  readonly #aside: SetAside;
  #unwatch: (() => void) | undefined;

  constructor(context: LoopContext, addresses: AddressBook) {
    this.#context = context;
    this.#addresses = addresses;
    this.#aside = new SetAside(context.logger);
    this.#places = new MeshPlaces(context.store);
    this.#ports = new PortRange(context.store);
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
    this.#places.reset();
    this.#ports.reset();
    this.#portless.clear();
    for (const node of store.list('node')) this.#nodes.add(node.ID);
    for (const service of store.list('service')) this.#noteService(service);
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
      this.#onTask(event.object, event.action === 'remove');
    } else if (event.kind === 'network') {
      this.#onAddresses();
      this.#retry(this.#placeless, this.#nodes);
      if (event.object.Spec.Ingress) this.#onIngress();
      if (this.#context.store.ingressNetwork() === undefined) this.#pass.trigger();
    } else if (event.kind === 'service') {
      this.#onService(event);
    } else if (event.kind === 'node') {
      this.#onNode(event);
    }
  }

  /** Every node has a block of the ingress network, which rarely changes. */
  #onIngress(): void {
    for (const node of this.#context.store.list('node')) this.#nodes.add(node.ID);
    this.#pass.trigger();
  }

  #onTask(task: Task, isRemoved: boolean): void {
    if (isRemoved) {
      this.#tasks.delete(task.ID);
      this.#unattached.delete(task.ID);
    } else if (this.#note(task)) this.#pass.trigger();
    // The task may have freed an address.
    if (isRemoved || isTerminal(task.Status.State)) this.#onAddresses();
  }

  /** There may be a free address where there was none. */
  #onAddresses(): void {
    this.#retry(this.#addressless, this.#services);
    this.#retry(this.#unattached, this.#tasks);
  }

  #onNode(event: StoreEvent & { readonly kind: 'node' }): void {
    const { action, object: node } = event;
    this.#onManagerPorts(movedManagerPorts(event));
    const left = action === 'update' ? event.previous.Mesh : undefined;
    if (left !== undefined && left.Index !== node.Mesh?.Index) this.#places.release(left);
    if (action === 'remove') {
      if (node.Mesh !== undefined) this.#places.release(node.Mesh);
      this.#nodes.delete(node.ID);
      this.#placeless.delete(node.ID);
      this.#retry(this.#placeless, this.#nodes);
    } else if (node.Mesh === undefined) {
      this.#nodes.add(node.ID);
      this.#pass.trigger();
    }
  }

  /** Services yield a port to a manager that listens on it, and get it back when none does any more. */
  #onManagerPorts(keys: readonly PortKey[]): void {
    const { store } = this.#context;
    for (const key of keys) {
      if (clusterPortUse(store, key) === undefined) {
        const { protocol, publishedPort } = meshPortOf(key);
        this.#wake([{ Protocol: protocol, PublishedPort: publishedPort }]);
      } else for (const { ID } of store.servicesByPort(key)) this.#services.add(ID);
    }
    if (this.#services.size > 0) this.#pass.trigger();
  }

  /** Queues those that found nothing free before. */
  #retry(waiting: Set<string>, ids: Set<string>): void {
    if (waiting.size === 0) return;
    for (const id of waiting) ids.add(id);
    waiting.clear();
    this.#pass.trigger();
  }

  #noteService(service: Service): void {
    if (!isSettled(this.#context.store, service)) this.#services.add(service.ID);
    this.#portless.follow(service);
  }

  #onService(event: StoreEvent & { readonly kind: 'service' }): void {
    const { action, object: service } = event;
    const wasWaiting = this.#portless.has(service.ID);
    if (action === 'remove') {
      this.#services.delete(service.ID);
      this.#portless.forget(service.ID);
      this.#addressless.delete(service.ID);
      this.#wake(givenBack(service, undefined));
    } else {
      this.#noteService(service);
      if (action === 'update') this.#wake(givenBack(event.previous, service));
    }
    const had = action === 'update' ? event.previous : service;
    if (action !== 'create' && (had.Endpoint.VirtualIPs?.length ?? 0) > 0) this.#onAddresses();
    // One that was woken for a port of the range may have left it to the next.
    if (wasWaiting && !this.#portless.has(service.ID)) this.#wakeNext();
    if (action !== 'update' || isNews(event.previous, service)) {
      for (const task of this.#context.store.tasksByService(service.ID)) this.#note(task);
    }
    if (this.#services.size > 0 || this.#tasks.size > 0) this.#pass.trigger();
  }

  /** Queues the services that wait for one of these ports. */
  #wake(ports: readonly Pick<PortConfig, 'Protocol' | 'PublishedPort'>[]): void {
    for (const port of ports) {
      this.#ports.release(port);
      for (const id of this.#portless.wanting(publishedKey(port))) this.#services.add(id);
    }
    if (ports.length > 0) this.#wakeNext();
  }

  /** Queues a service of each protocol that takes any port of the range: the next follows when it has one. */
  #wakeNext(): void {
    for (const protocol of PORT_PROTOCOLS) {
      for (const id of this.#portless.next(protocol)) this.#services.add(id);
    }
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
    if (!isStopped()) await this.#inParts(this.#nodes, isStopped, this.#allocateNodes);
    if (!isStopped())
      await this.#inParts(this.#services, isStopped, this.#allocateServices, this.#takeBackService);
    if (!isStopped())
      await this.#inParts(this.#tasks, isStopped, this.#allocateTasks, this.#takeBack);
  }

  /** Works through a set, one transaction after the other. Puts the ids of a failed one back. */
  async #inParts(
    set: Set<string>,
    isStopped: () => boolean,
    allocate: (transaction: Transaction, ids: readonly string[]) => void,
    takeBack: (id: string) => void = () => {},
  ): Promise<void> {
    const all = [...set].sort();
    let size = TRANSACTION_CHANGES_LIMIT;
    let at = 0;
    while (at < all.length && !isStopped()) {
      const ids = all.slice(at, at + size);
      // Before the transaction, so that a change during it puts the id back.
      for (const id of ids) set.delete(id);
      try {
        await this.#context.store.transact((transaction) => allocate(transaction, ids));
      } catch (error) {
        for (const id of ids) {
          set.add(id);
          takeBack(id);
        }
        if (!isTooLarge(error) || ids.length === 1) throw error;
        // Tasks carry their whole spec: sixty with 100 KB each are more than one entry of the log holds.
        size = Math.ceil(ids.length / 2);
        continue;
      }
      at += ids.length;
    }
  }

  async #createIngress(): Promise<void> {
    const { store, randomBytes, logger } = this.#context;
    if (store.ingressNetwork() !== undefined || store.cluster()?.IngressRemoved === true) return;
    if (store.byName('network', INGRESS_NAME) !== undefined) {
      logger.error(
        {},
        `no port can be published: remove the network "${INGRESS_NAME}", it is not the ingress network`,
      );
      return;
    }
    await store.transact((transaction) =>
      transaction.create('network', ingressDraft(transaction, newId(randomBytes))),
    );
  }

  readonly #allocateServices = (transaction: Transaction, ids: readonly string[]): void => {
    const table = new PortTable(transaction, this.#ports);
    for (const id of ids) {
      const service = transaction.get('service', id);
      if (service === undefined || isSettled(transaction, service)) continue;
      this.#aside.attempt('service', service, () =>
        this.#allocateService(transaction, table, service),
      );
    }
  };

  #allocateService(transaction: Transaction, table: PortTable, service: Service): void {
    const { AllocationError, ...rest } = service;
    const refuse = (error: string): void => {
      if (error !== AllocationError)
        transaction.update('service', { ...rest, AllocationError: error });
    };
    const wanted = vipNetworks(transaction, service);
    if ('error' in wanted) {
      this.#addressless.add(service.ID);
      refuse(wanted.error);
      return;
    }
    const allocation = table.allocate(service);
    if ('error' in allocation) {
      refuse(allocation.error);
      return;
    }
    const addresses = this.#addresses.attachService(service, wanted.networks);
    if (addresses === undefined) {
      this.#addressless.add(service.ID);
      const full = wanted.networks.find(({ ID }) => !this.#addresses.hasRoom(ID));
      refuse(noAddress(full, 'for the virtual address of the service'));
      return;
    }
    const Endpoint = endpointOf(service, allocation.ports, addresses);
    const allocated = { ...rest, Endpoint };
    transaction.update('service', allocated);
    table.release(givenBack(service, allocated));
  }

  readonly #takeBackService = (serviceId: string): void =>
    this.#addresses.refreshService(serviceId);

  readonly #allocateTasks = (transaction: Transaction, ids: readonly string[]): void => {
    const time = this.#context.store.timeMs();
    for (const id of ids) {
      const task = transaction.get('task', id);
      if (task === undefined || !isWaiting(task)) continue;
      this.#aside.guard(
        'task',
        task,
        () => this.#allocateTask(transaction, task, time),
        (reason) => {
          this.#takeBack(id);
          wait(transaction, task, {
            Message: 'cannot be allocated',
            Err: `a fault in the cluster: ${reason}`,
          });
        },
      );
    }
  };

  readonly #takeBack = (taskId: string): void => this.#addresses.refresh(taskId);

  #allocateTask(transaction: Transaction, task: Task, time: number): void {
    const service = task.ServiceID === '' ? undefined : transaction.get('service', task.ServiceID);
    const waitsFor = taskWaitsFor(transaction, task, service);
    if (waitsFor !== undefined) {
      wait(transaction, task, waitsFor);
      return;
    }
    const Ports = service === undefined ? [] : taskPorts(transaction, task, service);
    const Endpoint = { Ports };
    const attached = this.#attach(transaction, { ...task, Endpoint });
    if ('Err' in attached) {
      this.#unattached.add(task.ID);
      wait(transaction, task, attached);
      return;
    }
    const { Err: _err, ...status } = task.Status;
    transaction.update('task', {
      ...attached,
      Status: {
        ...status,
        State: 'pending',
        Message: 'pending task scheduling',
        Timestamp: laterTime(status.Timestamp, time),
      },
    });
  }

  /** Attaches the task to its cluster-wide networks. */
  #attach(view: View, task: Task): Task | Reason {
    const wanted = wantedNetworks(view, task);
    const Message = 'waiting for its networks';
    // The scheduler reports what is missing for networks that come with the node.
    const networks = 'missing' in wanted ? [] : wanted.networks;
    const early = networks.filter(({ ID }) => !this.#addresses.isNodeBound(ID));
    if (early.length === 0) return task;
    const NetworksAttachments = this.#addresses.attach(task, early);
    if (NetworksAttachments !== undefined) return { ...task, NetworksAttachments };
    const full = early.find(({ ID }) => !this.#addresses.hasRoom(ID));
    return { Message, Err: noAddress(full, 'for the task') };
  }

  readonly #allocateNodes = (transaction: Transaction, ids: readonly string[]): void => {
    let place: ((node: Node) => NodeMesh | undefined) | undefined;
    for (const id of ids) {
      const node = transaction.get('node', id);
      if (node === undefined) continue;
      place ??= this.#places.in(transaction);
      const Mesh = place(node);
      if (Mesh === undefined) {
        for (const other of ids.slice(ids.indexOf(id))) this.#placeless.add(other);
        this.#context.logger.error(
          { node: id },
          'the mesh has no place for another node: remove nodes that are down for good, or make the ingress network with a larger subnet',
        );
        return;
      }
      if (Mesh.Index === node.Mesh?.Index && Mesh.Subnet === node.Mesh.Subnet) continue;
      transaction.update('node', { ...node, Mesh });
    }
  };
}

/** Whether the service has what it asks for, and nothing that the cluster needs itself. */
function isSettled(view: View, service: Service): boolean {
  return isAllocated(service) && !holdsClusterPort(view, service);
}

function noAddress(full: Network | undefined, what: string): string {
  return `the network ${full?.Spec.Name ?? ''} has no free address ${what}: stop tasks, or use a larger subnet`;
}

/** Writes what the task waits for, unless its status says so already. The time stays that of its state. */
function wait(transaction: Transaction, task: Task, reason: Reason): void {
  if (task.Status.Err === reason.Err && task.Status.Message === reason.Message) return;
  const Status = { ...task.Status, ...reason };
  transaction.update('task', { ...task, Status });
}

interface Reason {
  readonly Message: string;
  readonly Err: string;
}

/** Whether tasks of a service may go on, or wait for something else, since a change of it. */
function isNews(before: Service, after: Service): boolean {
  return (
    before.AllocationError !== after.AllocationError || isAllocated(before) !== isAllocated(after)
  );
}

/** Whether the allocator has something to do for the task. */
function isWaiting(task: Task): boolean {
  return task.Status.State === 'new' && compareStates(task.DesiredState, 'complete') <= 0;
}

function taskWaitsFor(view: View, task: Task, service: Service | undefined): Reason | undefined {
  if (task.ServiceID === '') return undefined;
  const aside = view.setAside('service', task.ServiceID);
  if (aside !== undefined) {
    return {
      Message: 'waiting for its service to be created again',
      Err: `its stored service cannot be read (${aside.reason}): remove the service, then create it again`,
    };
  }
  if (service === undefined) {
    return {
      Message: 'waiting to be removed',
      Err: `its service ${task.ServiceID} does not exist`,
    };
  }
  if (isAllocated(service) || earlierRevision(view, task, service) !== undefined) return undefined;
  return {
    Message: hasVirtualAddresses(service)
      ? 'waiting for the published ports of its service'
      : 'waiting for the virtual addresses of its service',
    Err: service.AllocationError ?? 'what its service needs is not allocated yet',
  };
}

function ingressDraft(view: View, id: string): Draft<'network'> {
  const allocation = firstIngress(view);
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
      IPAM: { Driver: 'default', Config: allocation.Subnets },
    },
    ...allocation,
  };
}
