import type { SlotClass } from '../balancer/nftables/slots.js';
import type { GuardSetName } from '../guard/guard-plan.js';
import { UnsafeCommandError } from '../kernel/words.js';
import { type NftFamily, TABLE } from '../layout.js';

/** Elements per statement; keeps the parser's memory flat in bulk loads. */
const ELEMENTS_PER_STATEMENT = 2000;

/** Characters of an element: nothing that could end it, or its statement. Names of tasks' links are quoted. */
const ELEMENT = /^(?:"swt[0-9A-Za-z-]+"|[0-9a-z])(?: |[0-9a-z.:/])*$/;

/** Sets and maps of the table whose elements change. */
export type SetName =
  | 'peers'
  | 'zones'
  | 'underlay'
  | 'homeward'
  | 'itself'
  | SlotClass
  | 'closed'
  | 'slots'
  | 'endpoints'
  | 'multi'
  | 'host_ports'
  | 'underlay_v6'
  | 'homeward_v6'
  | 'itself_v6'
  | `${SlotClass}_${'v6' | 'own'}`
  | 'closed_v6'
  | 'sticky'
  | 'sticky_v6'
  | 'sticky_own'
  | 'restricted'
  | 'restricted_v6'
  | 'allowed'
  | 'allowed_v6'
  | 'endpoints_v6'
  | 'host_ports_v6'
  | 'ipvs_ports'
  | 'ipvs_ports_v6'
  | 'ipvs_shared'
  | 'ipvs_before'
  | 'limited'
  | 'proxied'
  | WallSetName
  | GuardSetName
  | VipSetName;

/** Those of the walls between overlay networks. */
export type WallSetName =
  | 'networks'
  | 'here'
  | 'own'
  | 'joined'
  | 'walled'
  | 'internal'
  | 'senders'
  | 'sealed'
  | 'subnets'
  | 'locals'
  | 'selves';
/** Those of virtual addresses. */
export type VipSetName =
  | `vip_${SlotClass}`
  | 'vip_closed'
  | 'vip_slots'
  | 'vip_members'
  | 'vip_multi';

/** Collects changes of set elements of one table, to write them as one transaction. */
export class ElementChanges {
  /** Of the table: with `ip`, it has no sets for IPv6. */
  readonly family: NftFamily;
  #declared = '';
  #retired = '';
  readonly #deleted = new Map<SetName, string[]>();
  readonly #added = new Map<SetName, string[]>();

  constructor(family: NftFamily = 'ip') {
    this.family = family;
  }

  /** @throws UnsafeCommandError */
  add(set: SetName, element: string): void {
    append(this.#added, set, element);
  }

  /** @throws UnsafeCommandError */
  delete(set: SetName, element: string): void {
    append(this.#deleted, set, element);
  }

  /** Makes chains and sets that elements lead to, as nft text: before elements are added. */
  declare(text: string): void {
    this.#declared += text;
  }

  /** Deletes such chains and sets: after the elements that led to them. */
  retire(text: string): void {
    this.#retired += text;
  }

  get empty(): boolean {
    return this.text() === '';
  }

  /** The nft text: deletions of elements first, so that one whose value changes can be added. */
  text(): string {
    return (
      statements(`delete element ${this.family}`, this.#deleted) +
      this.#declared +
      statements(`add element ${this.family}`, this.#added) +
      this.#retired
    );
  }
}

/** A map element without its value, as nft names elements to delete. */
export function keyOf(element: string): string {
  return element.split(' : ', 1)[0]!;
}

function append(map: Map<SetName, string[]>, key: SetName, value: string): void {
  if (!ELEMENT.test(value)) throw new UnsafeCommandError(`an element of ${key}`, value);
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}

function statements(verb: string, sets: ReadonlyMap<SetName, readonly string[]>): string {
  let text = '';
  for (const [set, elements] of sets) {
    for (let i = 0; i < elements.length; i += ELEMENTS_PER_STATEMENT) {
      const part = elements.slice(i, i + ELEMENTS_PER_STATEMENT);
      text += `${verb} ${TABLE} ${set} { ${part.join(', ')} }\n`;
    }
  }
  return text;
}
