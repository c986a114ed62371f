import {
  isTerminal,
  type Network,
  type NetworkAttachment,
  type Node,
  parseCidr,
  type Service,
  type Task,
} from '@swarm/api';
import type { ControlLoop, LoopContext } from '../control-loop.js';
import { SetAside } from '../set-aside.js';
import type { StoreChange, StoreEvent } from '../store/store.js';
import type { AddressPool } from './address-pool.js';
import { type NetworkPools, type PooledAddress, poolsOf } from './network-pools.js';

interface OpenedNetwork {
  /** The network as it was when its pools were made. */
  readonly network: Network;
  readonly pools: NetworkPools;
}

/** What a task or service holds, by the store or by a transaction under way. */
interface Holding {
  /** The list of the task or service that names the addresses. */
  readonly source: readonly unknown[];
  readonly addresses: readonly PooledAddress[];
}

type VirtualIps = NonNullable<Service['Endpoint']['VirtualIPs']>;

/** Addresses in one network. */
interface InNetwork {
  readonly networkId: string;
  readonly addresses: readonly string[];
}

/** What a pool has to know from before the book started. */
interface Past {
  readonly freed: [offset: number, atMs: number][];
  newest: number;
  newestAt: string;
}

/**
 * Knows who holds which address in every network, and is the only part of the cluster that gives addresses
 * to tasks, and virtual ones to services. It follows the store's events, so asking and giving cost the same however many tasks there are.
 * Allocator and scheduler ask it while they build the transactions that make a task PENDING or ASSIGNED;
 * what it gives counts as held from then on, and `refresh` returns it when the transaction fails.
 *
 * A task holds its addresses until its observed state is terminal, or until it is removed; a service its
 * virtual ones until it leaves the network or is removed.
 */
export class AddressBook implements ControlLoop {
  readonly name = 'address book';
  readonly #context: LoopContext;
  readonly #aside: SetAside;
  #networks = new Map<string, OpenedNetwork>();
  #holdings = new Map<string, Holding>();
  #unwatch: (() => void) | undefined;

  constructor(context: LoopContext) {
    this.#context = context;
    this.#aside = new SetAside(context.logger);
  }

  start(): void {
    this.#unwatch = this.#context.store.watch((change) => this.#onChange(change));
    this.#rebuild();
  }

  async stop(): Promise<void> {
    this.#unwatch?.();
    this.#networks = new Map();
    this.#holdings = new Map();
  }

  /** Whether the network's addresses depend on the node, and so are given together with it. */
  isNodeBound(networkId: string): boolean {
    return this.#networks.get(networkId)?.pools.isNodeBound === true;
  }

  /** Whether the network has an address left for a task; with `node`, for a task on this node. */
  hasRoom(networkId: string, node?: Node): boolean {
    const groups = this.#networks.get(networkId)?.pools.groups(node);
    return groups?.every((pools) => pools.some((pool) => pool.hasRoom)) === true;
  }

