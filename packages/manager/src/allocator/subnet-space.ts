import type { IpAddress, Subnet } from '@swarm/api';
import { type OwnedRange, RangeIndex } from './range-index.js';

/** What has a part of the address space. */
export type SpaceOwner =
  | { readonly kind: 'ingress' }
  | { readonly kind: 'network'; readonly id: string }
  | { readonly kind: 'host'; readonly address: IpAddress };

/** A pool that subnets are cut from, and their prefix length. */
export interface SubnetPool {
  readonly subnet: Subnet;
  readonly prefixLength: number;
}

/** How far the search in one pool is. */
interface Progress {
  /** The block to look at first. */
  next: number;
  /** Whether no block was free when they were last looked at. */
  isFull: boolean;
}

/**
 * The address space of one family: which subnets and addresses are taken, and where the next free subnet is.
 *
 * It gives subnets in turn: each search begins behind the subnet that was given last, and goes round. So a
 * subnet that is given back rests as long as the pool has others, and a search passes each network at most once
 * per round of the pool.
 */
export class SubnetSpace {
  readonly #ranges = new RangeIndex<SpaceOwner>();
  readonly #held = new Map<string, OwnedRange<SpaceOwner>[]>();
  readonly #progress = new Map<string, Progress>();

  /** What has an address of the subnet; undefined when it is free. */
  holder(subnet: Subnet): { readonly owner: SpaceOwner; readonly first: bigint } | undefined {
    return this.#ranges.overlapping(subnet.first, subnet.last);
  }

  /** Makes these the only ranges of the owner. */
  hold(owner: SpaceOwner, subnets: readonly Pick<Subnet, 'first' | 'last'>[]): void {
    const key = keyOf(owner);
    const before = this.#held.get(key) ?? [];
    for (const range of before) this.#ranges.delete(range);
    if (before.length > 0) for (const progress of this.#progress.values()) progress.isFull = false;
    const next = subnets.map(({ first, last }) => ({ first, last, owner }));
    for (const range of next) this.#ranges.add(range);
    if (next.length === 0) this.#held.delete(key);
    else this.#held.set(key, next);
  }

  /** A free subnet of the first pool that has one; undefined when all are full. The caller holds it. */
  free(pools: readonly SubnetPool[]): Subnet | undefined {
    for (const pool of pools) {
      const progress = this.#progressOf(pool);
      if (progress.isFull) continue;
      const found = this.#search(pool, progress);
      if (found !== undefined) return found;
      progress.isFull = true;
    }
    return undefined;
  }

  /** The subnet was the last one given of these pools: the next search begins behind it. */
  passed(pools: readonly SubnetPool[], subnet: Subnet): void {
    const pool = pools.find((each) => each.subnet.contains(subnet));
    if (pool !== undefined) this.#progressOf(pool).next = blockOf(pool, subnet.last) + 1;
  }

  #progressOf(pool: SubnetPool): Progress {
    const key = `${pool.subnet} ${pool.prefixLength}`;
    let progress = this.#progress.get(key);
    if (progress === undefined) {
      progress = { next: 0, isFull: false };
      this.#progress.set(key, progress);
    }
    return progress;
  }

  #search(pool: SubnetPool, progress: Progress): Subnet | undefined {
    const from = progress.next;
    const found =
      this.#between(pool, from, Number.POSITIVE_INFINITY) ?? this.#between(pool, 0, from);
    if (found !== undefined) progress.next = blockOf(pool, found.last) + 1;
    return found;
  }

  /** The first free block from one number to below another. */
  #between(pool: SubnetPool, from: number, below: number): Subnet | undefined {
    for (let at = from; at < below; ) {
      const block = pool.subnet.block(pool.prefixLength, at);
      if (block === undefined) return undefined;
      const taken = this.#ranges.overlapping(block.first, block.last);
      if (taken === undefined) return block;
      at = Math.max(at, blockOf(pool, taken.last)) + 1;
    }
    return undefined;
  }
}

/** The number of the block that an address is in; of one behind the pool, a number that no block has. */
function blockOf({ subnet, prefixLength }: SubnetPool, address: bigint): number {
  const width = subnet.isIpv6 ? 128 : 32;
  return Number((address - subnet.first) >> BigInt(width - prefixLength));
}

function keyOf(owner: SpaceOwner): string {
  if (owner.kind === 'ingress') return owner.kind;
  return owner.kind === 'network' ? `network/${owner.id}` : `host/${owner.address}`;
}
