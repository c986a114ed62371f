import { isIP, isIPv6 } from 'node:net';
import type { networkInterfaces } from 'node:os';
import { parseIpAddress } from '@swarm/api';
import type { AddressOrigins, LocalState } from '../files/local-state.js';
import {
  addressOfInterface,
  advertiseAddress,
  dataPathAddress,
  hostCandidates,
  hostOf,
  joinAddress,
  listenAddress,
  listenFor,
  portOf,
} from './addresses.js';

type Interfaces = ReturnType<typeof networkInterfaces>;

/** The addresses as a user gives them; empty ones are for the node to find. */
export interface GivenAddresses {
  readonly listenAddr: string;
  readonly advertiseAddr: string;
  readonly dataPathAddr: string;
}

/** Says how a node comes to its addresses when it takes these. */
export function originsOf(
  { listenAddr, advertiseAddr, dataPathAddr }: GivenAddresses,
  interfaces: Interfaces,
): AddressOrigins {
  const listen = listenAddr === '' ? 'given' : originOf(listenAddr, interfaces);
  const isSpecific = listenAddr !== '' && !isAny(hostOf(listenAddr));
  return {
    listen,
    advertise:
      advertiseAddr !== ''
        ? originOf(advertiseAddr, interfaces)
        : isSpecific
          ? 'follows'
          : 'detected',
    dataPath: dataPathAddr === '' ? 'follows' : originOf(dataPathAddr, interfaces),
  };
}

function originOf(text: string, interfaces: Interfaces): string {
  const host = hostOf(text);
  if (isIP(host) === 0) return `interface ${host}`;
  return isAny(host) || isOnHost(host, interfaces) ? 'given' : 'outside';
}

/** Origins for a state of an earlier version: what the host has may have been detected. */
export function assumedOrigins(state: LocalState, interfaces: Interfaces): AddressOrigins {
  const advertised = hostOf(state.advertiseAddress);
  return {
    listen: 'given',
    advertise:
      advertised === state.listen.host
        ? 'follows'
        : isOnHost(advertised, interfaces)
          ? 'detected'
          : 'given',
    dataPath: state.dataPathAddress === advertised ? 'follows' : 'given',
  };
}

/**
 * A node's state with addresses that the user gives it now. Those that are not given stay, or follow.
 * @throws ApiError INVALID_ARGUMENT
 */
export function withAddresses(
  state: LocalState,
  given: GivenAddresses,
  interfaces: Interfaces,
): LocalState {
  const { listenAddr, advertiseAddr, dataPathAddr } = given;
  const before = state.addressOrigins ?? assumedOrigins(state, interfaces);
  const next = originsOf(given, interfaces);
  const listen = listenAddr === '' ? state.listen : listenAddress(listenAddr, interfaces);
  const origins: AddressOrigins = {
    listen: listenAddr === '' ? before.listen : next.listen,
    advertise:
      advertiseAddr !== ''
        ? next.advertise
        : before.advertise === 'follows' && isAny(listen.host)
          ? 'detected'
          : before.advertise,
    dataPath: dataPathAddr === '' ? before.dataPath : next.dataPath,
  };
  const advertise =
    advertiseAddr !== ''
      ? advertiseAddress(advertiseAddr, listen, interfaces)
      : origins.advertise === 'follows'
        ? joinAddress(listen.host, portOf(state.advertiseAddress))
        : state.advertiseAddress;
  const dataPath =
    dataPathAddr !== ''
      ? dataPathAddress(dataPathAddr, advertise, interfaces)
      : origins.dataPath === 'follows'
        ? hostOf(advertise)
        : state.dataPathAddress;
  return {
    ...state,
    listen: listenFor(listen, advertise),
    advertiseAddress: advertise,
    dataPathAddress: dataPath,
    addressOrigins: origins,
  };
}