  /**
   * Gives the task addresses in the networks that it is not attached to yet: in all of them, or in none.
   * @returns all attachments of the task; undefined when a network has no address left (see `hasRoom`)
   */
  attach(
    task: Pick<Task, 'ID' | 'NetworksAttachments'>,
    networks: readonly Network[],
    node?: Node,
  ): readonly NetworkAttachment[] | undefined {
    const kept = task.NetworksAttachments ?? [];
    const missing = networks.filter(({ ID }) => !kept.some(({ Network }) => Network.ID === ID));
    if (!missing.every(({ ID }) => this.hasRoom(ID, node))) return undefined;
    const given = missing.map(({ ID, Spec }) => ({
      Network: { ID, Spec: { Name: Spec.Name, Ingress: Spec.Ingress } },
      Addresses: this.#give(task.ID, ID, node).map(({ pool, offset }) => {
        const { subnet } = pool;
        return `${subnet.addressAt(offset)}/${subnet.isIpv6 ? 128 : 32}`;
      }),
    }));
    const attachments = [...kept, ...given];
    this.#hold(task.ID, attachments, ofTask(attachments));
    return attachments;
  }

  /**
   * Gives the service a virtual address of each family in the networks, and keeps those that it has there: in
   * all of them, or in none. Those in other networks are free again.
   * @returns undefined when a network has no address left (see `hasRoom`)
   */
  attachService(
    { ID, Endpoint }: Pick<Service, 'ID' | 'Endpoint'>,
    networks: readonly Network[],
  ): VirtualIps | undefined {
    const had = (networkId: string): VirtualIps =>
      (Endpoint.VirtualIPs ?? []).filter(({ NetworkID }) => NetworkID === networkId);
    if (!networks.every((network) => had(network.ID).length > 0 || this.hasRoom(network.ID)))
      return undefined;
    const holder = holderOf(ID);
    const addresses = networks.flatMap((network) => {
      const kept = had(network.ID);
      if (kept.length > 0) return kept;
      return this.#give(holder, network.ID, undefined).map(({ pool: { subnet }, offset }) => ({
        NetworkID: network.ID,
        Addr: `${subnet.addressAt(offset)}/${subnet.prefixLength}`,
      }));
    });
    this.#hold(holder, addresses, ofService(addresses));
    return addresses;
  }

  /** Resets a task whose transaction failed to what the store says about it. */
  refresh(taskId: string): void {
    const task = this.#context.store.get('task', taskId);
    this.#holdTask(taskId, task);
  }

  /** The same for a service. */
  refreshService(serviceId: string): void {
    this.#holdService(serviceId, this.#context.store.get('service', serviceId));
  }

  #holdTask(taskId: string, task: Task | undefined): void {
    const isHeld = task !== undefined && !isTerminal(task.Status.State);
    const source = isHeld ? (task.NetworksAttachments ?? NONE) : NONE;
    this.#hold(taskId, source, ofTask(source));
  }

  #holdService(serviceId: string, service: Service | undefined): void {
    const source = service?.Endpoint.VirtualIPs ?? NONE;
    this.#hold(holderOf(serviceId), source, ofService(source));
  }

  #onChange({ reset, events }: StoreChange): void {
    if (reset) this.#follow();
    else this.#aside.events(events, (event) => this.#onEvent(event));
  }

  #onEvent(event: StoreEvent): void {
    if (event.kind === 'task') {
      const { object: task } = event;
      this.#holdTask(task.ID, event.action === 'remove' ? undefined : task);
    } else if (event.kind === 'service') {
      const { object: service } = event;
      this.#holdService(service.ID, event.action === 'remove' ? undefined : service);
    } else if (event.kind === 'network') this.#onNetwork(event);
  }

  #onNetwork(event: StoreEvent & { readonly kind: 'network' }): void {
    const { action, object: network } = event;
    if (action === 'remove') this.#networks.delete(network.ID);
    else if (action === 'create') this.#open(network);
    // Rare, and every offset has a new meaning.
    else if (!sameSubnets(event.previous, network)) this.#rebuild();
  }

  #open(network: Network): void {
    const pools = poolsOf(network, this.#context.clock.now());
    this.#networks.set(network.ID, { network, pools });
  }

  /** Catches up after a snapshot, which skips events; keeps what is known about freed addresses. */
  #follow(): void {
    const { store } = this.#context;
    for (const id of this.#networks.keys()) {
      if (store.get('network', id) === undefined) this.#networks.delete(id);
    }
    for (const network of store.list('network')) {
      const opened = this.#networks.get(network.ID);
      if (opened === undefined) this.#aside.attempt('network', network, () => this.#open(network));
      else if (!sameSubnets(opened.network, network)) {
        this.#rebuild();
        return;
      }
    }
    for (const holder of this.#holdings.keys()) {
      const serviceId = serviceOf(holder);
      if (serviceId === undefined) this.refresh(holder);
      else this.refreshService(serviceId);
    }
    for (const task of store.list('task'))
      this.#aside.attempt('task', task, () => this.refresh(task.ID));
    for (const service of store.list('service'))
      this.#aside.attempt('service', service, () => this.refreshService(service.ID));
  }

  /** Reads everything from the store. Of freed addresses, only those of ended tasks still stored are known. */
  #rebuild(): void {
    const { store, clock } = this.#context;
    this.#networks = new Map();
    this.#holdings = new Map();
    for (const network of store.list('network')) {
      this.#aside.attempt('network', network, () => this.#open(network));
    }
    const pasts = new Map<AddressPool, Past>();
    for (const task of store.list('task')) {
      this.#aside.attempt('task', task, () => {
        if ((task.NetworksAttachments?.length ?? 0) === 0) return;
        this.#holdTask(task.ID, task);
        const { AppliedAt, Timestamp } = task.Status;
        const freedAt = isTerminal(task.Status.State) ? (AppliedAt ?? Timestamp) : undefined;
        this.#recall(task.CreatedAt, ofTask(task.NetworksAttachments ?? NONE), freedAt, pasts);
      });
    }
    for (const service of store.list('service')) {
      this.#aside.attempt('service', service, () => {
        this.#holdService(service.ID, service);
        const held = ofService(service.Endpoint.VirtualIPs ?? NONE);
        this.#recall(service.CreatedAt, held, undefined, pasts);
      });
    }
    for (const [pool, { freed, newest }] of pasts) pool.recall(freed, newest, clock.now());
  }

  /** @param freedAt when the addresses were freed; undefined while they are held */
  #recall(
    createdAt: string,
    held: () => readonly InNetwork[],
    freedAt: string | undefined,
    pasts: Map<AddressPool, Past>,
  ): void {
    for (const { pool, offset } of this.#find(held())) {
      let past = pasts.get(pool);
      if (past === undefined) {
        past = { freed: [], newest: offset, newestAt: createdAt };
        pasts.set(pool, past);
      }
      if (freedAt !== undefined) past.freed.push([offset, Date.parse(freedAt)]);
      if (createdAt < past.newestAt) continue;
      past.newest = offset;
      past.newestAt = createdAt;
    }
  }

  /** Takes an address of each family in the network, which has room. */
  #give(holder: string, networkId: string, node: Node | undefined): PooledAddress[] {
    const nowMs = this.#context.clock.now();
    return (this.#networks.get(networkId)?.pools.groups(node) ?? []).map((pools) => {
      const pool = pools.find(({ hasRoom }) => hasRoom);
      const offset = pool?.take(holder, nowMs);
      if (pool === undefined || offset === undefined)
        throw new Error(`network ${networkId} is full`);
      return { pool, offset };
    });
  }

  /**
   * Makes these the only addresses of the holder: holds them and releases all others.
   * @param source the same object as long as the addresses are the same
   */
  #hold(holder: string, source: readonly unknown[], held: () => readonly InNetwork[]): void {
    const before = this.#holdings.get(holder);
    // Most events do not change addresses, and unchanged parts are the same objects.
    if (before?.source === source) return;
    if (before === undefined && source.length === 0) return;
    const addresses = this.#find(held());
    for (const { pool, offset } of addresses) pool.hold(offset, holder);
    const nowMs = this.#context.clock.now();
    for (const { pool, offset } of before?.addresses ?? []) {
      if (addresses.some((one) => one.pool === pool && one.offset === offset)) continue;
      pool.release(offset, holder, nowMs);
    }
    if (source.length === 0) this.#holdings.delete(holder);
    else this.#holdings.set(holder, { source, addresses });
  }

  #find(held: readonly InNetwork[]): PooledAddress[] {
    return held.flatMap(({ networkId, addresses }) => {
      const pools = this.#networks.get(networkId)?.pools;
      return addresses.flatMap((text) => {
        const address = parseCidr(text)?.address;
        return (address && pools?.find(address)) ?? [];
      });
    });
  }
}

const NONE: readonly never[] = [];

function ofTask(attachments: readonly NetworkAttachment[]): () => readonly InNetwork[] {
  return () =>
    attachments.map(({ Network, Addresses }) => ({ networkId: Network.ID, addresses: Addresses }));
}

function ofService(virtualIps: VirtualIps): () => readonly InNetwork[] {
  return () =>
    virtualIps.map(({ NetworkID, Addr }) => ({ networkId: NetworkID, addresses: [Addr] }));
}

const SERVICE = 'service/';

/** What a service's addresses are held by; a task's are held by its id. */
function holderOf(serviceId: string): string {
  return SERVICE + serviceId;
}

function serviceOf(holder: string): string | undefined {
  return holder.startsWith(SERVICE) ? holder.slice(SERVICE.length) : undefined;
}

function sameSubnets(a: Network, b: Network): boolean {
  const text = ({ Subnets, Spec }: Network) => JSON.stringify([Subnets, Spec.Ingress]);
  return text(a) === text(b);
}
