import assert from 'node:assert/strict';
import type { Logger } from '@swarm/api';
import type { CheckedPeer } from '../checked.js';
import type { CheckedIngress } from '../ingress.js';
import type { Kernel } from '../kernel/kernel.js';
import { type Nft, NftError } from '../kernel/nft.js';
import { setSysctl } from '../kernel/sysctls.js';
import { type NftFamily, TABLE, type TableFamily } from '../layout.js';
import { ElementChanges } from './element-changes.js';
import { referredChains, skeleton } from './ruleset.js';
import type { TablePlace, TableSection } from './table-section.js';
import { DELETE_TIMEOUT_TABLE, timeoutTable, timeoutTableChecks } from './timeout-table.js';
import type { TableDescription, Transaction } from './transaction.js';

/** Also if there is none. */
function deleteTable(family: NftFamily): string {
  return `add table ${family} ${TABLE}\ndelete table ${family} ${TABLE}\n`;
}

export interface MeshTableOptions {
  readonly kernel: Kernel;
  readonly nft: Nft;
  /** If several have rules at one place, these follow this order. */
  readonly sections: readonly TableSection[];
  /** Those of the table for overlay networks with IPv6. */
  readonly sectionsV6: readonly TableSection[];
  /** Whether there is to be that table: most nodes need none. Never without IPv6 in the kernel. */
  readonly isV6Wanted: () => boolean;
  readonly dataPathPort: number;
  /** `ip` where the kernel has no IPv6. */
  readonly family: TableFamily;
  readonly logger: Logger;
}

