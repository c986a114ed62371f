import type { SubnetText } from '../address.js';
import type { CheckedPeer } from '../checked.js';
import type { TableFamily } from '../layout.js';
import type { ElementChanges } from './element-changes.js';

/** Where sections put rules: the base chains, and the two chains that several sections share. */
export type RulePlace =
  | 'zone'
  | 'origin'
  | 'origin_local'
  | 'dispatch'
  | 'forwarded'
  | 'received'
  | 'delivered'
  | 'translate_source'
  | 'sent';

/** What the constant part of the table depends on. */
export interface TablePlace {
  readonly self: CheckedPeer;
  readonly ingressNetwork: SubnetText;
  readonly dataPathPort: number;
  /** `inet`: sections have rules for IPv6 too. */
  readonly family: TableFamily;
}

/** A section's constant part, as nft text. */
export interface SectionRules {
  /** Its sets, maps and objects, one per line. */
  readonly sets?: readonly string[];
  /** Chains that only its own rules refer to. */
  readonly chains?: string;
  /** Rules by place. If several sections have some at one place, they follow the order of the sections. */
  readonly rules: Partial<Record<RulePlace, readonly string[]>>;
  /**
   * Its chains that rules refer to, each before those it refers from: while the rules exist, the kernel refuses
   * to delete any of these, in this order.
   */
  readonly referred?: readonly string[];
}

/**
 * One part's share of the table: rules that never change, and set elements that do. The table asks it for
 * changes, so that the changes of all sections make one transaction.
 */
export interface TableSection {
  rules(place: TablePlace): SectionRules;
  /** Adds every element that the table should hold. */
  addAll(changes: ElementChanges, place: TablePlace): void;
  /** Adds what has changed since the last call, and forgets it. */
  takeChanges(changes: ElementChanges): void;
}
