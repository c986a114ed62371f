import { type IpAddress, isIpv6 } from '@swarm/api/address';
import type { BookMember, NameBook, NetworkNames } from './name-book.js';
import { reversedAddress } from './reverse-name.js';

/** Types of questions that are told apart (RFC 1035, section 3.2.2; RFC 3596). */
export const TYPE = { A: 1, PTR: 12, AAAA: 28 } as const;

/** A task's answer may be used for this long: what it leads to may stop at any moment. */
export const TASK_TTL_S = 1;
/** The same for a virtual address, which lives as long as its service. */
export const SERVICE_TTL_S = 5;

/** Names of a service with this before them lead to its tasks. */
const TASKS_PREFIX = 'tasks.';

/** The task that asks. */
export interface Asker {
  readonly taskId: string;
  /** Overlay networks in the order of the task's; the first that has a name decides. */
  readonly networks: readonly {
    readonly networkId: string;
    /** Its own on this network. */
    readonly addresses: readonly IpAddress[];
  }[];
  /** Its own names, in lower case: they work before any state names the task. */
  readonly names: readonly string[];
  /** It reaches nothing outside its networks, so other names are not its business. */
  readonly isClosed: boolean;
}

export interface Asked {
  /** In lower case, without the dot at the end. */
  readonly name: string;
  /** Number of a record type. */
  readonly type: number;
}

/** A record of an answer; its name is the question's. */
export type AnswerRecord =
  | { readonly address: IpAddress; readonly ttlS: number }
  | { readonly target: string; readonly ttlS: number };

export type NameAnswer =
  /** Without records: the name exists, and has none of the type. */
  | { readonly kind: 'records'; readonly records: readonly AnswerRecord[] }
  /** The name does not exist, and nobody else can know it. */
  | { readonly kind: 'unknown' }
  /** The cluster does not know the name; others may. */
  | { readonly kind: 'forward' };

const UNKNOWN: NameAnswer = { kind: 'unknown' };
const FORWARD: NameAnswer = { kind: 'forward' };

/**
 * Answers from the book alone.
 *
 * A task all of whose networks are internal gets `unknown` for what the cluster does not know. REFUSED would be as
 * true, but the resolver of musl waits for another server then, and glibc's reports a passing failure: programs
 * would try for long what cannot succeed.
 * @param random 0 ≤ x < 1, for the order of addresses
 */
export function answerFrom(
  book: NameBook,
  asker: Asker,
  { name, type }: Asked,
  random: () => number,
): NameAnswer {
  const reversed = reversedAddress(name);
  const own = reversed === undefined ? forward(book, asker, name) : reverse(book, asker, reversed);
  if (own === undefined) return asker.isClosed ? UNKNOWN : FORWARD;
  if (own.kind === 'unknown') return UNKNOWN;
  if (own.kind === 'target') {
    const { target } = own;
    return records(type === TYPE.PTR ? [{ target, ttlS: SERVICE_TTL_S }] : []);
  }
  if (type !== TYPE.A && type !== TYPE.AAAA) return records([]);
  const { ttlS } = own;
  const wanted = own.addresses.filter((address) => isIpv6(address) === (type === TYPE.AAAA));
  return records(shuffled(wanted, random).map((address) => ({ address, ttlS })));
}

function records(list: readonly AnswerRecord[]): NameAnswer {
  return { kind: 'records', records: list };
}

type Found =
  | { readonly kind: 'addresses'; readonly addresses: readonly IpAddress[]; readonly ttlS: number }
  | { readonly kind: 'target'; readonly target: string }
  | { readonly kind: 'unknown' };

/** What a name leads to; undefined if no network of the task has it. */
function forward(book: NameBook, asker: Asker, name: string): Found | undefined {
  for (const { networkId, addresses } of asker.networks) {
    const network = book.get(networkId);
    const found =
      (network && inNetwork(network, name)) ?? ownAddresses(asker, network, addresses, name);
    if (found !== undefined) return found;
  }
  // `web.frontend`: the name within one network.
  for (const { networkId, addresses } of asker.networks) {
    const network = book.get(networkId);
    const suffix = `.${network?.network.name}`;
    if (network === undefined || !name.endsWith(suffix)) continue;
    const head = name.slice(0, -suffix.length);
    const found = inNetwork(network, head) ?? ownAddresses(asker, network, addresses, head);
    if (found !== undefined) return found;
  }
  return undefined;
}

