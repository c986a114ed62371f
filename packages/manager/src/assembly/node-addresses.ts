import { type Node, type NodeRole, parseHostPort } from '@swarm/api';
import type { Store, StoreChange } from '../store/store.js';
import { groupsOf } from './address-groups.js';

/** Hosts remembered from which nodes connected last: the store may not know them yet. */
const SEEN_LIMIT = 16_384;

/**
 * The hosts of the cluster's nodes: those in the store, and those from which a node proved itself. The port
 * serves such hosts first, but gives them no rights for it. A host is the second group of `groupsOf`.
 */
export class NodeAddresses {
  readonly #store: Pick<Store, 'list' | 'watch'>;
  /** How many nodes, and how many addresses of managers, are at each host. */
  readonly #nodes = new Map<string, number>();
  readonly #managers = new Map<string, number>();
  /** The one seen longest ago comes first. */
  readonly #seen = new Map<string, NodeRole>();
  readonly #unwatch: () => void;

  constructor(store: Pick<Store, 'list' | 'watch'>) {
    this.#store = store;
    this.#readAll();
    this.#unwatch = store.watch((change) => this.#changed(change));
  }

  /** The role of the node at a host; `manager` when any node there is one. Undefined for a stranger's host. */
  roleAt(host: string): NodeRole | undefined {
    const seen = this.#seen.get(host);
    if (this.#managers.has(host) || seen === 'manager') return 'manager';
    return this.#nodes.has(host) ? 'worker' : seen;
  }

  /** Remembers that a node proved itself from this host. */
  see(host: string, role: NodeRole): void {
    const known = this.#seen.get(host);
    this.#seen.delete(host);
    this.#seen.set(host, known === 'manager' ? known : role);
    if (this.#seen.size <= SEEN_LIMIT) return;
    for (const oldest of this.#seen.keys()) {
      this.#seen.delete(oldest);
      return;
    }
  }

  close(): void {
    this.#unwatch();
  }

  #readAll(): void {
    this.#nodes.clear();
    this.#managers.clear();
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
        if (samePlace(event.previous, event.object)) continue;
        this.#count(event.previous, -1);
        this.#count(event.object, 1);
      } else this.#count(event.object, event.action === 'create' ? 1 : -1);
    }
  }

  #count(node: Node, by: 1 | -1): void {
    const { Status, ManagerAddr } = node;
    const host = hostOf(Status.Addr);
    add(this.#nodes, host, by);
    if (!isManager(node)) return;
    add(this.#managers, host, by);
    add(this.#managers, hostOf(parseHostPort(ManagerAddr)?.host), by);
  }
}

function samePlace(before: Node, after: Node): boolean {
  return (
    before.Status.Addr === after.Status.Addr &&
    before.ManagerAddr === after.ManagerAddr &&
    isManager(before) === isManager(after)
  );
}

function isManager({ Spec, RaftID }: Node): boolean {
  return Spec.Role === 'manager' || RaftID !== undefined;
}

/** Empty when it is not an address. */
function hostOf(address: string | undefined): string {
  return address === undefined ? '' : groupsOf(address)[1];
}

function add(counts: Map<string, number>, host: string, by: 1 | -1): void {
  if (host === '') return;
  const count = (counts.get(host) ?? 0) + by;
  if (count > 0) counts.set(host, count);
  else counts.delete(host);
}
