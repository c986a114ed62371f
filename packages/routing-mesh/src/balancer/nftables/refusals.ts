/** How long a client's refused attempts are counted; the third one gets the refusal. */
const TRIED_S = 10;
/** Limits how much kernel memory a flood of refused connections can take. */
const DYNAMIC_SET_SIZE = 65535;

/** Of a set that rules add to, for seconds. */
export const DYNAMIC = `size ${DYNAMIC_SET_SIZE}; flags dynamic,timeout;`;

/** What is remembered of refused clients. */
export function clientSets(type: string, suffix: string): readonly string[] {
  return [
    `set tried_once${suffix} { type ${type} . inet_service; ${DYNAMIC} }`,
    `set tried_twice${suffix} { type ${type} . inet_service; ${DYNAMIC} }`,
  ];
}

/**
 * A client that is refused tries again, twice in a while; then it hears of it.
 * @param alsoTo what else the first two refusals do, as a statement with a blank at its end
 */
export function forgive(
  ip: 'ip' | 'ip6',
  once: string,
  twice: string,
  alsoTo = '',
): readonly string[] {
  const client = `${ip} daddr . tcp dport`;
  return [
    `${client} @${twice} return`,
    `${client} @${once} add @${twice} { ${client} timeout ${TRIED_S}s } ${alsoTo}drop`,
    `add @${once} { ${client} timeout ${TRIED_S}s } ${alsoTo}drop`,
  ];
}
