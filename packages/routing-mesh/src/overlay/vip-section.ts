import { FIRST_MEMBER_ID, LAST_MEMBER_ID, TASK_LINK_PREFIX } from '../layout.js';
import type { ElementChanges } from '../table/element-changes.js';
import { type Family, only } from '../table/family.js';
import { chainText } from '../table/ruleset.js';
import type { SectionRules, TablePlace, TableSection } from '../table/table-section.js';
import { TrackedElements } from '../table/tracked-elements.js';
import {
  SLOT_CLASSES,
  SLOT_COUNTS,
  type SlotClass,
  slotClass,
} from '../balancer/nftables/slots.js';
import type { Vip } from './vips.js';

/** How long a member that refused or did not answer gets no new connections while there are others. */
const SUSPECT_S = 5;
/** How long a client's refused attempts are counted; the third one gets the refusal. */
const TRIED_S = 10;
/** A second SYN of one connection within this time means that the member of the first did not answer. */
const ATTEMPT_MS = 1500;
/** Draws of a member before taking one although it is suspected. */
const DRAWS = 5;
const ATTEMPT_SEED = 83;
/** Limits how much kernel memory a flood of refused connections can take. */
const DYNAMIC_SET_SIZE = 65535;

/**
 * Virtual addresses of one family, translated where a task's packets enter its host: no rule is within the task's
 * reach. Works as published ports do, but for any protocol, and without ports.
 *
 * No rule names a service, so a change of members is one of set elements.
 */