function inNetwork(network: NetworkNames, name: string): Found | undefined {
  return service(network, name) ?? tasks(network, name) ?? member(network, name);
}

/** A name of services: their virtual addresses; of those that have none, their tasks. */
function service(network: NetworkNames, name: string): Found | undefined {
  const addresses: IpAddress[] = [];
  const members: BookMember[] = [];
  let isKnown = false;
  let ttlS = SERVICE_TTL_S;
  for (const { serviceId, vips } of network.servicesNamed(name)) {
    isKnown = true;
    addresses.push(...vips);
    if (vips.length > 0) continue;
    ttlS = TASK_TTL_S;
    members.push(...serving(network, serviceId));
  }
  if (!isKnown) return undefined;
  addresses.push(...reachable(members).flatMap((one) => one.addresses));
  return { kind: 'addresses', addresses, ttlS };
}

/** `tasks.web`: addresses of the tasks of the services with that name. */
function tasks(network: NetworkNames, name: string): Found | undefined {
  if (!name.startsWith(TASKS_PREFIX)) return undefined;
  const members: BookMember[] = [];
  let isKnown = false;
  for (const { serviceId } of network.servicesNamed(name.slice(TASKS_PREFIX.length))) {
    isKnown = true;
    members.push(...serving(network, serviceId));
  }
  return isKnown ? toMembers(members) : undefined;
}

/** A name of single tasks, whether they serve yet or not. */
function member(network: NetworkNames, name: string): Found | undefined {
  const members = [...network.membersNamed(name)];
  return members.length === 0 ? undefined : toMembers(members);
}

/** The task's own names, as long as no state names it. */
function ownAddresses(
  asker: Asker,
  network: NetworkNames | undefined,
  addresses: readonly IpAddress[],
  name: string,
): Found | undefined {
  if (!asker.names.includes(name) || network?.hasMember(asker.taskId) === true) return undefined;
  return { kind: 'addresses', addresses, ttlS: TASK_TTL_S };
}

function* serving(network: NetworkNames, serviceId: string): Generator<BookMember> {
  for (const one of network.membersOf(serviceId)) if (one.serves) yield one;
}

function toMembers(members: readonly BookMember[]): Found {
  const addresses = reachable(members).flatMap((one) => one.addresses);
  return { kind: 'addresses', addresses, ttlS: TASK_TTL_S };
}

/** Those that this node reaches; all of them if it reaches none, since it may be this node that is cut off. */
function reachable(members: readonly BookMember[]): readonly BookMember[] {
  const reached = members.filter(({ isReachable }) => isReachable);
  return reached.length === 0 ? members : reached;
}

/** Who has an address; undefined if it is in none of the task's networks. */
function reverse(book: NameBook, asker: Asker, address: IpAddress): Found | undefined {
  let isOurs = false;
  for (const { networkId, addresses } of asker.networks) {
    const network = book.get(networkId);
    if (network === undefined) continue;
    const { name, subnets } = network.network;
    for (const { names } of network.servicesAt(address)) return target(names[0], name);
    for (const one of network.membersAt(address)) return target(one.names[0] ?? one.taskId, name);
    if (addresses.includes(address)) return target(asker.names[0] ?? asker.taskId, name);
    isOurs ||= subnets.some((subnet) => subnet.offsetOf(address) !== undefined);
  }
  // Nobody outside the cluster can know who has an address of its networks.
  return isOurs ? { kind: 'unknown' } : undefined;
}

function target(name: string | undefined, network: string): Found {
  return { kind: 'target', target: `${name ?? ''}.${network}`.toLowerCase() };
}

/** In random order: clients mostly take the first. */
function shuffled<T>(list: readonly T[], random: () => number): T[] {
  const mixed = [...list];
  for (let last = mixed.length - 1; last > 0; last--) {
    const at = Math.floor(random() * (last + 1));
    [mixed[last], mixed[at]] = [mixed[at]!, mixed[last]!];
  }
  return mixed;
}
