import assert from 'node:assert/strict';
import type { Logger } from '@swarm/api';
import type { SubnetText } from '../address.js';
import type { CheckedPeer } from '../checked.js';
import type { Kernel } from '../kernel/kernel.js';
import { type Nft, NftError } from '../kernel/nft.js';
import { setSysctl } from '../kernel/sysctls.js';
import { TABLE, TIMEOUT_TABLE } from '../layout.js';
import { ElementChanges } from './element-changes.js';
import { type Family, IPV4, IPV6 } from './family.js';
import { warnOfForeignDrops } from './foreign-firewall.js';
import { referredChains, skeleton } from './ruleset.js';
import type { TablePlace, TableSection } from './table-section.js';
import { timeoutTable, timeoutTableChecks } from './timeout-table.js';
import type { TableDescription, Transaction } from './transaction.js';

export interface MeshTableOptions {
  readonly kernel: Kernel;
  readonly nft: Nft;
  /** If several have rules at one place, these follow this order. */
  readonly sections: readonly TableSection[];
  /** Those of the table for IPv6. */
  readonly sectionsV6: readonly TableSection[];
  /** Whether there is to be a table for IPv6: most nodes need none, and not every kernel can have one. */
  readonly isV6Wanted: () => boolean;
  readonly ingressNetwork: SubnetText;
  readonly dataPathPort: number;
  readonly logger: Logger;
}

/**
 * The mesh's nftables tables: one for IPv4, and one for IPv6 while it is wanted. Owns every write to them.
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
  /** Whether the kernel has the table for IPv6. */
  #hasV6 = false;

  constructor(options: MeshTableOptions) {
    this.#options = options;
    this.#logger = options.logger;
  }

  async start(self: CheckedPeer): Promise<boolean> {
    const { ingressNetwork, dataPathPort } = this.#options;
    const isFirst = this.#place === undefined;
    this.#place = { self, ingressNetwork, dataPathPort };
    this.#holds = 'unknown';
    if (isFirst) this.#hasV6 = (await this.#options.nft.check(deleteTable(IPV6, TABLE))) === '';
    if (!isFirst || !(await this.#isWhole())) return false;
    this.#holds = 'earlier';
    // Not part of the question: an earlier version may not have had it.
    await this.#options.nft.run(timeoutTable(IPV4, ingressNetwork));
    await this.#tuneConntrack();
    return true;
  }

  async commit(): Promise<boolean> {
    if (this.#holds !== 'wanted') {
      await this.#writeWhole();
      return true;
    }
    const { sections, sectionsV6, isV6Wanted } = this.#options;
    const changes = new ElementChanges();
    for (const section of sections) section.takeChanges(changes);
    if (isV6Wanted() !== this.#hasV6) {
      await this.#options.nft.run(`${changes.text()}${this.#wholeV6()}`).catch((error) => {
        this.#holds = 'unknown';
        throw error;
      });
      this.#hasV6 = isV6Wanted();
      return false;
    }
    const changesV6 = new ElementChanges(IPV6);
    if (this.#hasV6) for (const section of sectionsV6) section.takeChanges(changesV6);
    return this.#write(changes.text() + changesV6.text());
  }

  /**
   * Writes what changed in one section, in its own transaction. Also writes to an earlier process's table, as far
   * as that goes: the first commit writes everything.
   * @returns as `commit`
   */
  async patch(section: TableSection): Promise<boolean> {
    const changes = new ElementChanges();
    section.takeChanges(changes);
    return this.#write(changes.text());
  }

  async repair(): Promise<boolean> {
    if (this.#holds === 'earlier') return false;
    if (this.#holds === 'wanted' && (await this.#isWhole({ withLimits: true }))) return false;
    this.#logger.warn({}, 'somebody flushed or changed the table; writing it again');
    await this.#writeWhole();
    return true;
  }

  async describe(): Promise<TableDescription> {
    const { sections, sectionsV6, isV6Wanted } = this.#options;
    const place = this.#place;
    assert(place !== undefined, 'start comes before describe');
    const changes = new ElementChanges();
    for (const section of sections) section.addAll(changes, place);
    let text = `${skeleton(sections, place, IPV4)}${changes.text()}${timeoutTable(IPV4, place.ingressNetwork)}`;
    if (isV6Wanted()) {
      const changesV6 = new ElementChanges(IPV6);
      for (const section of sectionsV6) section.addAll(changesV6, place);
      text += skeleton(sectionsV6, place, IPV6) + changesV6.text() + timeoutTable(IPV6);
    }
    const isAsWritten = this.#holds === 'wanted' && (await this.#isWhole({ withLimits: true }));
    return { text, isAsWritten };
  }

  async close({ keep }: { readonly keep: boolean }): Promise<void> {
    const { nft } = this.#options;
    if (!keep) {
      const families = this.#hasV6 ? [IPV4, IPV6] : [IPV4];
      const tables = families.flatMap((family) => [
        removeTable(family, TABLE),
        removeTable(family, TIMEOUT_TABLE),
      ]);
      await nft.run(tables.join(''));
    }
    nft.close();
  }

  /** @returns whether it wrote the whole table instead */
  async #write(text: string): Promise<boolean> {
    if (text === '') return false;
    try {
      await this.#options.nft.run(text);
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
    const isV6Wanted = this.#options.isV6Wanted();
    const v6 = isV6Wanted || this.#hasV6 ? this.#wholeV6() : '';
    await nft.run(
      `${removeTable(IPV4, TABLE)}${skeleton(sections, place, IPV4)}${changes.text()}${timeoutTable(IPV4, place.ingressNetwork)}${v6}`,
    );
    this.#holds = 'wanted';
    this.#hasV6 = isV6Wanted;
    if (this.#wasWritten) return;
    this.#wasWritten = true;
    await warnOfForeignDrops(this.#options.kernel.run, this.#logger);
    await this.#tuneConntrack();
  }

  /** What makes the table for IPv6 as wanted, or removes it. */
  #wholeV6(): string {
    const { sectionsV6, isV6Wanted } = this.#options;
    const changes = new ElementChanges(IPV6);
    for (const section of sectionsV6) {
      section.takeChanges(new ElementChanges(IPV6));
      section.addAll(changes, this.#place!);
    }
    if (!isV6Wanted()) return removeTable(IPV6, TABLE) + removeTable(IPV6, TIMEOUT_TABLE);
    const rules = skeleton(sectionsV6, this.#place!, IPV6);
    return removeTable(IPV6, TABLE) + rules + changes.text() + timeoutTable(IPV6);
  }

  /**
   * Whether the rules exist: then the kernel refuses to delete the chains they refer to. Asking for a listing
   * instead would make nft read every element: 0.6 s and 90 MB with 1000 ports.
   */
  async #isWhole({ withLimits } = { withLimits: false }): Promise<boolean> {
    const { sections, sectionsV6 } = this.#options;
    const tables = [
      { family: IPV4, of: sections },
      ...(this.#hasV6 && this.#holds === 'wanted' ? [{ family: IPV6, of: sectionsV6 }] : []),
    ];
    const refused = tables.flatMap(({ family, of }) => [
      ...referredChains(of, this.#place!).map(
        (chain) => `delete chain ${family.name} ${TABLE} ${chain}\n`,
      ),
      ...(withLimits ? timeoutTableChecks(family) : []),
    ]);
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

function deleteTable({ name }: Family, table: string): string {
  return `delete table ${name} ${table}\n`;
}

/** Also if there is none. */
function removeTable(family: Family, table: string): string {
  return `add table ${family.name} ${table}\n${deleteTable(family, table)}`;
}