/** What the host says about its addresses now. */
export interface HostView {
  readonly interfaces: Interfaces;
  /** Addresses that the host has although its interfaces do not list them: of one without a carrier. */
  readonly silent?: ReadonlySet<string>;
  /** Our source address for packets to other managers; empty when there is no way to any. */
  readonly towards: string;
  /**
   * Whether to take the host's only address where no route tells. Not at once: while a host starts, the
   * address may come a little later than others.
   */
  readonly isSettled: boolean;
}

/** A node's state with the addresses that its host has now. */
export interface AddressesNow {
  readonly state: LocalState;
  /** What is wrong with its addresses, and what to run; empty when all is well. */
  readonly problem: string;
}

/** Finds the addresses that the host no longer has again, where the user left that to the node. */
export function addressesNow(state: LocalState, host: HostView): AddressesNow {
  const origins = state.addressOrigins ?? assumedOrigins(state, host.interfaces);
  const listen = isAny(state.listen.host)
    ? { host: state.listen.host, problem: '' }
    : found('listen', state.listen.host, origins.listen, host);
  const before = hostOf(state.advertiseAddress);
  const advertise =
    origins.advertise === 'follows'
      ? { host: isAny(listen.host) ? before : listen.host, problem: '' }
      : found('advertise', before, origins.advertise, host);
  const dataPath =
    origins.dataPath === 'follows'
      ? { host: advertise.host, problem: '' }
      : found('data path', state.dataPathAddress, origins.dataPath, host);
  return {
    state: {
      ...state,
      addressOrigins: origins,
      listen: { ...state.listen, host: listen.host },
      advertiseAddress:
        advertise.host === before
          ? state.advertiseAddress
          : joinAddress(advertise.host, portOf(state.advertiseAddress)),
      dataPathAddress: dataPath.host,
    },
    problem: listen.problem || advertise.problem || dataPath.problem,
  };
}

const FLAGS = {
  listen: '--listen-addr',
  advertise: '--advertise-addr',
  'data path': '--data-path-addr',
} as const;

function found(
  what: keyof typeof FLAGS,
  address: string,
  origin: string,
  { interfaces, silent, towards, isSettled }: HostView,
): { readonly host: string; readonly problem: string } {
  const isThere = isOnHost(address, interfaces) || silent?.has(address) === true;
  if (origin === 'outside' || isThere) return { host: address, problem: '' };
  const gone = `this host no longer has the ${what} address ${address}`;
  const advice = `'swarm reconnect ${FLAGS[what]} ADDRESS' gives the node another`;
  if (origin.startsWith('interface ')) {
    const name = origin.slice('interface '.length);
    const next = addressOfInterface(name, interfaces);
    if (next !== undefined) return { host: next, problem: '' };
    return { host: address, problem: `${gone}, and interface ${name} has none: ${advice}` };
  }
  if (origin !== 'detected') return { host: address, problem: `${gone}: ${advice}` };
  if (towards !== '' && isOnHost(towards, interfaces)) return { host: towards, problem: '' };
  const candidates = hostCandidates(interfaces, isIPv6(address) ? 'IPv6' : 'IPv4');
  const [only, ...more] = candidates;
  if (only === undefined) return { host: address, problem: `${gone}, and no other: ${advice}` };
  if (more.length > 0) {
    const list = candidates.map((each) => `${each.address} on ${each.name}`).join(', ');
    return { host: address, problem: `${gone}, and has several others (${list}): ${advice}` };
  }
  return isSettled
    ? { host: only.address, problem: '' }
    : { host: address, problem: `${gone}; the node takes ${only.address} if that stays so` };
}

function isAny(host: string): boolean {
  return host === '' || host === '0.0.0.0' || host === '::';
}

function isOnHost(address: string, interfaces: Interfaces): boolean {
  if (address === '::1' || address.startsWith('127.')) return true;
  const wanted = canonical(address);
  for (const list of Object.values(interfaces))
    for (const each of list ?? []) if (canonical(each.address) === wanted) return true;
  return false;
}

/** An address without its zone, in the form in which two are compared. */
function canonical(address: string): string {
  const bare = address.replace(/%.*$/, '');
  return parseIpAddress(bare) ?? bare;
}
