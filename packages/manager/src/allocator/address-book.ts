import {
  isTerminal,
  type Network,
  type NetworkAttachment,
  type Node,
  parseCidr,
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

/** What a task holds, by the store or by a transaction under way. */
interface Holding {
  readonly attachments: readonly NetworkAttachment[];
  readonly addresses: readonly PooledAddress[];
}

/** What a pool has to know from before the book started. */
interface Past {
  readonly freed: [offset: number, atMs: number][];
  newest: number;
  newestAt: string;
}

/**
 * Knows who holds which address in every network, and is the only part of the cluster that gives addresses
 * to tasks. It follows the store's events, so asking and giving cost the same however many tasks there are.
 * Allocator and scheduler ask it while they build the transactions that make a task PENDING or ASSIGNED;
 * what it gives counts as held from then on, and `refresh` returns it when the transaction fails.
 *
 * A task holds its addresses until its observed state is terminal, or until it is removed.
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
    const attachments = [...kept, ...missing.map((network) => this.#give(task.ID, network, node))];
    this.#hold(task.ID, attachments);
    return attachments;
  }

  /** Resets a task whose transaction failed to what the store says about it. */
  refresh(taskId: string): void {
    const task = this.#context.store.get('task', taskId);
    this.#hold(taskId, task === undefined || isTerminal(task.Status.State) ? [] : attached(task));
  }

  #onChange({ reset, events }: StoreChange): void {
    if (reset) this.#follow();
    else this.#aside.events(events, (event) => this.#onEvent(event));
  }

  #onEvent(event: StoreEvent): void {
    if (event.kind === 'task') {
      const { object: task } = event;
      const isHeld = event.action !== 'remove' && !isTerminal(task.Status.State);
      this.#hold(task.ID, isHeld ? attached(task) : []);
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
    for (const id of this.#holdings.keys()) this.refresh(id);
    for (const task of store.list('task'))
      this.#aside.attempt('task', task, () => this.refresh(task.ID));
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
        const attachments = attached(task);
        if (attachments.length === 0) return;
        const isEnded = isTerminal(task.Status.State);
        if (!isEnded) this.#hold(task.ID, attachments);
        this.#recall(task, isEnded, pasts);
      });
    }
    for (const [pool, { freed, newest }] of pasts) pool.recall(freed, newest, clock.now());
  }

  #recall(task: Task, isEnded: boolean, pasts: Map<AddressPool, Past>): void {
    const { AppliedAt, Timestamp } = task.Status;
    for (const { pool, offset } of this.#find(attached(task))) {
      let past = pasts.get(pool);
      if (past === undefined) {
        past = { freed: [], newest: offset, newestAt: task.CreatedAt };
        pasts.set(pool, past);
      }
      if (isEnded) past.freed.push([offset, Date.parse(AppliedAt ?? Timestamp)]);
      if (task.CreatedAt < past.newestAt) continue;
      past.newest = offset;
      past.newestAt = task.CreatedAt;
    }
  }

  #give(taskId: string, network: Network, node: Node | undefined): NetworkAttachment {
    const nowMs = this.#context.clock.now();
    const Addresses: string[] = [];
    for (const pools of this.#networks.get(network.ID)?.pools.groups(node) ?? []) {
      const pool = pools.find(({ hasRoom }) => hasRoom);
      const offset = pool?.take(taskId, nowMs);
      if (pool === undefined || offset === undefined)
        throw new Error(`network ${network.ID} is full`);
      Addresses.push(`${pool.subnet.addressAt(offset)}/${pool.subnet.isIpv6 ? 128 : 32}`);
    }
    const { ID, Spec } = network;
    return { Network: { ID, Spec: { Name: Spec.Name } }, Addresses };
  }

  /** Makes these the only attachments of the task: holds their addresses and releases all others. */
  #hold(taskId: string, attachments: readonly NetworkAttachment[]): void {
    const before = this.#holdings.get(taskId);
    // Most events do not change attachments, and unchanged parts are the same objects.
    if (before?.attachments === attachments) return;
    if (before === undefined && attachments.length === 0) return;
    const addresses = this.#find(attachments);
    for (const { pool, offset } of addresses) pool.hold(offset, taskId);
    const nowMs = this.#context.clock.now();
    for (const { pool, offset } of before?.addresses ?? []) {
      if (addresses.some((one) => one.pool === pool && one.offset === offset)) continue;
      pool.release(offset, taskId, nowMs);
    }
    if (attachments.length === 0) this.#holdings.delete(taskId);
    else this.#holdings.set(taskId, { attachments, addresses });
  }

  #find(attachments: readonly NetworkAttachment[]): PooledAddress[] {
    return attachments.flatMap(({ Network: { ID }, Addresses }) => {
      const pools = this.#networks.get(ID)?.pools;
      return Addresses.flatMap((text) => {
        const address = parseCidr(text)?.address;
        return (address && pools?.find(address)) ?? [];
      });
    });
  }
}

const NONE: readonly NetworkAttachment[] = [];

function attached({ NetworksAttachments }: Task): readonly NetworkAttachment[] {
  return NetworksAttachments ?? NONE;
}

function sameSubnets(a: Network, b: Network): boolean {
  const text = ({ Subnets, Spec }: Network) => JSON.stringify([Subnets, Spec.Ingress]);
  return text(a) === text(b);
}