export class VipSection implements TableSection {
  readonly #family: Family;
  readonly #kinds = new Map(
    SLOT_CLASSES.map((kind) => [kind, new TrackedElements(`vip_${kind}`)] as const),
  );
  readonly #closed = new TrackedElements('vip_closed');
  readonly #slots = new TrackedElements('vip_slots');
  readonly #members = new TrackedElements('vip_members');
  readonly #multi = new TrackedElements('vip_multi');

  constructor(family: Family) {
    this.#family = family;
  }

  /** Replaces what the table has of an address. */
  change(before: Vip | undefined, after: Vip | undefined): void {
    const { address } = (after ?? before)!;
    for (const elements of this.#kinds.values()) elements.delete(address);
    this.#closed.delete(address);
    if (after !== undefined) this.#kind(after).set(address);
    const oldSlots = before?.slots.length ?? 0;
    const newSlots = after?.slots ?? [];
    newSlots.forEach((id, slot) => {
      this.#slots.set(`${address} . ${slot}`, `${id}`);
    });
    for (let slot = newSlots.length; slot < oldSlots; slot++) {
      this.#slots.delete(`${address} . ${slot}`);
    }
    for (const { id } of before?.members.values() ?? []) {
      this.#members.delete(`${id}`);
      this.#multi.delete(`${id}`);
    }
    for (const [member, { id }] of after?.members ?? []) {
      this.#members.set(`${id}`, member);
      if (after!.members.size > 1) this.#multi.set(`${id}`);
    }
  }

  addAll(changes: ElementChanges): void {
    for (const elements of this.#sets()) elements.addAll(changes);
  }

  takeChanges(changes: ElementChanges): void {
    for (const elements of this.#sets()) elements.takeChanges(changes);
  }

  rules(place: TablePlace): SectionRules {
    const ours = only(this.#family, place);
    const { name: ip, addressType: type } = this.#family;
    const tasks = `iifname "${TASK_LINK_PREFIX}*"`;
    const dynamic = `size ${DYNAMIC_SET_SIZE}; flags dynamic,timeout;`;
    const own = `ct mark ${hex(FIRST_MEMBER_ID)}-${hex(LAST_MEMBER_ID)}`;
    const { keyType, noteKey, key } = attempts(this.#family);
    const client = `${ip} daddr . tcp dport`;
    const suspect = `add @vip_suspects { ct mark timeout ${SUSPECT_S}s }`;
    return {
      sets: [
        ...SLOT_CLASSES.map((kind) => `set vip_${kind} { type ${type}; }`),
        `set vip_closed { type ${type}; }`,
        `map vip_slots { type ${type} . mark : mark; }`,
        `map vip_members { type mark : ${type}; }`,
        'set vip_multi { type mark; }',
        `set vip_suspects { type mark; ${dynamic} }`,
        `set vip_tried_once { type ${type} . inet_service; ${dynamic} }`,
        `set vip_tried_twice { type ${type} . inet_service; ${dynamic} }`,
        `map vip_attempts { type ${keyType} : mark; ${dynamic} }`,
      ],
      chains:
        chainText('vip_refuse', [
          'meta l4proto tcp reject with tcp reset',
          `reject with ${ip === 'ip' ? 'icmp' : 'icmpv6'} port-unreachable`,
        ]) +
        SLOT_CLASSES.map((kind) => this.#draws(kind)).join('') +
        chainText('vip_take', [
          'ct mark set meta mark',
          ...noteKey,
          `meta l4proto tcp update @vip_attempts { ${key} timeout ${ATTEMPT_MS}ms : ct mark }`,
          'meta mark set 0',
          `dnat ${ip} to ct mark map @vip_members`,
        ]) +
        chainText('vip_refused', [
          `${client} @vip_tried_twice return`,
          `${client} @vip_tried_once add @vip_tried_twice { ${client} timeout ${TRIED_S}s } ${suspect} drop`,
          `add @vip_tried_once { ${client} timeout ${TRIED_S}s } ${suspect} drop`,
        ]),
      rules: {
        origin: [
          `${tasks} ${ip} daddr @vip_closed ct state new goto vip_refuse`,
          // Its entry was deleted, since its member's node is gone.
          ...[...SLOT_CLASSES, 'closed'].map(
            (kind) =>
              `${tasks} meta l4proto tcp ct state invalid ${ip} daddr @vip_${kind} goto vip_refuse`,
          ),
        ],
        dispatch: SLOT_CLASSES.map((kind) => `${tasks} ${ip} daddr @vip_${kind} goto vip_${kind}`),
        forwarded: [
          `${ours}${own} ct direction reply ct status dnat tcp flags & (rst|fin|syn) == rst ct status ! assured ct mark @vip_multi jump vip_refused`,
        ],
      },
      referred: [
        ...['vip_refuse', 'vip_refused', 'vip_take'],
        ...SLOT_CLASSES.flatMap((kind) => [
          ...Array.from({ length: DRAWS }, (_, i) => `vip_${kind}_${DRAWS - i}`),
          `vip_${kind}`,
        ]),
      ],
    };
  }

  #kind({ slots }: Vip): TrackedElements {
    if (slots.length === 0) return this.#closed;
    return this.#kinds.get(slotClass(slots.length))!;
  }

  /** Draws one member at random; draws again if it refused recently. */
  #draws(kind: SlotClass): string {
    const { name: ip } = this.#family;
    const { noteKey, key } = attempts(this.#family);
    let text = chainText(`vip_${kind}`, [
      ...noteKey,
      `meta l4proto tcp meta mark set ${key} map @vip_attempts add @vip_suspects { meta mark timeout ${SUSPECT_S}s }`,
      `goto vip_${kind}_1`,
    ]);
    for (let draw = 1; draw <= DRAWS; draw++) {
      text += chainText(`vip_${kind}_${draw}`, [
        `meta mark set numgen random mod ${SLOT_COUNTS[kind]}`,
        `meta mark set ${ip} daddr . meta mark map @vip_slots`,
        ...(draw === DRAWS ? [] : [`meta mark @vip_suspects goto vip_${kind}_${draw + 1}`]),
        'goto vip_take',
      ]);
    }
    return text;
  }

  #sets(): readonly TrackedElements[] {
    return [...this.#kinds.values(), ...[this.#closed, this.#slots, this.#members, this.#multi]];
  }
}

/**
 * What tells an attempt to connect from others, in the map of attempts. nft 1.0 aborts at a key of more than 16 bytes
 * for a map that rules add to, so that of IPv6 is a hash, held in the packet's mark.
 */
function attempts({ name: ip, addressType: type }: Family): {
  readonly keyType: string;
  /** Puts the key where `key` finds it. */
  readonly noteKey: readonly string[];
  readonly key: string;
} {
  const connection = `${ip} saddr . tcp sport . ${ip} daddr . tcp dport`;
  if (ip === 'ip') {
    const keyType = `${type} . inet_service . ${type} . inet_service`;
    return { keyType, noteKey: [], key: connection };
  }
  // With a seed of its own choice, the kernel would find nothing again.
  const hash = `meta l4proto tcp meta mark set jhash ${connection} mod 4294967295 seed ${ATTEMPT_SEED}`;
  return { keyType: 'mark', noteKey: [hash], key: 'meta mark' };
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
