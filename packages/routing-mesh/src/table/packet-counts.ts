/** An element that the kernel added to a set with a counter. */
export interface CountedElement {
  /** The parts of its key, as nft's JSON has them. */
  readonly key: readonly unknown[];
  readonly packets: number;
}

/** Parses `nft -j list set`. Leaves out what has no counter. */
export function countedElements(json: string): CountedElement[] {
  interface Element {
    readonly elem?: {
      readonly val?: { readonly concat?: readonly unknown[] };
      readonly counter?: { readonly packets?: unknown };
    };
  }
  const { nftables } = JSON.parse(json) as {
    nftables: readonly { readonly set?: { readonly elem?: readonly Element[] } }[];
  };
  return nftables
    .flatMap(({ set }) => set?.elem ?? [])
    .flatMap(({ elem }) => {
      const key = elem?.val?.concat;
      const packets = elem?.counter?.packets;
      return key === undefined || typeof packets !== 'number' ? [] : [{ key, packets }];
    });
}

/** Says how much counters grew since the last look. */
export class PacketCounts {
  #seen: ReadonlyMap<string, number> = new Map();

  /** @returns by key, without those that did not grow */
  since(counts: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
    const before = this.#seen;
    this.#seen = counts;
    const grown = [...counts].map(([key, packets]): [string, number] => {
      const seen = before.get(key) ?? 0;
      // Less than before: the kernel forgot it, or the table was written anew.
      return [key, packets < seen ? packets : packets - seen];
    });
    return new Map(grown.filter(([, count]) => count > 0));
  }
}
