import { createSocket } from 'node:dgram';
import { isIP, isIPv6 } from 'node:net';
import type { networkInterfaces } from 'node:os';
import { ApiError } from '@swarm/api';

export const DEFAULT_PORT = 2377;
/** What clients send when the user says nothing. */
export const DEFAULT_LISTEN = `0.0.0.0:${DEFAULT_PORT}`;

type Interfaces = ReturnType<typeof networkInterfaces>;

/** `HOST[:PORT]`, `[V6]:PORT`, or an interface's name in place of the host. */
function split(text: string): { host: string; port: number | undefined } {
  const bracketed = /^\[([^\]]+)\](?::(\d+))?$/.exec(text);
  if (bracketed !== null) return { host: bracketed[1]!, port: readPort(text, bracketed[2]) };
  if (isIPv6(text)) return { host: text, port: undefined };
  const at = text.lastIndexOf(':');
  if (at === -1) return { host: text, port: undefined };
  return { host: text.slice(0, at), port: readPort(text, text.slice(at + 1)) };
}

function readPort(text: string, port: string | undefined): number | undefined {
  if (port === undefined || port === '') return undefined;
  const number = Number(port);
  if (!/^\d+$/.test(port) || number < 1 || number > 65535) {
    throw new ApiError(
      'INVALID_ARGUMENT',
      `invalid address "${text}": the port must be 1 to 65535`,
    );
  }
  return number;
}

/** `host:port`, with brackets for IPv6. */
export function joinAddress(host: string, port: number): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The host of `host:port`, without brackets. */
export function hostOf(address: string): string {
  return split(address).host;
}

/** The port of `host:port`. */
export function portOf(address: string): number {
  return split(address).port ?? DEFAULT_PORT;
}

/** A manager's address as users give it, with the default port when it has none. */
export function withPort(address: string): string {
  return /:\d+$/.test(address) && !/^[^[]*:[^[]*:/.test(address)
    ? address
    : joinAddress(address.replace(/^\[|\]$/g, ''), DEFAULT_PORT);
}

/** Where to listen. @throws ApiError INVALID_ARGUMENT */
export function listenAddress(
  text: string,
  interfaces: Interfaces,
): { host: string; port: number } {
  const { host, port } = split(text === '' ? DEFAULT_LISTEN : text);
  return {
    host: host === '' ? '0.0.0.0' : toIp(host, interfaces, 'listen'),
    port: port ?? DEFAULT_PORT,
  };
}

/** Where to listen to be reached at this address: all of IPv4 does not include an IPv6 address. */
export function listenFor(
  listen: { readonly host: string; readonly port: number },
  advertise: string,
): { host: string; port: number } {
  const isMissed = listen.host === '0.0.0.0' && isIPv6(split(advertise).host);
  return { ...listen, host: isMissed ? '::' : listen.host };
}

/**
 * The address at which others reach this node: the one given (IP or interface), else the one it listens on,
 * else its only one. @throws ApiError INVALID_ARGUMENT when it has no address, or more than one
 */
export function advertiseAddress(
  text: string,
  listen: { host: string; port: number },
  interfaces: Interfaces,
): string {
  if (text !== '') {
    const { host, port } = split(text);
    const ip = toIp(host, interfaces, 'advertise');
    if (ip === '0.0.0.0' || ip === '::')
      throw new ApiError('INVALID_ARGUMENT', 'advertise address must be a non-zero IP address');
    return joinAddress(ip, port ?? listen.port);
  }
  if (listen.host !== '0.0.0.0' && listen.host !== '::')
    return joinAddress(listen.host, listen.port);
  return joinAddress(onlyAddress(interfaces), listen.port);
}

/** The address for tunnel traffic: the one given, else the advertised one. */
export function dataPathAddress(text: string, advertise: string, interfaces: Interfaces): string {
  if (text === '') return split(advertise).host;
  const ip = toIp(text, interfaces, 'data path');
  if (ip === '0.0.0.0' || ip === '::')
    throw new ApiError('INVALID_ARGUMENT', 'data path address must be a non-zero IP address');
  return ip;
}

function toIp(host: string, interfaces: Interfaces, what: string): string {
  if (isIP(host) !== 0) return host;
  const address = addressOfInterface(host, interfaces);
  if (address === undefined) {
    const known = Object.keys(interfaces).join(', ');
    throw new ApiError(
      'INVALID_ARGUMENT',
      `invalid ${what} address "${host}": it is neither an IP address nor an interface with one (interfaces: ${known})`,
    );
  }
  return address;
}

/** The address that an interface's name stands for, IPv4 before IPv6; undefined when it has none. */
export function addressOfInterface(name: string, interfaces: Interfaces): string | undefined {
  const addresses = (interfaces[name] ?? []).filter((address) => !isLinkLocal(address.address));
  return (addresses.find((address) => address.family === 'IPv4') ?? addresses[0])?.address;
}

/** Addresses at which others may reach this host. */
export function hostCandidates(
  interfaces: Interfaces,
  family: 'IPv4' | 'IPv6',
): readonly { readonly name: string; readonly address: string }[] {
  return Object.entries(interfaces).flatMap(([name, addresses]) =>
    (addresses ?? [])
      .filter((each) => !each.internal && each.family === family && !isLinkLocal(each.address))
      .filter(() => !isOurs(name))
      .map(({ address }) => ({ name, address })),
  );
}

function onlyAddress(interfaces: Interfaces): string {
  const candidates = hostCandidates(interfaces, 'IPv4');
  const [first, ...more] = candidates;
  if (first === undefined) {
    throw new ApiError(
      'INVALID_ARGUMENT',
      "could not find the system's IP address: give one with --advertise-addr",
    );
  }
  if (more.length > 0) {
    const list = candidates.map(({ name, address }) => `${address} on ${name}`).join(', ');
    throw new ApiError(
      'INVALID_ARGUMENT',
      `could not choose an IP address to advertise since this system has multiple addresses (${list}): specify one with --advertise-addr`,
    );
  }
  return first.address;
}

/** Whether containers or our own mesh made the interface, so that it is not a candidate. */
function isOurs(name: string): boolean {
  return /^(docker|br-|veth|swarm|sw-|vx)/.test(name);
}

function isLinkLocal(address: string): boolean {
  return /^fe80:/i.test(address) || address.startsWith('169.254.');
}

/**
 * Whether the host has the address, found by opening a port there: interfaces without a carrier are not
 * listed, and keep their addresses.
 */
export function isBindable(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
    socket.once('error', () => {
      socket.close();
      resolve(false);
    });
    socket.bind({ address, port: 0, exclusive: true }, () => {
      socket.close();
      resolve(true);
    });
  });
}

/** Our source address for packets to `address` (`host:port`), found without sending any; '' when unknown. */
export function localAddressTowards(address: string): Promise<string> {
  const { host, port } = split(address);
  return new Promise((resolve) => {
    const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4');
    const done = (found: string) => {
      socket.close();
      resolve(found);
    };
    socket.once('error', () => done(''));
    socket.connect(port ?? DEFAULT_PORT, host, () => done(socket.address().address));
  });
}