/**
 * The mesh's nftables tables: one, and another for overlay networks with IPv6 while there are any. Owns every write
 * to them.
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
  /** Whether the kernel has the table for overlay networks with IPv6. */
  #hasV6 = false;
  /** There is a table of the other family too. */
  #hasOther = false;
  /** Of the table that an earlier process left. */
  #earlierFamily: TableFamily | undefined;

  constructor(options: MeshTableOptions) {
    this.#options = options;
    this.#logger = options.logger;
  }

  async start(self: CheckedPeer, ingress: CheckedIngress): Promise<boolean> {
    const { dataPathPort, family } = this.#options;
    const ingressNetwork = ingress.subnet;
    const isFirst = this.#place === undefined;
    this.#place = { self, ingressNetwork, dataPathPort, family };
    this.#holds = 'unknown';
    if (!isFirst) return false;
    this.#hasV6 = (await this.#options.nft.check(`delete table ip6 ${TABLE}\n`)) === '';
    const other = family === 'inet' ? 'ip' : 'inet';
    this.#hasOther = await this.#isInUse(other);
    if (!this.#hasOther && !(await this.#isWhole())) return false;
    this.#earlierFamily = this.#hasOther ? other : family;
    this.#holds = 'earlier';
    // Not part of the question: an earlier version may not have had it.
    await this.#options.nft.run(timeoutTable(ingressNetwork, family));
    await this.#tuneConntrack();
    return true;
  }

  /** Of the table that an earlier process left and that is in place until the first commit. */
  get earlierFamily(): TableFamily {
    return this.#earlierFamily ?? this.#options.family;
  }

  async commit(): Promise<boolean> {
    if (this.#holds !== 'wanted') {
      await this.#writeWhole();
      return true;
    }
    const { sections, sectionsV6, family } = this.#options;
    const changes = new ElementChanges(family);
    for (const section of sections) section.takeChanges(changes);
    if (this.#isV6Wanted !== this.#hasV6) {
      await this.#options.nft.run(`${changes.text()}${this.#wholeV6()}`).catch((error) => {
        this.#holds = 'unknown';
        throw error;
      });
      this.#hasV6 = this.#isV6Wanted;
      return false;
    }
    const changesV6 = new ElementChanges('ip6');
    if (this.#hasV6) for (const section of sectionsV6) section.takeChanges(changesV6);
    return this.#write(changes.text() + changesV6.text());
  }

  get #isV6Wanted(): boolean {
    const { family, isV6Wanted } = this.#options;
    return family === 'inet' && isV6Wanted();
  }

  /**
   * Writes what changed in one section, in its own transaction. Also writes to an earlier process's table, as far
   * as that goes: the first commit writes everything.
   * @returns as `commit`
   */
  async patch(section: TableSection): Promise<boolean> {
    const changes = new ElementChanges(this.#options.family);
    section.takeChanges(changes);
    return this.#write(changes.text());
  }

  async repair(): Promise<boolean> {
    if (this.#holds === 'earlier') return false;
    if (this.#holds === 'wanted' && (await this.#isWhole(timeoutTableChecks(this.#options.family))))
      return false;
    this.#logger.warn({}, 'somebody flushed or changed the table; writing it again');
    await this.#writeWhole();
    return true;
  }

  async describe(): Promise<TableDescription> {
    const { sections, sectionsV6, family } = this.#options;
    const place = this.#place;
    assert(place !== undefined, 'start comes before describe');
    const changes = new ElementChanges(family);
    for (const section of sections) section.addAll(changes, place);
    const limits = timeoutTable(place.ingressNetwork, place.family);
    let text = `${skeleton(sections, place)}${changes.text()}${limits}`;
    if (this.#isV6Wanted) {
      const changesV6 = new ElementChanges('ip6');
      for (const section of sectionsV6) section.addAll(changesV6, place);
      text += skeleton(sectionsV6, place, 'ip6') + changesV6.text();
    }
    const isAsWritten =
      this.#holds === 'wanted' && (await this.#isWhole(timeoutTableChecks(family)));
    return { text, isAsWritten };
  }

  async close({ keep }: { readonly keep: boolean }): Promise<void> {
    const { nft } = this.#options;
    if (!keep) {
      const v6 = this.#hasV6 ? deleteTable('ip6') : '';
      await nft.run(`${this.#deleteTables()}${v6}${DELETE_TIMEOUT_TABLE}`);
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
    const changes = new ElementChanges(this.#options.family);
    for (const section of sections) {
      section.takeChanges(new ElementChanges(this.#options.family));
      section.addAll(changes, place);
    }
    const isV6Wanted = this.#isV6Wanted;
    const v6 = isV6Wanted || this.#hasV6 ? this.#wholeV6() : '';
    await nft.run(
      `${this.#deleteTables()}${skeleton(sections, place)}${changes.text()}${timeoutTable(place.ingressNetwork, place.family)}${v6}`,
    );
    this.#holds = 'wanted';
    this.#hasV6 = isV6Wanted;
    this.#hasOther = false;
    if (this.#wasWritten) return;
    this.#wasWritten = true;
    await this.#tuneConntrack();
  }

  /** What makes the table for overlay networks with IPv6 as wanted, or removes it. */
  #wholeV6(): string {
    const { sectionsV6 } = this.#options;
    const changes = new ElementChanges('ip6');
    for (const section of sectionsV6) {
      section.takeChanges(new ElementChanges('ip6'));
      section.addAll(changes, this.#place!);
    }
    if (!this.#isV6Wanted) return deleteTable('ip6');
    return deleteTable('ip6') + skeleton(sectionsV6, this.#place!, 'ip6') + changes.text();
  }

  /**
   * Whether the rules exist: then the kernel refuses to delete the chains they refer to. Asking for a listing
   * instead would make nft read every element: 0.6 s and 90 MB with 1000 ports.
   */
  async #isWhole(alsoRefused: readonly string[] = []): Promise<boolean> {
    const { sections, sectionsV6, family } = this.#options;
    const isV6Ours = this.#hasV6 && this.#holds === 'wanted';
    const tables: readonly (readonly [NftFamily, readonly TableSection[]])[] = [
      [family, sections],
      ...(isV6Ours ? ([['ip6', sectionsV6]] as const) : []),
    ];
    const refused = [
      ...tables.flatMap(([each, of]) =>
        referredChains(of, this.#place!).map((chain) => `delete chain ${each} ${TABLE} ${chain}\n`),
      ),
      ...alsoRefused,
    ];
    const complaints = await this.#options.nft.check(refused.join(''));
    return complaints.split('Device or resource busy').length - 1 === refused.length;
  }

  /**
   * Whether there is a table of the family: a version without IPv6 left it, or this host with another kernel. It
   * works until the first commit, which deletes it.
   */
  async #isInUse(family: TableFamily): Promise<boolean> {
    const complaint = await this.#options.nft.check(`delete chain ${family} ${TABLE} dispatch\n`);
    return complaint.includes('Device or resource busy');
  }

  #deleteTables(): string {
    const { family } = this.#options;
    const other = family === 'inet' ? 'ip' : 'inet';
    return deleteTable(family) + (this.#hasOther ? deleteTable(other) : '');
  }

  /** A setting of the packet filter's state table, which exists once the table is loaded. */
  async #tuneConntrack(): Promise<void> {
    const { kernel } = this.#options;
    // A packet in the middle of an unknown connection must not be translated again: after a node died, its
    // entries are deleted, and the client gets a reset, not a stranger.
    await setSysctl(kernel, this.#logger, 'netfilter/nf_conntrack_tcp_loose', '0');
  }
}
