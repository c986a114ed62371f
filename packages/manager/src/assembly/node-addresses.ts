import type { Node } from '@swarm/api';
import type { Store, StoreChange } from '../store/store.js';
import { groupsOf } from './address-groups.js';

/** Addresses from which nodes connected lately and that the store may not know yet. */
const SEEN_LIMIT = 16_384;

/**
 * Where the cluster's nodes are: as the store says, and where a node proved itself. Whoever is at such an
 * address is only served earlier; it is nobody for that.
 */
export class NodeAddresses {
  readonly #store: Pick<Store, 'list' | 'watch'>;
  /** Nodes by host. */
  readonly #nodes = new Map<string, number>();
  /** Hosts; the one seen longest ago comes first. */
  readonly #seen = new Set<string>();
  readonly #unwatch: () => void;

  constructor(store: Pick<Store, 'list' | 'watch'>) {
    this.#store = store;
    this.#readAll();
    this.#unwatch = store.watch((change) => this.#changed(change));
  }

  /** @param host the inner of its `groupsOf` */
  has(host: string): boolean {
    return this.#nodes.has(host) || this.#seen.has(host);
  }

  /** A node proved itself from there. */
  see(host: string): void {
    this.#seen.delete(host);
    this.#seen.add(host);
    if (this.#seen.size <= SEEN_LIMIT) return;
    for (const oldest of this.#seen) {
      this.#seen.delete(oldest);
      return;
    }
  }

  close(): void {
    this.#unwatch();
  }

  #readAll(): void {
    this.#nodes.clear();
    for (const node of this.#store.list('node')) this.#count(node, 1);
  }

  #changed({ reset, events }: StoreChange): void {
    if (reset) {
      this.#readAll();
      return;
    }
    for (const event of events) {
      if (event.kind !== 'node') continue;
      if (event.action === 'update') {
        if (event.previous.Status.Addr === event.object.Status.Addr) continue;
        this.#count(event.previous, -1);
        this.#count(event.object, 1);
      } else this.#count(event.object, event.action === 'create' ? 1 : -1);
    }
  }

  #count({ Status }: Node, by: 1 | -1): void {
    const { Addr } = Status;
    if (Addr === undefined) return;
    const [, host] = groupsOf(Addr);
    if (host === '') return;
    const count = (this.#nodes.get(host) ?? 0) + by;
    if (count > 0) this.#nodes.set(host, count);
    else this.#nodes.delete(host);
  }
}
