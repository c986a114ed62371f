import { type NftFamily, TABLE } from '../layout.js';
import type { RulePlace, SectionRules, TablePlace, TableSection } from './table-section.js';

/** Chains of the frame that its own rules refer to. */
const FRAME_CHAINS = ['dispatch', 'translate_source'];

/**
 * The constant part of the table: chains and empty sets, assembled from the sections. No rule depends on
 * services, so only set elements change with them, whose cost does not grow with the number of services.
 *
 * The base chains belong to the frame and exist with or without rules: `nat_in` and `nat_local` jump to
 * `dispatch`, where sections decide what a new connection is translated to; `source` jumps to
 * `translate_source`, for the few connections that would not find their way back.
 */
export function skeleton(
  sections: readonly TableSection[],
  place: TablePlace,
  family: NftFamily = place.family,
): string {
  const parts = sections.map((section) => section.rules(place));
  const chain = (name: RulePlace, ...head: readonly string[]): string =>
    chainText(name, [...head, ...parts.flatMap(({ rules }) => rules[name] ?? [])]);
  const sets = parts.flatMap((part) => (part.sets ?? []).map((line) => `  ${line}\n`));
  const chains = [
    ...parts.map((part) => part.chains ?? ''),
    chain('dispatch'),
    chain('translate_source'),
    chain('zone', hook('filter', 'prerouting', 'raw')),
    chain('origin', hook('filter', 'prerouting', 'mangle')),
    // Packets of this host that get a mark are routed again.
    chain('origin_local', hook('route', 'output', 'mangle')),
    chainText('nat_in', [hook('nat', 'prerouting', 'dstnat'), 'iifname != "lo" jump dispatch']),
    chainText('nat_local', [
      hook('nat', 'output', '-100'),
      ...(family === 'ip6' ? [] : ['ip daddr != 127.0.0.0/8 jump dispatch']),
      ...(family === 'ip' ? [] : ['ip6 daddr != ::1 jump dispatch']),
    ]),
    chain('forwarded', hook('filter', 'forward', 'filter')),
    chain('received', hook('filter', 'input', 'filter')),
    // After IPVS, which only one backend has.
    ...(parts.some(({ rules }) => rules.delivered !== undefined)
      ? [chain('delivered', hook('filter', 'input', '200'))]
      : []),
    chainText('source', [hook('nat', 'postrouting', 'srcnat'), 'jump translate_source']),
    chain('sent', hook('filter', 'postrouting', '300')),
  ];
  const text = `table ${family} ${TABLE} {\n${sets.join('')}${chains.join('')}}\n`;
  if (family === 'inet') return text;
  // nft refuses to ask for the family in a table of one.
  return text.replaceAll(`meta nfproto ${family === 'ip' ? 'ipv4' : 'ipv6'} `, '');
}

function hook(type: 'filter' | 'nat' | 'route', name: string, priority: string): string {
  return `type ${type} hook ${name} priority ${priority}; policy accept;`;
}

/** Every chain that rules refer to, each before those it refers from. */
export function referredChains(
  sections: readonly TableSection[],
  place: TablePlace,
): readonly string[] {
  const parts: readonly SectionRules[] = sections.map((section) => section.rules(place));
  return [...parts.flatMap(({ referred }) => referred ?? []), ...FRAME_CHAINS];
}

/** A chain as nft text. */
export function chainText(name: string, lines: readonly string[]): string {
  return `  chain ${name} {\n${lines.map((line) => `    ${line}\n`).join('')}  }\n`;
}
