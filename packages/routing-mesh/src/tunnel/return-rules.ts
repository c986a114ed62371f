import { type Line, line, type Word, word } from '../kernel/words.js';
import {
  MAX_PEER_INDEX,
  PEER_MARK_MASK,
  peerMark,
  RETURN_TABLE_BASE,
  RULE_PREF_END,
  RULE_PREF_GROUP,
  RULE_PREF_PEER,
  RULE_PREF_SKIP,
} from '../layout.js';

/** Peers in a dispatch group: the lower six bits of the index. */
const GROUP_BITS = 6;
/** The bits of a peer's mark that all peers of its group share. */
const GROUP_MASK = peerMark(MAX_PEER_INDEX - (2 ** GROUP_BITS - 1));
const MASK = hexWord(PEER_MARK_MASK);

/**
 * The routing rules that send replies back through the node their connection came through: which of them the
 * kernel has, and what is missing. Pure, except for what it remembers.
 */
export class ReturnRules {
  #held: Set<number>;

  /** @param held preferences of the rules that the kernel has */
  constructor(held: Iterable<number> = []) {
    this.#held = new Set(held);
  }

  get held(): ReadonlySet<number> {
    return this.#held;
  }

  /** What the kernel actually has, after a batch failed in the middle. */
  reset(held: Iterable<number>): void {
    this.#held = new Set(held);
  }

  /** Rules that all peers share. */
  frame(): Line[] {
    return this.#missing([
      [RULE_PREF_END, line`nop`],
      [RULE_PREF_SKIP, line`fwmark 0/${MASK} goto ${RULE_PREF_END}`],
    ]);
  }

  /** What the peer of this index needs and the kernel does not have yet. */
  add(index: number): Line[] {
    const group = index >> GROUP_BITS;
    const block = blockOf(index);
    return this.#missing([
      [block + 2 ** GROUP_BITS + 1, line`goto ${RULE_PREF_END}`],
      [
        preferenceOf(index),
        line`fwmark ${hexWord(peerMark(index))}/${MASK} lookup ${RETURN_TABLE_BASE + index}`,
      ],
      // A jump needs an existing rule: the group's end is one.
      [block, line`nop`],
      [
        RULE_PREF_GROUP + group,
        line`fwmark ${hexWord(peerMark(group << GROUP_BITS))}/${hexWord(GROUP_MASK)} goto ${block}`,
      ],
    ]);
  }

  delete(index: number): Line {
    const pref = preferenceOf(index);
    this.#held.delete(pref);
    return line`rule del pref ${pref}`;
  }

  /** Removes all of them. */
  clear(): Line[] {
    const lines = [...this.#held].map((pref) => line`rule del pref ${pref}`);
    this.#held.clear();
    return lines;
  }

  #missing(rules: readonly (readonly [number, Line])[]): Line[] {
    const batch: Line[] = [];
    for (const [pref, what] of rules) {
      if (this.#held.has(pref)) continue;
      this.#held.add(pref);
      batch.push(line`rule add pref ${pref} ${what}`);
    }
    return batch;
  }
}

/** Whether a rule of this preference is ours. */
export function isOurs(pref: number): boolean {
  return pref >= RULE_PREF_SKIP && pref <= RULE_PREF_END;
}

/** Of a group: a rule at its start, its peers, a rule at its end. */
function blockOf(index: number): number {
  return RULE_PREF_PEER + (index >> GROUP_BITS) * (2 ** GROUP_BITS + 2);
}

function preferenceOf(index: number): number {
  return blockOf(index) + 1 + (index & (2 ** GROUP_BITS - 1));
}

function hexWord(value: number): Word {
  return word(`0x${value.toString(16)}`);
}
