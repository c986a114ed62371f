import type { SubnetText } from '../address.js';
import type { CheckedPeer } from '../checked.js';
import type { ElementChanges } from './element-changes.js';

/** Where sections put rules: the base chains, and the two chains that several sections share. */
export type RulePlace =
  | 'zone'
  | 'origin'
  | 'origin_local'
  | 'dispatch'
  | 'forwarded'
  | 'received'
  | 'translate_source'
  | 'sent';

/** What the constant part of the table depends on. */
export interface TablePlace {
  readonly self: CheckedPeer;
  readonly ingressNetwork: SubnetText;
  readonly dataPathPort: number;
}

/** A section's constant part, as nft text. */
export interface SectionRules {
  /** Its sets, maps and objects, one a line. */
  readonly sets?: readonly string[];
  /** Chains that only its own rules refer to. */
  readonly chains?: string;
  /** Rules by place. Where several sections have some, they stand in the order of the sections. */
  readonly rules: Partial<Record<RulePlace, readonly string[]>>;
  /**
   * Its chains that rules refer to, each before those it refers from: as long as the rules are there the
   * kernel refuses to delete any of these, in this order.
   */
  readonly referred?: readonly string[];
}

/**
 * What one part of the mesh has in the table: rules that never change, and set elements that do. It says
 * what changed when the table asks, so that all sections' changes make one transaction.
 */
export interface TableSection {
  rules(place: TablePlace): SectionRules;
  /** Adds every element it wants the table to hold. */
  addAll(changes: ElementChanges, place: TablePlace): void;
  /** Adds what changed since this was asked last, and forgets it. */
  takeChanges(changes: ElementChanges): void;
}
