import assert from 'node:assert/strict';
import type { Logger } from '@swarm/api';
import type { SubnetText } from '../address.js';
import type { CheckedPeer } from '../checked.js';
import type { Kernel } from '../kernel/kernel.js';
import { type Nft, NftError } from '../kernel/nft.js';
import { setSysctl } from '../kernel/sysctls.js';
import { TABLE } from '../layout.js';
import { ElementChanges } from './element-changes.js';
import { referredChains, skeleton } from './ruleset.js';
import type { TablePlace, TableSection } from './table-section.js';
import { DELETE_TIMEOUT_TABLE, TIMEOUT_TABLE_CHECKS, timeoutTable } from './timeout-table.js';
import type { Transaction } from './transaction.js';

const DELETE_TABLE = `add table ip ${TABLE}\ndelete table ip ${TABLE}\n`;

export interface MeshTableOptions {
  readonly kernel: Kernel;
  readonly nft: Nft;
  /** If several have rules at one place, these follow this order. */
  readonly sections: readonly TableSection[];
  readonly ingressNetwork: SubnetText;
  readonly dataPathPort: number;
  readonly logger: Logger;
}

/**
 * The mesh's one nftables table. Owns every write to it.
 *
 * Invariants: calls do not overlap; the mesh that owns the parts ensures that. While `#holds` is `wanted`, the
 * table holds what the sections want, except for changes they have not handed over yet; otherwise the next
 * commit writes the whole table.
 */
export class MeshTable implements Transaction {
  readonly #options: MeshTableOptions;
  readonly #logger: Logger;
  #place: TablePlace | undefined;
  /** `earlier`: what another process left, which works until the first commit. */
  #holds: 'unknown' | 'earlier' | 'wanted' = 'unknown';
  #wasWritten = false;

  constructor(options: MeshTableOptions) {
    this.#options = options;
    this.#logger = options.logger;
  }

  async start(self: CheckedPeer): Promise<boolean> {
    const { ingressNetwork, dataPathPort } = this.#options;
    const isFirst = this.#place === undefined;
    this.#place = { self, ingressNetwork, dataPathPort };
    this.#holds = 'unknown';
    if (!isFirst || !(await this.#isWhole())) return false;
    this.#holds = 'earlier';
    // Not part of the question: an earlier version may not have had it.
    await this.#options.nft.run(timeoutTable(ingressNetwork));
    await this.#tuneConntrack();
    return true;
  }

  async commit(): Promise<boolean> {
    if (this.#holds !== 'wanted') {
      await this.#writeWhole();
      return true;
    }
    const changes = new ElementChanges();
    for (const section of this.#options.sections) section.takeChanges(changes);
    return this.#write(changes);
  }

  /**
   * Writes what changed in one section, in its own transaction. Also writes to an earlier process's table, as far
   * as that goes: the first commit writes everything.
   * @returns as `commit`
   */
  async patch(section: TableSection): Promise<boolean> {
    const changes = new ElementChanges();
    section.takeChanges(changes);
    return this.#write(changes);
  }

  async repair(): Promise<boolean> {
    if (this.#holds === 'earlier') return false;
    if (this.#holds === 'wanted' && (await this.#isWhole(TIMEOUT_TABLE_CHECKS))) return false;
    this.#logger.warn({}, 'somebody flushed or changed the table; writing it again');
    await this.#writeWhole();
    return true;
  }

  async close({ keep }: { readonly keep: boolean }): Promise<void> {
    const { nft } = this.#options;
    if (!keep) await nft.run(`${DELETE_TABLE}${DELETE_TIMEOUT_TABLE}`);
    nft.close();
  }

  /** @returns whether it wrote the whole table instead */
  async #write(changes: ElementChanges): Promise<boolean> {
    if (changes.empty) return false;
    try {
      await this.#options.nft.run(changes.text());
      return false;
    } catch (error) {
      if (!(error instanceof NftError)) {
        // What was taken from the sections may or may not be in the table.
        if (this.#holds === 'wanted') this.#holds = 'unknown';
        throw error;
      }
      // If the table is not ours yet, the next commit writes everything anyway.
      if (this.#holds !== 'wanted') return false;
      this.#logger.warn(
        { error: error.message },
        'the kernel rejected a change of the table; writing all of it again',
      );
      await this.#writeWhole();
      return true;
    }
  }

  /** Writes the table in one transaction: no packet sees it without rules. */
  async #writeWhole(): Promise<void> {
    const { nft, sections } = this.#options;
    const place = this.#place;
    assert(place !== undefined, 'start comes before commit');
    this.#holds = 'unknown';
    const changes = new ElementChanges();
    for (const section of sections) {
      section.takeChanges(new ElementChanges());
      section.addAll(changes, place);
    }
    await nft.run(
      `${DELETE_TABLE}${skeleton(sections, place)}${changes.text()}${timeoutTable(place.ingressNetwork)}`,
    );
    this.#holds = 'wanted';
    if (this.#wasWritten) return;
    this.#wasWritten = true;
    await this.#tuneConntrack();
  }

  /**
   * Whether the rules exist: then the kernel refuses to delete the chains they refer to. Asking for a listing
   * instead would make nft read every element: 0.6 s and 90 MB with 1000 ports.
   */
  async #isWhole(alsoRefused: readonly string[] = []): Promise<boolean> {
    const refused = [
      ...referredChains(this.#options.sections, this.#place!).map(
        (chain) => `delete chain ip ${TABLE} ${chain}\n`,
      ),
      ...alsoRefused,
    ];
    const complaints = await this.#options.nft.check(refused.join(''));
    return complaints.split('Device or resource busy').length - 1 === refused.length;
  }

  /** A setting of the packet filter's state table, which exists once the table is loaded. */
  async #tuneConntrack(): Promise<void> {
    const { kernel } = this.#options;
    // A packet in the middle of an unknown connection must not be translated again: after a node died, its
    // entries are deleted, and the client gets a reset, not a stranger.
    await setSysctl(kernel, this.#logger, 'netfilter/nf_conntrack_tcp_loose', '0');
  }
}
